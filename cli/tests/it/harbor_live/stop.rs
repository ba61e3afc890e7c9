//! `docks runs stop` has the same result as Ctrl-C, whichever signals the process handles.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::figures;
use super::harbor::{HarborHome, Running, json};
use crate::test_home::eventually;

fn home() -> HarborHome {
    let home = HarborHome::new();
    home.task("a-quick", "", "sleep 0.2", "1");
    home.task(
        "b-slow",
        "",
        "for n in $(seq 300); do echo $n; sleep 0.1; done",
        "1",
    );
    home.docks.run_jobs("runs list").expect_success();
    home
}

/// Waits until the slow trial is working: Harbor does not clean up a trial interrupted earlier.
fn midway(home: &HarborHome, name: &str) {
    eventually("one trial has ended and one is at work", || {
        let folders = fs::read_dir(home.job(name)).into_iter().flatten().flatten();
        let at_work = |log: &Path| fs::metadata(log).is_ok_and(|log| log.len() > 4);
        home.count_files(name).is_some_and(|truth| truth.ended == 1)
            && folders.into_iter().any(|folder| {
                let log = folder.path().join("agent/oracle.txt");
                folder.file_name().to_string_lossy().starts_with("b-slow") && at_work(&log)
            })
    });
}

/// Returns what a job leaves on disk, without what differs between runs.
fn files_left(job: &Path) -> BTreeMap<String, String> {
    let mut left = BTreeMap::new();
    let mut todo = vec![job.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            let path = entry.path();
            let below = path.strip_prefix(job).unwrap().display().to_string();
            // The end of a trial's name is random.
            let plain: Vec<&str> = below
                .split('/')
                .map(|part| part.split("__").next().unwrap())
                .collect();
            if path.is_dir() {
                todo.push(path.clone());
            }
            let content = match path.file_name().and_then(|name| name.to_str()) {
                Some("result.json") => describe(&json(&path).unwrap()),
                _ => String::new(),
            };
            left.insert(plain.join("/"), content);
        }
    }
    left
}

fn describe(result: &Value) -> String {
    let stats = &result["stats"];
    let counts = [
        "n_completed_trials",
        "n_errored_trials",
        "n_running_trials",
        "n_pending_trials",
        "n_cancelled_trials",
    ]
    .map(|key| stats[key].to_string());
    let exception = &result["exception_info"]["exception_type"];
    format!(
        "{} {} {}",
        counts.join(" "),
        exception,
        result["finished_at"].is_null()
    )
}

#[test]
#[ignore = "needs Harbor: .ci/run harbor-live"]
fn a_stop_has_the_same_result_as_ctrl_c() {
    let home = home();
    let mut by_hand = home.start("by-hand", "-n 1 -k 1");
    midway(&home, "by-hand");
    by_hand.signal("INT");
    assert_eq!(by_hand.wait(), 130);
    let mut by_us = home.start("by-us", "-n 1 -k 1");
    midway(&home, "by-us");
    let stopped = home.docks.run_jobs("runs stop by-us --force");
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    assert!(stopped.stdout.contains("cancelled"), "{}", stopped.stdout);
    assert!(
        stopped.stderr.contains("SIGTERM was sent to process"),
        "{}",
        stopped.stderr
    );
    assert_eq!(by_us.wait(), 130);
    assert_eq!(
        files_left(&home.job("by-us")),
        files_left(&home.job("by-hand"))
    );
    for name in ["by-us", "by-hand"] {
        let shown = home.shown(name);
        assert_eq!(shown["status"], "cancelled", "{shown}");
        assert_eq!(shown["harbor"]["trials"]["cancelled"], 1);
    }
    let again = home.docks.run_jobs("runs stop by-us --force");
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("is not running"), "{}", again.stderr);
}

fn resumed(home: &HarborHome, wrapper: &[&str]) -> Running {
    let mut harbor = home.start("resumed", "-n 1");
    midway(home, "resumed");
    harbor.signal("KILL");
    harbor.wait();
    let harbor = home.harbor(wrapper, "job resume -p jobs/resumed");
    eventually("the resumed job runs", || {
        let shown = home.shown("resumed");
        shown["harbor"]["pid"] == harbor.pid() && shown["harbor"]["trials"]["running"] == 1
    });
    midway(home, "resumed");
    harbor
}

#[test]
#[ignore = "needs Harbor: .ci/run harbor-live"]
fn a_resumed_job_that_does_not_handle_sigterm_is_stopped_with_sigint() {
    let home = home();
    let mut harbor = resumed(&home, &[]);
    let stopped = home.docks.run_jobs("runs eval-cancel resumed --force");
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    assert!(
        stopped.stderr.contains("SIGINT was sent"),
        "{}",
        stopped.stderr
    );
    assert_eq!(harbor.wait(), 130);
    assert_eq!(home.shown("resumed")["harbor"]["state"], "cancelled");
}

#[test]
#[ignore = "needs Harbor: .ci/run harbor-live"]
fn a_job_that_handles_no_signal_is_killed_only_on_request() {
    let home = home();
    // As a script starts it with `&`: SIGINT is ignored, and a resume does not handle SIGTERM.
    let mut harbor = resumed(&home, &["bash", "-c", "trap '' INT; exec \"$0\" \"$@\""]);
    let refused = home.docks.run_jobs("runs stop resumed --force");
    assert_eq!(refused.code, Some(1), "{}", refused.stdout);
    assert!(
        refused.stderr.contains("catches neither"),
        "{}",
        refused.stderr
    );
    assert!(refused.stderr.contains("--kill"), "{}", refused.stderr);
    assert!(!harbor.ended());
    let killed = home.docks.run_jobs("runs stop resumed --force --kill");
    assert_eq!(killed.code, Some(0), "{}", killed.stderr);
    assert_eq!(harbor.wait(), -9);
    let shown = home.shown("resumed");
    assert_eq!(
        (&shown["status"], &shown["harbor"]["state"]),
        (&"failed".into(), &"killed".into())
    );
}

#[test]
#[ignore = "needs Harbor: .ci/run harbor-live"]
fn a_suspended_job_is_not_signalled_and_stops_once_it_continues() {
    let home = home();
    let mut harbor = home.start("suspended", "-n 2");
    midway(&home, "suspended");
    harbor.signal("STOP");
    let refused = home.docks.run_jobs("runs stop suspended --force");
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("is suspended"),
        "{}",
        refused.stderr
    );
    assert!(!harbor.ended());
    assert_eq!(home.shown("suspended")["status"], "running");
    harbor.signal("CONT");
    home.docks
        .run_jobs("runs stop suspended --force")
        .expect_success();
    harbor.wait();
    assert_eq!(home.shown("suspended")["status"], "cancelled");
    figures::compare(&home, "suspended");
}
