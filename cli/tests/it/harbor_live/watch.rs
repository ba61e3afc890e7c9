//! A real job is watched from before its start to its end, including the exit code.

use std::collections::BTreeMap;
use std::fs;

use docks_proto::object::{Lifecycle, lifecycle};

use super::harbor::{HarborHome, Running};
use crate::test_home::eventually;
use crate::watch::Watch;

/// Watches a job that does not exist yet, and starts it.
fn begin(home: &HarborHome, name: &str, more: &str) -> (Watch, Running) {
    home.docks.run_jobs("runs list").expect_success();
    let line = format!("runs watch {name} --wait-for-start 120s --exit-status");
    let watch = Watch::of(&mut home.docks.command_jobs(&line));
    (watch, home.start(name, more))
}

/// Returns how often each trial was reported as ended; checks that the run was reported once.
fn ends(
    home: &HarborHome,
    lines: &[String],
    name: &str,
    statuses: &[&str],
) -> BTreeMap<String, usize> {
    let cells: Vec<Vec<&str>> = lines
        .iter()
        .map(|line| line.split('\t').collect())
        .collect();
    let of_run = cells.iter().filter(|cells| cells[2].is_empty());
    let ended = of_run.filter(|cells| lifecycle(cells[4]) == Lifecycle::Terminal);
    let reported: Vec<_> = ended.map(|cells| (cells[1], cells[4])).collect();
    let as_expected =
        matches!(reported[..], [(run, status)] if run == name && statuses.contains(&status));
    assert!(as_expected, "{lines:#?}\n{}", home.log());
    let mut ends = BTreeMap::new();
    for cells in cells.iter().filter(|cells| !cells[2].is_empty()) {
        *ends.entry(cells[2].to_owned()).or_default() +=
            usize::from(lifecycle(cells[4]) == Lifecycle::Terminal);
    }
    ends
}

/// Returns the trials for which Harbor wrote a result.
fn results(home: &HarborHome, name: &str) -> Vec<String> {
    let folders = fs::read_dir(home.job(name)).unwrap().flatten();
    let ended = folders.filter(|folder| folder.path().join("result.json").exists());
    let mut names: Vec<String> = ended
        .map(|folder| folder.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
#[ignore = "needs Harbor: .ci/run harbor-live"]
fn a_real_job_is_watched_to_its_end_and_each_trial_ends_once() {
    let home = HarborHome::new();
    // No trial ends before the watch has begun: what it meets as ended it does not tell.
    let mark = home.docks.path("mark");
    let wait = format!("until [ -e {} ]; do sleep 0.1; done", mark.display());
    home.task("quick", "", &format!("{wait}; sleep 0.4"), "1");
    home.task("wrong", "", &wait, "0");
    home.task("broken", &format!("{wait}; exit 7"), "true", "1");
    let (mut watch, mut harbor) = begin(&home, "whole", "-k 3 -n 2");
    watch.until("\trunning");
    fs::write(mark, "").unwrap();
    assert_eq!(harbor.wait(), 0, "{}", home.log());
    let (code, lines, errors) = watch.end();
    assert_eq!(code, Some(0), "{errors}");
    let ends = ends(&home, &lines, "whole", &["completed"]);
    let all = || {
        home.docks
            .run_jobs("runs changes --since 1h --limit 0 --format jsonl")
            .stdout
    };
    assert_eq!(ends.len(), 9, "{lines:#?}\n{}", all());
    assert!(ends.values().all(|times| *times == 1), "{lines:#?}");
    assert!(ends.keys().eq(results(&home, "whole").iter()), "{lines:#?}");
}

#[test]
#[ignore = "needs Harbor: .ci/run harbor-live"]
fn the_watch_of_a_job_that_is_interrupted_or_dies_says_so_by_its_exit_code() {
    for (name, signal, statuses, wanted) in [
        ("interrupted", "INT", ["cancelled", "cancelled"], 11),
        // Killed while it writes its result, Harbor leaves half a file.
        ("killed", "KILL", ["failed", "partial"], 10),
    ] {
        let home = HarborHome::new();
        home.task("slow", "", "sleep 30", "1");
        let (mut watch, mut harbor) = begin(&home, name, "-k 2 -n 2");
        watch.until("\trunning");
        eventually("its trials are at work", || {
            home.shown(name)["harbor"]["trials"]["running"] == 2
        });
        harbor.signal(signal);
        harbor.wait();
        let (code, lines, errors) = watch.end();
        assert_eq!(code, Some(wanted), "{errors}\n{lines:#?}");
        let ends = ends(&home, &lines, name, &statuses);
        assert!(ends.values().all(|times| *times <= 1), "{lines:#?}");
    }
}
