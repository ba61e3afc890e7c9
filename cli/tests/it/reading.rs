//! `docks runs logs`, `trajectory`, `diff` and `result`: read, not downloaded.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crate::remote::Remote;
use crate::sealed::Sealed;
use crate::test_home::TestHome;

const LOG: &str = "one\n\u{1b}[31mtwo\u{1b}[0m red\n\u{1b}]0;title\u{7}three\tend\nfour";
const TRAJECTORY: &str = r#"{"steps":[
    {"step_id":1,"source":"user","message":"do it"},
    {"step_id":2,"source":"agent","message":"done","tool_calls":[{"function_name":"bash","arguments":{"command":"ls"}}],
     "metrics":{"prompt_tokens":7,"completion_tokens":3,"cost_usd":0.01}}
],"final_metrics":{"total_steps":2}}"#;
const DIFF: &str = "diff --git a/x b/x\n@@ -1 +1 @@\n-old\n+new\u{1b}[2J\n context\n";
const RESULT: &str = r#"{"verifier_result":{"rewards":{"reward":0.5}},"exception_info":{"exception_type":"Late","exception_message":"too late"}}"#;

/// Serves one trial with all artifacts; its status and log are functions of how often each was
/// requested.
fn serve(
    status: impl Fn(usize) -> &'static str + Send + Sync + 'static,
    log: impl Fn(usize) -> String + Send + Sync + 'static,
) -> Remote {
    let own = Arc::new(OnceLock::<String>::new());
    let address = Arc::clone(&own);
    let (requests, reads) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let remote = Remote::start(move |line| {
        let url = address.get().unwrap();
        let trial = |id: &str, status: &str, reward: f64| {
            format!(
                r#"{{"id":"{id}","task_slug":"sum","status":"{status}","logs_uri":"{url}/log.txt","trajectory_uri":"{url}/t.json",
                "diff_uri":"{url}/d.patch","result_uri":"{url}/r.json","result_data":{{"reward":{reward}}}}}"#
            )
        };
        let run = |id: &str| format!(r#"{{"id":"{id}","name":"{id}","status":"completed"}}"#);
        let path = line.split([' ', '?']).nth(1).unwrap();
        match path.trim_start_matches("/tenants/ten/harbor/") {
            "runs" => (200, format!("[{},{}]", run("r-1"), run("r-2"))),
            "runs/r-1" => (200, run("r-1")),
            "runs/r-2" => (200, run("r-2")),
            "runs/r-1/trials" => (200, format!("[{}]", trial("t-1", "failed", 0.0))),
            "runs/r-2/trials" => (200, format!("[{}]", trial("t-2", "passed", 1.0))),
            "runs/r-1/trials/t-1" => {
                let number = requests.fetch_add(1, Ordering::Relaxed);
                (200, trial("t-1", status(number), 0.0))
            }
            "/log.txt" => (200, log(reads.fetch_add(1, Ordering::Relaxed))),
            "/t.json" => (200, TRAJECTORY.to_owned()),
            "/d.patch" => (200, DIFF.to_owned()),
            "/r.json" => (200, RESULT.to_owned()),
            _ => (404, "{}".to_owned()),
        }
    });
    own.set(remote.url()).unwrap();
    remote
}

fn ended() -> Sealed {
    Sealed::new(&serve(|_| "failed", |_| LOG.to_owned()))
}

#[test]
fn logs_are_shown_tailed_and_searched_without_escapes() {
    let home = ended();
    for (more, expected) in [
        ("", "one\ntwo red\nthree\tend\nfour"),
        ("--tail 2", "three\tend\nfour"),
        ("--tail 0", ""),
        ("--grep ^t", "two red\n"),
        ("--grep o --tail 2", "\n"),
    ] {
        let shown = home
            .run(&format!("runs logs r-1 t-1 {more}"))
            .expect_success();
        match more {
            "--grep ^t" => assert_eq!(shown, "", "a colour comes before the word"),
            "--grep o --tail 2" => assert_eq!(shown, "two red\nfour\n"),
            _ => assert_eq!(shown, expected, "{more}"),
        }
    }
    let ended = home.run("runs logs r-1 t-1 --grep [");
    assert_eq!(ended.code, Some(2));
}

#[test]
fn a_log_is_followed_until_its_trial_has_ended() {
    let growing = |number: usize| "line\n".repeat((number + 1).min(3));
    let remote = serve(|n| if n < 2 { "running" } else { "failed" }, growing);
    let shown = Sealed::new(&remote).run("runs logs r-1 t-1 --follow");
    let shown = shown.expect_success();
    assert_eq!(shown, "line\nline\nline\n", "each line once");
}

#[test]
fn a_line_that_arrives_in_parts_is_searched_once_it_is_complete() {
    let log =
        |number: usize| ["one\ner", "one\nerror 1\nerr", "one\nerror 1\nerror 2"][number.min(2)];
    for more in ["", " --tail 9"] {
        let remote = serve(
            |n| if n < 2 { "running" } else { "failed" },
            move |number| log(number).to_owned(),
        );
        let line = format!("runs logs r-1 t-1 --follow --grep ^error{more}");
        let shown = Sealed::new(&remote).run(&line).expect_success();
        assert_eq!(shown, "error 1\nerror 2\n", "{more}");
    }
}

#[test]
fn steps_are_formatted_or_unchanged() {
    let home = ended();
    let all = home.run("runs trajectory r-1 t-1").expect_success();
    assert!(
        all.starts_with("Step 1  user\n  do it\n\nStep 2  agent"),
        "{all}"
    );
    assert!(all.contains("  > bash  command: ls\n"), "{all}");
    assert!(all.contains("7 tokens in, 3 out  $0.0100"), "{all}");
    let second = home
        .run("runs trajectory r-1 t-1 --step 2")
        .expect_success();
    assert!(second.starts_with("Step 2  agent"), "{second}");
    assert_eq!(home.run("runs trajectory r-1 t-1 --step 9").code, Some(3));
    assert_eq!(
        home.run("runs trajectory r-1 t-1 --format json")
            .expect_success(),
        TRAJECTORY
    );
    let lines = home
        .run("runs trajectory r-1 t-1 --format jsonl")
        .expect_success();
    assert_eq!(lines.lines().count(), 2);
}

#[test]
fn a_diff_is_coloured_on_request_and_its_escapes_are_removed() {
    let home = ended();
    let plain = home.run("runs diff r-1 t-1").expect_success();
    assert_eq!(plain, DIFF.replace("\u{1b}[2J", ""));
    let coloured = home
        .run("runs diff r-1 t-1 --color always")
        .expect_success();
    assert!(
        coloured.contains("\u{1b}[32m+new\u{1b}[0m\n"),
        "{coloured:?}"
    );
    assert!(!coloured.contains("[2J"));
}

#[test]
fn a_result_is_summarised_or_unchanged() {
    let home = ended();
    let shown = home.run("runs result r-1 t-1").expect_success();
    assert!(shown.contains("Rewards\n  reward  0"), "{shown}");
    assert!(shown.contains("Errors\n  Late: too late\n"), "{shown}");
    let raw = home
        .run("runs result r-1 t-1 --format json")
        .expect_success();
    assert_eq!(raw.trim_end(), RESULT);
}

#[test]
fn a_harbor_job_is_read_without_a_copy() {
    let home = TestHome::with_jobs();
    let jobs = home.jobs();
    let run = |line: &str| {
        let line = format!("--harbor {} {line}", jobs.display());
        home.run(&line).expect_success()
    };
    let job = "2026-11-23__16-43-17";
    let trajectory = run(&format!("runs trajectory {job} hello-file__PJUAFm8"));
    assert!(trajectory.contains("Step 3  agent"), "{trajectory}");
    let result = run(&format!("runs result {job} hello-file__PJUAFm8"));
    assert!(result.contains("reward  1"), "{result}");
    let logs = run(&format!("runs logs {job} hello-file__PJUAFm8 --tail 1"));
    assert!(!logs.is_empty());
    let compared = run(&format!("runs compare {job} nightly-mixed --format jsonl"));
    assert!(compared.contains(r#""task":"#), "{compared}");
    let cache = home.path("docks/cache/artifacts");
    assert!(
        !cache.exists(),
        "files of this machine are not copied to be read"
    );
}
