//! Every change of a real job is shown soon, from its first folder to its end.

use std::time::{Duration, Instant};

use super::figures;
use super::harbor::{FileCounts, HarborHome, Running};
use crate::test_home::eventually;

/// Time from a change on disk until it is shown: median.
const MEDIAN_BUDGET: Duration = Duration::from_millis(300);
/// The same for every change, on a busy machine.
const MAX_BUDGET: Duration = Duration::from_millis(2_500);

fn tasks(home: &HarborHome) {
    home.task("quick", "", "echo working; sleep 0.4", "1");
    home.task(
        "wrong",
        "",
        "for n in 1 2 3; do echo $n; sleep 0.1; done",
        "0",
    );
    let mark = home.docks.path("mark");
    let once = format!(
        "mkdir {m} 2>/dev/null || exit 0; exit 9",
        m = mark.display()
    );
    home.task("flaky", &once, "sleep 0.2", "1");
    home.task("broken", "exit 7", "true", "1");
}

/// Follows a job until its process ends; returns how long each change took to be shown.
fn follow(home: &HarborHome, name: &str, harbor: &mut Running) -> Vec<Duration> {
    let mut lags = Vec::new();
    let mut last: Option<FileCounts> = None;
    let mut since = None;
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let over = harbor.ended();
        let before = home.count_files(name);
        if before.is_some() && before != last {
            last.clone_from(&before);
            since.get_or_insert_with(Instant::now);
        }
        let shown = home.shown(name);
        let agrees = before
            .as_ref()
            .is_some_and(|truth| truth.agrees_with(&shown));
        if agrees && let Some(at) = since.take() {
            lags.push(at.elapsed());
        }
        if over && agrees && home.count_files(name) == before {
            return lags;
        }
        let all = || format!("{before:?}\n{shown}\n{}", home.log());
        assert!(Instant::now() < deadline, "they never agreed: {}", all());
    }
}

#[expect(clippy::print_stderr, reason = "the figures are worth seeing")]
fn judge(what: &str, mut lags: Vec<Duration>) {
    lags.sort_unstable();
    let at = |share: usize| lags[(lags.len() - 1) * share / 100];
    eprintln!(
        "{what}: {} changes, shown after {:?} (half), {:?} (all)",
        lags.len(),
        at(50),
        at(100)
    );
    assert!(
        at(50) <= MEDIAN_BUDGET,
        "half of the changes took longer: {lags:?}"
    );
    assert!(at(100) <= MAX_BUDGET, "a change took very long: {lags:?}");
}

#[test]
#[ignore = "needs Harbor: .ci/run harbor-live"]
fn a_real_job_is_followed_through_errors_and_a_retry_to_its_end() {
    let home = HarborHome::new();
    tasks(&home);
    home.docks.run_jobs("runs list").expect_success();
    let mut harbor = home.start("whole", "-k 2 -n 3 -r 1");
    let lags = follow(&home, "whole", &mut harbor);
    assert_eq!(harbor.wait(), 0, "{}", home.log());
    judge("a job from first folder to end", lags);
    let shown = home.shown("whole");
    assert_eq!(shown["status"], "completed");
    // Two attempts at a broken environment, each tried twice, and one first start that failed.
    assert_eq!(shown["harbor"]["n_retries"], 3, "{shown}");
    assert_eq!(shown["harbor"]["errors"]["RuntimeError"], 2);
    assert_eq!(shown["passed_trials"], 4);
    figures::compare(&home, "whole");
    let followed = home.docks.status();
    assert_eq!(followed["remotes"][0]["following"], "events", "{followed}");
}

#[test]
#[ignore = "needs Harbor: .ci/run harbor-live"]
fn a_killed_job_is_shown_as_killed_and_its_resume_is_followed() {
    let home = HarborHome::new();
    home.task("quick", "", "sleep 0.3", "1");
    home.task(
        "slow",
        "",
        "for n in $(seq 30); do echo $n; sleep 0.1; done",
        "1",
    );
    home.docks.run_jobs("runs list").expect_success();
    let mut harbor = home.start("killed", "-n 2");
    eventually("one trial has ended and one runs", || {
        let truth = home.count_files("killed");
        truth.is_some_and(|truth| (truth.ended, truth.unended) == (1, 1))
    });
    let before = home.trials("killed");
    harbor.signal("KILL");
    harbor.wait();
    eventually("it is shown as killed", || {
        home.shown("killed")["harbor"]["state"] == "killed"
    });
    let id = home.shown("killed")["id"].clone();
    let mut harbor = home.harbor(&[], "job resume -p jobs/killed");
    let lags = follow(&home, "killed", &mut harbor);
    assert_eq!(harbor.wait(), 0, "{}", home.log());
    judge("a resumed job", lags);
    let shown = home.shown("killed");
    assert_eq!((&shown["id"], &shown["status"]), (&id, &"completed".into()));
    let after = home.trials("killed");
    assert_eq!(after.len(), 2);
    let kept = after.keys().filter(|name| before.contains_key(*name));
    assert_eq!(kept.count(), 1, "the one that had ended is kept: {after:?}");
    figures::compare(&home, "killed");
}
