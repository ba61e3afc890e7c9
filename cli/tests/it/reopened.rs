//! A run that had ended and runs again without a newer time: a fresh answer shows the new state.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::remote::{Remote, query_number};
use crate::test_home::TestHome;
use crate::watch::FakeRun;

#[test]
fn a_fresh_answer_shows_what_was_reopened() {
    let fresh = [
        "runs eval-list --format json --fresh",
        "runs eval-list --format json --max-age 0s",
        "runs eval-get night --format json --fresh",
        "runs trials night --format json --fresh",
        "runs trial night t0 --format json --fresh",
    ];
    let synced = ["sync", "sync --full"];
    for line in fresh.iter().chain(&synced) {
        let night = FakeRun::new(1);
        night.run("completed");
        night.trial(0, "passed");
        let remote = night.start();
        let home = TestHome::with_remote(&remote);
        home.run("sync --full").expect_success();
        night.run("running");
        night.trial(0, "running");
        let said = home.run(line).expect_success();
        if fresh.contains(line) {
            assert!(said.contains(r#""status":"running""#), "{line}: {said}");
        }
        // From then on every read agrees, until the remote changes again. A command asks for one kind only;
        // `sync` asks for the lists, and `sync --full` for the trials, too.
        let mut stored = Vec::new();
        if line.contains("eval") || line.contains("sync") {
            stored.push("runs eval-get night --format json --offline");
        }
        if line.contains("trial") || *line == "sync --full" {
            stored.push("runs trials night --format json --offline");
        }
        for read in stored {
            let said = home.run(read).expect_success();
            assert!(
                said.contains(r#""status":"running""#),
                "{line}, {read}: {said}"
            );
        }
    }
}

#[test]
fn a_fresh_list_is_right_below_what_is_polled() {
    const RUNS: usize = 250;
    let reopened = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&reopened);
    let remote = Remote::start(move |asked| {
        let (path, query) = asked.split_once('?').unwrap_or((asked, ""));
        if path != "GET /tenants/ten/harbor/runs" {
            return (200, "[]".to_owned());
        }
        let is_open = |index| index == 200 && seen.load(Ordering::SeqCst);
        let run = |index: usize| {
            let status = if is_open(index) {
                "running"
            } else {
                "completed"
            };
            let day = 28 - index / 10;
            let hour = 23 - index % 10;
            format!(
                r#"{{"id":"r{index}","status":"{status}","created_at":"2026-01-{day:02}T{hour:02}:00:00Z"}}"#
            )
        };
        let offset = query_number(query, "offset", 0);
        let limit = query_number(query, "limit", 50);
        let rows: Vec<String> = (offset..RUNS.min(offset + limit)).map(run).collect();
        (200, format!("[{}]", rows.join(",")))
    });
    let home = TestHome::with_remote(&remote);
    home.run("sync --full").expect_success();
    reopened.store(true, Ordering::SeqCst);
    let running = "runs eval-list --status running --quiet";
    assert_eq!(home.run(running).expect_success(), "");
    for bound in ["--max-age 1ms", "--fresh"] {
        let said = home.run(&format!("{running} {bound}")).expect_success();
        assert_eq!(said, "r200\n", "{bound}");
    }
    let newest = "runs eval-list --limit 5 --quiet --fresh";
    let before = remote.requests().len();
    let said = home.run(newest).expect_success();
    assert_eq!(said, "r0\nr1\nr2\nr3\nr4\n");
    let asked = remote.requests().split_off(before);
    assert!(
        asked.iter().all(|line| line.contains("limit=100")),
        "{asked:?}"
    );
}
