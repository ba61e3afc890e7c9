//! `docks tasks list` and `docks tasks history`, with the real daemon.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::remote::Remote;
use crate::sealed::check_needs_daemon;
use crate::test_home::TestHome;

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn the_tasks_of_real_jobs_are_counted_as_lists_of_trials_have_them() {
    let home = TestHome::with_jobs();
    let answer = home.run_jobs("tasks list -n 0 --format json --meta");
    let answer = read(&answer.expect_success());
    assert_eq!(answer["total"], 9);
    assert!(answer["as_of"].is_string() && answer["incomplete"].is_null());
    let trials = home.run_jobs("runs trials --all-runs -n 0 --format json");
    let trials = read(&trials.expect_success());
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for trial in trials.as_array().unwrap() {
        *counts
            .entry(trial["task_slug"].as_str().unwrap())
            .or_default() += 1;
    }
    let tasks = answer["data"].as_array().unwrap();
    let listed: BTreeMap<&str, u64> = tasks
        .iter()
        .map(|task| {
            (
                task["task"].as_str().unwrap(),
                task["trials"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(listed, counts);
    // The scoreboard's matrix has the same attempts.
    let board = home.run_jobs("runs score --by agent --format json");
    let board = read(&board.expect_success());
    for (task, scored) in tasks.iter().zip(board["tasks"].as_array().unwrap()) {
        assert_eq!(task["task"], scored["task"]);
        let sum = |figure: &str| -> u64 {
            let rows = scored["rows"].as_array().unwrap().iter();
            rows.filter_map(|row| row[figure].as_u64()).sum()
        };
        assert_eq!(
            (&task["known"], &task["solved"]),
            (&json!(sum("attempts")), &json!(sum("solved")))
        );
    }
    let rows = home.run_jobs("tasks list --sort difficulty --agent oracle --limit 2 --format tsv");
    assert!(rows.stderr.contains("2 of 9"), "{}", rows.stderr);
    let rows = rows.expect_success();
    let names: Vec<&str> = rows
        .lines()
        .map(|line| line.split('\t').next().unwrap())
        .collect();
    assert_eq!(names, ["task", "bad-env", "long-solve"]);
    let none = home
        .run_jobs("tasks list --dataset nothing")
        .expect_success();
    assert_eq!(none, "");
    let found = home.run_jobs("tasks list --search SUM --format jsonl");
    assert_eq!(read(&found.expect_success())["task"], "sum-orders");
}

#[test]
fn a_history_has_each_run_of_a_task_and_no_trial_of_another() {
    let home = TestHome::with_jobs();
    let history = home.run_jobs("tasks history hello --format json");
    let history = read(&history.expect_success());
    let rows = history["rows"].as_array().unwrap();
    let of_runs: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row["run"].as_str().unwrap(),
                row["solved"].as_u64(),
                row["ended"].as_u64(),
            )
        })
        .collect();
    let run = |name, solved, ended| (name, Some(solved), Some(ended));
    assert_eq!(
        of_runs,
        [
            run("2026-11-23__16-43-17", 2, 2),
            run("nightly-mixed", 2, 4),
            run("interrupted-midway", 2, 2),
            run("killed-midway", 2, 2)
        ]
    );
    // Only in the figures of its row does the list know it otherwise.
    let listed = home.run_jobs("tasks list --search hello --format json");
    assert_eq!(history["tasks"], read(&listed.expect_success()));
    let newest = home.run_jobs("tasks history HELLO-FILE --limit 1 --agent oracle --format tsv");
    assert!(
        newest.stderr.contains("the newest 1 of 4 rows"),
        "{}",
        newest.stderr
    );
    let newest = newest.expect_success();
    assert!(
        newest.starts_with("from\trun\trun_id\tstatus\t"),
        "{newest}"
    );
    assert!(newest.contains("\tkilled-midway\t") && newest.lines().count() == 2);
    let weeks = home.run_jobs("tasks history hello-file --by week --format jsonl");
    let weeks = read(&weeks.expect_success());
    assert_eq!(
        (&weeks["from"], &weeks["runs"], &weeks["ended"]),
        (&json!("2026-11-23T00:00:00.000Z"), &json!(4), &json!(10))
    );
    // An answer that is kept is not one of another task, nor of an older mirror.
    let other = home
        .run_jobs("tasks history fix-clamp --format json")
        .expect_success();
    assert_eq!(read(&other)["rows"].as_array().unwrap().len(), 1);
    fs::remove_dir_all(home.jobs().join("killed-midway")).unwrap();
    let fresh = home.run_jobs("tasks history hello-file --fresh --format json");
    assert_eq!(
        read(&fresh.expect_success())["rows"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
}

#[test]
fn a_task_that_is_not_there_or_meant_is_said_and_without_a_daemon_nothing_is() {
    let home = TestHome::with_jobs();
    let unknown = home.run_jobs("tasks history nothing");
    assert_eq!(unknown.code, Some(3));
    assert!(
        unknown.stderr.contains("No task `nothing`"),
        "{}",
        unknown.stderr
    );
    assert!(
        unknown.stderr.contains("docks tasks list"),
        "{}",
        unknown.stderr
    );
    let sort = home.run_jobs("tasks list --sort reward");
    assert_eq!(sort.code, Some(2));
    assert!(sort.stderr.contains("flakiness"), "{}", sort.stderr);
    let remote = Remote::with_trials(
        r#"{"id":"t-1","task_slug":"sum-a","status":"passed"},
                   {"id":"t-2","task_slug":"sum-b","status":"failed","completed_at":"no time"},
                   {"id":"t-3","task_slug":"\u001b]0;owned\u0007","status":"failed"},
                   {"id":"t-4","status":"failed"}"#,
    );
    let home = TestHome::with_remote(&remote);
    home.run("sync --full").expect_success();
    let several = home.run("tasks history sum");
    assert_eq!(several.code, Some(9));
    assert!(several.stderr.contains("sum-a") && several.stderr.contains("sum-b"));
    let rows = home.run("tasks list").expect_success();
    assert_eq!(
        rows.lines().count(),
        4,
        "also trials without a task: {rows:?}"
    );
    assert!(!rows.contains(['\u{1b}', '\u{7}']), "{rows:?}");
    let two = home.run("-p a,b tasks list");
    assert_eq!(two.code, Some(2));
    check_needs_daemon("tasks list");
    check_needs_daemon("tasks history x");
}
