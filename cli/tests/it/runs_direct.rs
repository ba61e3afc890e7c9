//! The runs commands without a daemon: the remote's responses, filtered and resolved by the CLI.

use std::io::Read;
use std::process::Stdio;

use crate::remote::Remote;
use crate::sealed::Sealed;

/// 30 runs, newest first, every third failed; spacing and numbers that a parser would change.
fn runs() -> Vec<String> {
    (0..30)
        .map(|index| {
            let status = if index % 3 == 0 { "failed" } else { "completed" };
            format!(
                r#"{{ "id":"run-{index:02}x", "template_name":"t{index}","status":"{status}","n":1.50,"created_at":"2026-01-{:02}T00:00:00Z" }}"#,
                30 - index
            )
        })
        .collect()
}

fn limit(asked: &str) -> usize {
    let value = asked.split_once("limit=").map(|(_, rest)| rest);
    let digits = value.and_then(|rest| rest.split('&').next());
    digits
        .and_then(|text| text.parse().ok())
        .unwrap_or(usize::MAX)
}

fn offset(asked: &str) -> usize {
    let value = asked.split_once("offset=").map(|(_, rest)| rest);
    value.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// A remote that pages by limit and offset, wraps its lists, and knows full ids only.
fn remote() -> Remote {
    Remote::start(|asked| {
        let not_found = (404, r#"{"detail":"Run not found"}"#.to_owned());
        let (method, target) = asked.split_once(' ').unwrap();
        let path = target.split('?').next().unwrap();
        let find = |id: &str| {
            let quoted = format!("\"id\":\"{id}\"");
            runs().into_iter().find(|run| run.contains(&quoted))
        };
        match (method, path.strip_prefix("/tenants/ten").unwrap_or("")) {
            ("GET", "/runs") => {
                let page: Vec<_> = runs()
                    .into_iter()
                    .skip(offset(asked))
                    .take(limit(asked))
                    .collect();
                (200, format!(r#"{{"items":[{}]}}"#, page.join(" ,")))
            }
            ("GET", "/harbor/runs") => (
                200,
                r#"[{"id":"e-1","name":"nightly"},{"id":"e-2","name":"weekly"}]"#.to_owned(),
            ),
            ("GET", "/harbor/runs/e-1/trials") => (
                200,
                r#"[{"id":"t-1","task_slug":"a","status":"passed","result_data":"{\"reward\":1}"},
                    {"id":"t-2","task_slug":null,"status":"weird","result_data":{"reward":0.5}}]"#
                    .to_owned(),
            ),
            ("GET", "/harbor/runs/e-1/trials/t-2") => {
                (200, r#"{"id":"t-2","status":"weird"}"#.to_owned())
            }
            ("POST", "/runs/run-03x/stop") => {
                (200, r#"{"id":"run-03x","status":"cancelled"}"#.to_owned())
            }
            ("GET", rest) => match rest.strip_prefix("/runs/").and_then(find) {
                Some(run) => (200, run),
                None => not_found,
            },
            _ => not_found,
        }
    })
}

#[test]
fn a_plain_list_is_one_request_and_the_limit_is_noted() {
    let remote = remote();
    let ended = Sealed::new(&remote).run("runs list");
    assert_eq!(ended.stdout.lines().count(), 20);
    assert!(
        ended
            .stdout
            .starts_with("run-00x\tt0\tfailed\t2026-01-30T00:00:00Z\n")
    );
    assert!(ended.stderr.contains("first 20"), "{}", ended.stderr);
    assert_eq!(remote.requests(), ["GET /tenants/ten/runs?limit=20"]);
}

#[test]
fn json_is_the_remotes_objects_to_the_byte() {
    let remote = remote();
    let sealed = Sealed::new(&remote);
    let all = sealed.run("runs list -n 0 --format json").expect_success();
    assert_eq!(all, format!("[{}]\n", runs().join(",")));
    let one = sealed
        .run("runs get run-03x --format json")
        .expect_success();
    assert_eq!(one, format!("{}\n", runs()[3]));
    let lines = sealed.run("runs list -n 2 --format jsonl").expect_success();
    assert_eq!(
        lines.lines().next(),
        Some(runs()[0].replace(' ', "").as_str())
    );
    let meta = sealed.run("runs list -n 0 --meta").expect_success();
    assert!(
        meta.starts_with(r#"{"schema_version":1,"as_of":""#),
        "{meta}"
    );
    assert!(meta.contains(r#""stale":false,"source":"remote","total":30,"data":[{ "id""#));
}

#[test]
fn filters_apply_before_the_limit() {
    let remote = remote();
    let sealed = Sealed::new(&remote);
    let ended = sealed.run("runs list --status FAILED -n 3 -q");
    assert!(ended.stderr.contains("3 of 10"), "{}", ended.stderr);
    assert_eq!(ended.expect_success(), "run-00x\nrun-03x\nrun-06x\n");
    let oldest = sealed
        .run("runs list -n 1 -q --sort -created")
        .expect_success();
    assert_eq!(oldest, "run-29x\n");
    let searched = sealed.run("runs list -q --search T17").expect_success();
    assert_eq!(searched, "run-17x\n");
    let since = sealed
        .run("runs list -q --since 2026-01-30T00:00:00Z")
        .expect_success();
    assert_eq!(since, "run-00x\n");
    let columns = sealed
        .run("runs list -n 1 --columns status,id --format tsv")
        .expect_success();
    assert_eq!(columns, "STATUS\tID\nfailed\trun-00x\n");
}

#[test]
fn ids_may_be_short_or_names_and_ambiguous_ones_list_candidates() {
    let remote = remote();
    let sealed = Sealed::new(&remote);
    assert!(
        sealed
            .run("runs get run-03")
            .expect_success()
            .starts_with("Run: run-03x\n")
    );
    let ended = sealed.run("runs get run-0");
    assert_eq!(ended.code, Some(9));
    assert!(
        ended.stderr.contains("run-09x  t9  failed"),
        "{}",
        ended.stderr
    );
    let trials = sealed
        .run("runs trials nightly --columns id,reward")
        .expect_success();
    assert_eq!(trials, "t-1\t1\nt-2\t0.5\n");
    let trial = sealed
        .run("runs trial nightly t-2 --format json")
        .expect_success();
    assert_eq!(trial, "{\"id\":\"t-2\",\"status\":\"weird\"}\n");
}

#[test]
fn a_status_that_was_seen_is_accepted_and_another_lists_the_known_ones() {
    let remote = remote();
    let sealed = Sealed::new(&remote);
    assert_eq!(
        sealed.run("runs trials e-1 -s weird -q").expect_success(),
        "t-2\n"
    );
    let ended = sealed.run("runs trials e-1 -s wierd");
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    assert!(ended.stderr.contains("passed, failed"), "{}", ended.stderr);
}

#[test]
fn stopping_needs_force_in_a_pipe_and_says_the_new_status() {
    let remote = remote();
    let sealed = Sealed::new(&remote);
    let ended = sealed.run("runs stop run-03x");
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("--force"), "{}", ended.stderr);
    assert!(
        remote.requests().is_empty(),
        "nothing was asked before that"
    );
    let stopped = sealed.run("runs stop run-03 --force").expect_success();
    assert_eq!(stopped, "run run-03x: cancelled\n");
}

#[test]
fn every_failure_has_its_exit_code() {
    let statuses = [
        (400, 3),
        (401, 4),
        (403, 4),
        (404, 3),
        (409, 1),
        (418, 1),
        (429, 7),
        (302, 5),
        (503, 5),
    ];
    for (status, code) in statuses {
        let remote = Remote::start(move |asked| match asked.contains("/runs/") {
            true => (status, r#"{"detail":"said so"}"#.to_owned()),
            false => (200, "[]".to_owned()),
        });
        let ended = Sealed::new(&remote).run("runs get r-1");
        assert_eq!(ended.code, Some(code), "{status}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{status}");
        let error = ended.stderr.lines().any(|line| line.starts_with("error: "));
        assert!(error, "{status}: {}", ended.stderr);
    }
    let bodies = [
        ("<html>", 5),
        ("[{\"id\":", 5),
        ("", 5),
        ("{\"id\":\"x\"}", 5),
    ];
    for (body, code) in bodies {
        let remote = Remote::start(move |_| (200, body.to_owned()));
        let ended = Sealed::new(&remote).run("runs list");
        assert_eq!(ended.code, Some(code), "{body}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{body}");
    }
    let remote = remote();
    let sealed = Sealed::new(&remote);
    let lines = [
        ("runs list --limit -5", 2),
        ("runs list --sort colour", 2),
        ("runs list --columns colour", 2),
        ("runs list --status wierd", 2),
        ("runs list --since soon", 2),
        ("runs list --offline --no-daemon", 2),
        ("runs list --format yaml", 2),
        ("runs get ..", 2),
        ("runs get nothing-like-it", 3),
        ("runs trials e-9", 3),
    ];
    for (line, code) in lines {
        let ended = sealed.run(line);
        assert_eq!(ended.code, Some(code), "{line}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{line}");
    }
}

#[test]
fn an_id_never_leaves_its_path_segment() {
    let remote = remote();
    let ended = Sealed::new(&remote).run("runs get ../../other/runs?x=1#y");
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert_eq!(
        remote.requests()[0],
        "GET /tenants/ten/runs/..%2F..%2Fother%2Fruns%3Fx%3D1%23y"
    );
}

#[test]
fn no_command_takes_an_id_to_another_path() {
    let remote = remote();
    let sealed = Sealed::new(&remote);
    let long = "a".repeat(10_240);
    let commands: [&[&str]; 9] = [
        &["get"],
        &["eval-get"],
        &["stop", "--force"],
        &["eval-start"],
        &["eval-cancel", "--force"],
        &["trials"],
        &["artifacts"],
        &["trial", "r-1"],
        &["artifacts", "r-1", "-t"],
    ];
    for command in commands {
        for id in [".", "..", "", "a\r\nX: y", "\u{1}", &long] {
            let before = remote.requests().len();
            let mut docks = sealed.command();
            let ended = docks.arg("runs").args(command).arg(id).output().unwrap();
            let said = String::from_utf8_lossy(&ended.stderr).into_owned();
            // What is no id is refused here, at latest when it would become a path.
            assert!(
                matches!(ended.status.code(), Some(2 | 3)),
                "{command:?} {id:?}: {said}"
            );
            for asked in &remote.requests()[before..] {
                assert!(!asked.contains("/..") && !asked.contains("aaaa"), "{asked}");
                assert!(!asked.contains("/./") && !asked.ends_with("/."), "{asked}");
            }
        }
        for id in ["../x", "a?limit=1", "a#b", "a/b", "%2e%2e", "%"] {
            let before = remote.requests().len();
            let mut docks = sealed.command();
            docks.arg("runs").args(command).arg(id).output().unwrap();
            for asked in &remote.requests()[before..] {
                let path = asked.split(' ').nth(1).unwrap();
                let segments = path.split('?').next().unwrap().split('/').count();
                let most = if command[0] == "trial" || command.len() == 3 {
                    8
                } else {
                    7
                };
                assert!(segments <= most, "{command:?} {id:?}: {asked}");
                assert!(path.starts_with("/tenants/ten/"), "{asked}");
                assert!(
                    !path.contains("/../") && !path.contains("%2e%2e/"),
                    "{asked}"
                );
            }
        }
    }
}

#[test]
fn debug_shows_each_request_with_its_time_and_never_the_token() {
    let remote = remote();
    let sealed = Sealed::new(&remote);
    // `CommandResult` fails on the token in either stream.
    let ended = sealed.run("runs list -n 2 --debug");
    let line = ended
        .stderr
        .lines()
        .find(|line| line.starts_with("debug: "));
    let line = line.expect("one request");
    let start = "debug: remote: GET /tenants/ten/runs?limit=";
    assert!(line.starts_with(start), "{line}");
    assert!(line.contains(": 200, ") && line.ends_with(" ms"), "{line}");
    let absent = sealed.run("runs get --debug r-404");
    assert!(
        absent.stderr.contains("GET /tenants/ten/runs/r-404: 404, "),
        "{}",
        absent.stderr
    );
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let remote = remote();
    let sealed = Sealed::new(&remote);
    let mut child = sealed
        .command()
        .args(["runs", "list", "-n", "0", "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    assert!(!said.contains("error"), "{said}");
}

#[test]
fn hostile_names_reach_no_terminal_and_stay_exact_in_json() {
    let body =
        r#"[{"id":"a\u001b[2J","template_name":"x\u001b]0;t\u0007y\n\u202ez","status":"running"}]"#;
    let remote = Remote::start(move |_| (200, body.to_owned()));
    let sealed = Sealed::new(&remote);
    assert_eq!(
        sealed.run("runs list -n 1").expect_success(),
        "a\txy z\trunning\t\n"
    );
    assert_eq!(
        sealed.run("runs list -n 1 --format json").expect_success(),
        format!("{body}\n")
    );
}

#[test]
fn without_a_daemon_the_trials_of_all_runs_are_listed_and_filtered_here() {
    let remote = Remote::start(|asked| {
        let path = asked.split([' ', '?']).nth(1).unwrap();
        let body = match path.strip_prefix("/tenants/ten/harbor/runs").unwrap_or("") {
            "" => r#"[{"id":"e-2","name":"weekly"},{"id":"e-1","name":"nightly"},{"id":"e-0"}]"#,
            "/e-1/trials" => {
                r#"[{"id":"t-1","created_at":"2026-01-01T00:00:00Z","result_data":"{\"reward\":1}"},
                    {"id":"t-2","created_at":"2026-01-03T00:00:00Z","result_data":{"error_code":"E"}}]"#
            }
            "/e-2/trials" => {
                r#"[{"id":"t-1","created_at":"2026-01-02T00:00:00Z","result_data":{"reward":0.5}}]"#
            }
            _ => return (404, r#"{"detail":"Run not found"}"#.to_owned()),
        };
        (200, body.to_owned())
    });
    let sealed = Sealed::new(&remote);
    let all = sealed.run("runs trials --all-runs -q").expect_success();
    assert_eq!(all, "e-1\tt-2\ne-2\tt-1\ne-1\tt-1\n");
    let asked = remote.requests();
    let of_trials = asked.iter().filter(|asked| asked.contains("/trials"));
    assert_eq!(of_trials.count(), 3, "once for each run: {asked:?}");
    let columns = "--columns run,id,reward,error";
    for (line, expected) in [
        (
            "--all-runs --reward >0 --sort reward",
            "nightly\tt-1\t1\t\nweekly\tt-1\t0.5\t\n",
        ),
        ("--all-runs --error any", "nightly\tt-2\t\tE\n"),
    ] {
        assert_eq!(
            sealed
                .run(&format!("runs trials {line} {columns}"))
                .expect_success(),
            expected
        );
    }
    assert_eq!(
        sealed
            .run("runs trials e-1 --error none -q")
            .expect_success(),
        "t-1\n"
    );
    for line in [
        "runs trials",
        "runs trials e-1 --all-runs",
        "runs trials e-1 --reward x",
    ] {
        let ended = sealed.run(line);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{line}");
    }
}
