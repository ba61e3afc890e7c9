//! A mirror that has not seen everything is never given out as whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::remote::{Remote, query_number};
use crate::test_home::{TestHome, eventually, signal};

const RUNS: usize = 600;
/// The largest page of the remote.
const PAGE: usize = 100;

/// A remote that gives pages of its list up to a number of rows, and answers 503 from there on.
fn remote(rows_given: &Arc<AtomicUsize>) -> Remote {
    let given = Arc::clone(rows_given);
    Remote::start(move |asked| {
        let (path, query) = asked.split_once('?').unwrap_or((asked, ""));
        let number = |name: &str, usual| query_number(query, name, usual);
        let (first, limit) = (number("offset", 0), number("limit", PAGE).min(PAGE));
        let end = (first + limit).min(RUNS);
        if end > given.load(Ordering::SeqCst) {
            return (503, r#"{"detail":"down"}"#.to_owned());
        }
        if !path.ends_with("/tenants/ten/runs") {
            return (200, "[]".to_owned());
        }
        let rows: Vec<_> = (first..end)
            .map(|number| {
                format!(
                    r#"{{"id":"run-{number:03}","name":"nightly","status":"completed","created_at":"2026-01-01T00:{:02}:{:02}Z"}}"#,
                    (RUNS - number) / 60,
                    (RUNS - number) % 60
                )
            })
            .collect();
        (200, format!("[{}]", rows.join(",")))
    })
}

/// Checks that a list says that rows are missing, and returns how many it has.
fn expect_incomplete(home: &TestHome, options: &str) -> usize {
    let listed = home.run(&format!("runs list -n 0 --meta {options}"));
    assert_eq!(listed.code, Some(0), "{listed:?}");
    let meta: Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(meta["incomplete"], true, "{options}: {}", listed.stderr);
    let reason = meta["incomplete_reason"].as_str().unwrap();
    let note = format!("note: rows may be missing: {reason}");
    assert!(
        listed.stderr.contains(&note),
        "{options}: {}",
        listed.stderr
    );
    meta["data"].as_array().unwrap().len()
}

#[test]
fn a_sync_that_was_cut_off_is_said_until_one_has_ended() {
    let rows_given = Arc::new(AtomicUsize::new(200));
    let remote = remote(&rows_given);
    let home = TestHome::with_remote(&remote);
    let synced = home.run("sync --full");
    assert_ne!(synced.code, Some(0), "{synced:?} {:?}", remote.requests());
    for options in ["", "--offline", "--max-age 1h"] {
        let rows = expect_incomplete(&home, options);
        assert!((PAGE..=200).contains(&rows), "{options}: {rows}");
    }
    // The newest rows are there, and still nobody is told that they are all.
    let newest = home.run("runs list -n 5 --meta");
    assert!(newest.stdout.contains(r#""incomplete":true"#), "{newest:?}");

    signal(home.pid(), "KILL");
    eventually("it is gone", || home.daemons().is_empty());
    expect_incomplete(&home, "--offline");
    rows_given.store(RUNS, Ordering::SeqCst);
    home.run("sync --full").expect_success();
    let whole = home.run("runs list -n 0 --meta");
    let meta: Value = serde_json::from_str(&whole.stdout).unwrap();
    assert_eq!(meta["data"].as_array().unwrap().len(), RUNS);
    assert_eq!(meta["incomplete"], Value::Null);
    assert!(!whole.stderr.contains("missing"), "{}", whole.stderr);
}

#[test]
fn trials_that_come_in_several_answers_are_all_listed() {
    let remote = Remote::start(|asked| {
        let (path, query) = asked.split_once('?').unwrap_or((asked, ""));
        let run = r#"{"id":"n1","name":"night","status":"completed","created_at":"2026-01-01T00:00:00Z"}"#;
        match path.trim_start_matches("GET /tenants/ten") {
            "/runs" => (200, "[]".to_owned()),
            "/harbor/runs" => (200, format!("[{run}]")),
            "/harbor/runs/n1" => (200, run.to_owned()),
            "/harbor/runs/n1/trials" => {
                let first = query_number(query, "cursor", 0);
                let trials: Vec<_> = (first..5.min(first + 2))
                    .map(|number| format!(r#"{{"id":"t{number}","status":"passed"}}"#))
                    .collect();
                let next = match first + 2 {
                    next if next < 5 => format!(r#""{next}""#),
                    _ => "null".to_owned(),
                };
                let items = trials.join(",");
                (
                    200,
                    format!(r#"{{"items":[{items}],"next_cursor":{next}}}"#),
                )
            }
            _ => (404, r#"{"detail":"not found"}"#.to_owned()),
        }
    });
    let home = TestHome::with_remote(&remote);
    for line in ["--no-daemon runs trials night -q", "runs trials night -q"] {
        let listed = home.run(line).expect_success();
        let mut trials: Vec<&str> = listed.lines().collect();
        trials.sort_unstable();
        assert_eq!(trials, ["t0", "t1", "t2", "t3", "t4"], "{line}");
    }
}
