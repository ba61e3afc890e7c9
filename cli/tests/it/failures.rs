//! `docks runs failures`, with the real daemon.

use std::fs;

use serde_json::{Value, json};

use crate::remote::Remote;
use crate::sealed::Sealed;
use crate::test_home::TestHome;

fn report(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Class, cause and number of trials of each cluster.
fn clusters(report: &Value) -> Vec<String> {
    let clusters = report["clusters"].as_array().unwrap().iter();
    clusters
        .map(|cluster| {
            let text = |key: &str| cluster[key].as_str().unwrap().to_owned();
            format!("{} {} {}", cluster["trials"], text("class"), text("cause"))
        })
        .collect()
}

#[test]
fn real_jobs_are_sorted_and_their_logs_shown() {
    let home = TestHome::with_jobs();
    let found = home.run_jobs("runs failures nightly-mixed --format json --meta");
    let answer = report(&found.expect_success());
    assert_eq!(answer["source"], "mirror");
    assert!(answer["as_of"].is_string() && answer["incomplete"].is_null());
    let found = &answer["data"];
    assert_eq!(
        clusters(found),
        [
            "12 ability not solved",
            "4 infrastructure network",
            "4 grading no reward",
            "2 limits agent time-out"
        ]
    );
    // 24 trials, of which 4 never had a sandbox and 4 more no reward.
    let share = |rate: &str| {
        let rate = &found[rate];
        (rate["solved"].as_u64(), rate["attempts"].as_u64())
    };
    assert_eq!(share("rate"), (Some(2), Some(24)));
    assert_eq!(share("rate_without_infrastructure"), (Some(2), Some(20)));
    assert_eq!(share("rate_of_valid"), (Some(2), Some(16)));
    let network = &found["clusters"][1];
    assert_eq!(network["decided_by"], "unreachable");
    assert_eq!(network["errors"], json!(["RuntimeError"]));
    let log = network["examples"][0]["log"].as_array().unwrap();
    assert!(
        log.iter()
            .any(|line| line.as_str().unwrap().contains("package mirror")),
        "{log:?}"
    );
    let markdown = home.run_jobs("runs failures nightly-mixed --format markdown -n 2");
    let markdown = markdown.expect_success();
    assert!(
        markdown.starts_with("**nightly-mixed: 22 of 24 trials failed or have an error**\n"),
        "{markdown}"
    );
    assert!(markdown.contains("\n| 12 | ability | not solved |"));
    assert!(markdown.ends_with("\nThe biggest 2 of 4 clusters.\n"));
    // A terminal's summary goes to stderr in a pipe, where rows are data.
    let rows = home.run_jobs("runs failures nightly-mixed --format tsv -n 2");
    assert!(
        rows.stderr.contains("22 of 24 trials failed"),
        "{}",
        rows.stderr
    );
    assert!(
        rows.stderr.contains("the biggest 2 of 4 clusters"),
        "{}",
        rows.stderr
    );
    let rows = rows.expect_success();
    assert!(rows.starts_with("trials\tsolved\tclass\tcause\t"), "{rows}");
    assert_eq!(rows.lines().count(), 3);
}

#[test]
fn several_runs_all_runs_and_filters_agree_with_lists_of_trials() {
    let home = TestHome::with_jobs();
    let both =
        home.run_jobs("runs failures nightly-mixed killed-midway nightly-mixed --format json");
    let both = report(&both.expect_success());
    let names: Vec<&str> = both["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["nightly-mixed", "killed-midway"], "each once");
    let lost = ["infrastructure lost", "2 infrastructure lost"];
    assert!(
        clusters(&both)
            .iter()
            .any(|cluster| lost.contains(&cluster.as_str()))
    );
    for filter in [
        "",
        "--status error",
        "--error AgentTimeoutError",
        "--task slow-solve --reward 0",
        "--search no-rew",
        "--agent nobody",
        "--since 2025-01-01 --until 2026-01-01",
        "--error Lost",
    ] {
        let listed = home.run_jobs(&format!("runs trials --all-runs -n 0 -q {filter}"));
        let found = home.run_jobs(&format!("runs failures --all-runs --format json {filter}"));
        let found = report(&found.expect_success());
        let listed = listed.expect_success().lines().count();
        assert_eq!(found["trials"], listed, "{filter}");
    }
}

#[test]
fn rules_of_the_settings_come_first_and_wrong_ones_are_named() {
    let home = TestHome::with_jobs();
    let settings = home.path("docks/daemon.toml");
    let rule = "[[failure_rule]]\nclass = \"configuration\"\ncause = \"mirror\"\nwords = \"package mirror\"\n";
    fs::write(&settings, rule).unwrap();
    let found = home.run_jobs("runs failures nightly-mixed --format json");
    let found = report(&found.expect_success());
    assert!(clusters(&found).contains(&"4 configuration mirror".to_owned()));
    home.stop();
    fs::write(&settings, rule.replace("configuration", "bad luck")).unwrap();
    let refused = home.run_jobs("runs failures nightly-mixed");
    assert_ne!(refused.code, Some(0));
    let expected = "`failure_rule` in";
    assert!(refused.stderr.contains(expected), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("`class`: it must be one of"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_hostile_remote_has_no_file_read_and_no_text_obeyed() {
    let remote = Remote::start(|asked| {
        let path = asked.split('?').next().unwrap();
        let run =
            r#"{"id":"r-1","name":"n","status":"completed","created_at":"2026-01-01T00:00:00Z"}"#;
        let list = |text: &str| (200, format!("[{text}]"));
        match path.trim_start_matches("GET /tenants/ten/") {
            "harbor/runs" if asked.contains("offset=0") || !asked.contains("offset=") => list(run),
            "runs" | "harbor/runs" => list(""),
            "harbor/runs/r-1" => (200, run.to_owned()),
            "harbor/runs/r-1/trials" => list(
                r#"{"id":"t-1","task_slug":"a","status":"failed","logs_uri":"file:///etc/passwd","result_data":{"reward":0}},
                   {"id":"t-2","task_slug":"a","status":"error","error_message":"\u001b]0;owned\u0007 HTTP 429","result_data":{}},
                   {"id":"t-3","task_slug":"b","status":"passed"},
                   {"id":"t-4","task_slug":"b","status":"completed"}"#,
            ),
            _ => (404, r#"{"detail":"not found"}"#.to_owned()),
        }
    });
    let home = TestHome::with_remote(&remote);
    home.run("sync --full").expect_success();
    let text = home.run("runs failures n --format json").expect_success();
    let found = report(&text);
    assert_eq!(
        clusters(&found),
        ["1 ability not solved", "1 infrastructure rate limit"]
    );
    assert_eq!(found["clusters"][0]["examples"][0]["log"], Value::Null);
    assert!(!text.contains("root:"));
    // Of t-4 nothing says whether it solved its task.
    assert_eq!(
        (&found["undecided"], &found["ended"]),
        (&json!(1), &json!(4))
    );
    let rows = home.run("runs failures n").expect_success();
    assert!(!rows.contains(['\u{1b}', '\u{7}']), "{rows:?}");
}

#[test]
fn what_cannot_be_answered_says_what_to_do() {
    let home = TestHome::with_jobs();
    let unknown = home.run_jobs("runs failures nothing");
    assert_eq!(unknown.code, Some(3));
    assert!(
        unknown.stderr.contains("No evaluation run `nothing`"),
        "{}",
        unknown.stderr
    );
    let status = home.run_jobs("runs failures --all-runs --status bogus");
    assert_eq!(status.code, Some(2));
    assert!(
        status.stderr.contains("known statuses"),
        "{}",
        status.stderr
    );
    let reward = home.run_jobs("runs failures --all-runs --reward much");
    assert_eq!(reward.code, Some(2));
    let remote = Remote::start(|_| (200, "[]".to_owned()));
    let sealed = Sealed::new(&remote);
    let off = sealed.command().args(["runs", "failures", "x"]).output();
    let off = String::from_utf8(off.unwrap().stderr).unwrap();
    assert!(off.contains("only the daemon can do this"), "{off}");
    assert!(remote.requests().is_empty(), "the remote was asked");
}

#[test]
fn of_several_remotes_the_one_that_has_the_runs_is_asked() {
    let home = TestHome::with_jobs();
    let other = home.path("other");
    fs::create_dir(&other).unwrap();
    fs::rename(
        home.jobs().join("killed-midway"),
        other.join("killed-midway"),
    )
    .unwrap();
    let config = format!(
        "[a]\nharbor_jobs = \"{}\"\n\n[b]\nharbor_jobs = \"{}\"\n",
        home.jobs().display(),
        other.display()
    );
    home.write_settings(config);
    let found = home.run("-p a,b runs failures b:killed-midway --format json");
    assert_eq!(
        report(&found.expect_success())["runs"][0]["name"],
        "killed-midway"
    );
    let apart = home.run("-p a,b runs failures killed-midway nightly-mixed");
    assert_eq!(apart.code, Some(2));
    assert!(
        apart.stderr.contains("different remotes"),
        "{}",
        apart.stderr
    );
    let all = home.run("-p a,b runs failures --all-runs");
    assert_eq!(all.code, Some(2));
    assert!(all.stderr.contains("-p NAME"), "{}", all.stderr);
}
