//! What callers are told who wait for the mirror to catch up.

use std::time::Duration;

use docks_proto::routes::RunKind;

use crate::catch_up::{CatchUpReport, CatchUpScope};
use crate::fetch_key::FetchKey;
use docksd_remote::FaultClass;

use super::driver::Driver;
use super::remote_habits::{Fault, Habits};
use super::request_cost::run;
use crate::state::Reply;

/// Longest time that catching up may take, of the simulation's clock.
const PATIENCE: Duration = Duration::from_secs(600);

/// Returns a driver whose remote has ended runs that were never mirrored.
async fn with_ended_runs(count: u64) -> Driver {
    let driver = Driver::new(Habits::PLAIN, 5).await;
    driver.edit(|world| world.runs[1] = (0..count).map(|n| run(n, "completed")).collect());
    driver
}

/// Waits for the last report of a caller, while somebody else asks for a run that does not exist.
async fn last_report_beside_mistyped_ids(driver: &mut Driver) -> CatchUpReport {
    let deadline = driver.now().mono + PATIENCE;
    loop {
        let now = driver.now();
        assert!(now.mono < deadline, "it never ends");
        let mistyped = FetchKey::Run(RunKind::Run, "nobody".to_owned());
        driver.state.request_refresh(&mistyped, now.mono, 77);
        driver.run_for(Duration::from_millis(20)).await;
        if let Some(last) = driver.state.take_reports().pop().filter(|r| r.finished) {
            return last;
        }
    }
}

#[tokio::test]
async fn trials_that_failed_are_reported_with_their_own_error() {
    let mut driver = with_ended_runs(3).await;
    driver.edit(|world| {
        world.broken.insert("trials r1".to_owned());
    });
    let now = driver.now();
    driver.state.catch_up(1, CatchUpScope::Full, now);
    let last = last_report_beside_mistyped_ids(&mut driver).await;
    let error = last.error.expect("the trials of a run are missing");
    assert_eq!(error.class(), Some(FaultClass::Outage), "{error:?}");
    assert!(error.chain().contains("500"), "{error:?}");
    assert_eq!(last.left, 1);
}

#[tokio::test]
async fn a_run_that_goes_while_others_wait_is_no_failure() {
    for others_fail in [false, true] {
        let mut driver = with_ended_runs(30).await;
        if others_fail {
            driver.edit(|world| {
                world.broken.insert("trials r1".to_owned());
            });
        }
        let now = driver.now();
        driver.state.catch_up(1, CatchUpScope::Full, now);
        let is_known = async |driver: &Driver| driver.rows(RunKind::Evaluation).await.len() == 30;
        while !is_known(&driver).await {
            driver.run_for(Duration::from_millis(10)).await;
        }
        driver.edit(|world| world.runs[1].retain(|run| run.id != "r0"));
        let last = last_report_beside_mistyped_ids(&mut driver).await;
        let asked = |what: &str| {
            let world = driver.world.lock().unwrap();
            world.log.iter().any(|(_, asked)| asked == what)
        };
        assert!(asked("trials r0"), "the test is about its 404");
        match last.error {
            Some(error) => assert!(others_fail && error.chain().contains("500"), "{error:?}"),
            None => assert!(!others_fail),
        }
    }
}

#[tokio::test]
async fn a_remote_that_wants_to_be_left_alone_is_the_reason_and_not_what_somebody_mistyped() {
    let mut driver = with_ended_runs(3).await;
    driver.run_for(Duration::from_secs(60)).await;
    // The 404 is under way when the remote asks to be left alone.
    driver.latency = 300..301;
    let now = driver.now();
    let mistyped = FetchKey::Run(RunKind::Run, "nobody".to_owned());
    driver.state.request_refresh(&mistyped, now.mono, 1);
    driver.run_for(Duration::from_millis(1)).await;
    driver.latency = 50..51;
    driver.edit(|world| world.fault = Fault::RateLimited(Some(60)));
    let list = FetchKey::List(RunKind::Run);
    driver.state.request_refresh(&list, now.mono, 2);
    driver.run_for(Duration::from_millis(400)).await;
    let (now, list) = (driver.now(), FetchKey::List(RunKind::Evaluation));
    driver.state.request_refresh(&list, now.mono, 3);
    driver.run_for(Duration::from_millis(1)).await;
    let class = |waiter| {
        driver.replies.iter().find_map(|(to, reply)| match reply {
            Reply::Confirmed(Err(error)) if *to == waiter => error.class(),
            _ => None,
        })
    };
    assert_eq!(class(1), Some(FaultClass::NotFound));
    assert_eq!(class(2), Some(FaultClass::RateLimited));
    assert_eq!(class(3), Some(FaultClass::RateLimited));
    let now = driver.now();
    driver.state.catch_up(4, CatchUpScope::Planned, now);
    driver.run_for(Duration::from_secs(5)).await;
    let last = driver.state.take_reports().pop().unwrap();
    let class = last.error.and_then(|error| error.class());
    assert_eq!(
        (last.finished, class),
        (true, Some(FaultClass::RateLimited))
    );
}

/// Returns a remote with ended runs, of which one was changed by hand since they were mirrored: its trials, and
/// nothing of the run itself.
async fn with_regraded_trial(habits: Habits, runs: u64) -> Driver {
    let mut driver = Driver::new(habits, 3).await;
    driver.edit(|world| {
        world.runs[1] = (0..runs).map(|n| run(n, "completed")).collect();
        for run in &mut world.runs[1] {
            run.trials.insert("t0".to_owned(), ("passed", 0));
        }
    });
    driver.run_for(Duration::from_secs(600)).await;
    assert_eq!(driver.difference().await, None);
    driver.edit(|world| {
        world.runs[1][1]
            .trials
            .insert("t0".to_owned(), ("failed", 1));
        world.log.clear();
    });
    driver
}

#[tokio::test]
async fn trials_of_an_ended_run_that_were_changed_by_hand_are_seen_by_who_asks_for_all() {
    let with_etags = Habits {
        etag: true,
        ..Habits::PLAIN
    };
    for (habits, runs) in [(Habits::PLAIN, 3), (with_etags, 300), (Habits::FILES, 3)] {
        for full in [false, true] {
            let mut driver = with_regraded_trial(habits, runs).await;
            let now = driver.now();
            let scope = if full {
                CatchUpScope::Full
            } else {
                CatchUpScope::TrialsSince(now.stamp)
            };
            driver.state.catch_up(1, scope, now);
            let last = last_report(&mut driver).await;
            assert!(last.error.is_none(), "{last:?}");
            assert_eq!(driver.difference().await, None, "{habits:?} {full}");
            // Each once, and none when nobody waits any more.
            assert_eq!(driver.requests_for_trials(), runs as usize);
            driver.run_for(Duration::from_secs(60)).await;
            assert_eq!(driver.requests_for_trials(), runs as usize);
            assert_eq!(driver.state.backlog(), 0);
        }
    }
}

#[tokio::test]
async fn trials_that_were_confirmed_recently_enough_are_not_requested_again() {
    let mut driver = with_regraded_trial(Habits::PLAIN, 3).await;
    let now = driver.now();
    let recent = CatchUpScope::TrialsSince(now.stamp.minus(Duration::from_secs(3_600)));
    driver.state.catch_up(1, recent, now);
    assert!(last_report(&mut driver).await.error.is_none());
    assert_eq!(driver.requests_for_trials(), 0);
}

#[tokio::test]
async fn who_asks_for_all_trials_is_told_which_could_not_be_confirmed() {
    let mut driver = with_regraded_trial(Habits::PLAIN, 30).await;
    driver.edit(|world| {
        world.broken.insert("trials r1".to_owned());
    });
    let now = driver.now();
    let scope = CatchUpScope::TrialsSince(now.stamp);
    driver.state.catch_up(1, scope, now);
    let error = last_report(&mut driver).await.error.unwrap();
    assert!(error.chain().contains("500"), "{error:?}");
    assert_eq!(driver.requests_for_trials(), 30);
}

async fn last_report(driver: &mut Driver) -> CatchUpReport {
    let deadline = driver.now().mono + PATIENCE;
    loop {
        assert!(driver.now().mono < deadline, "it never ends");
        driver.run_for(Duration::from_millis(20)).await;
        if let Some(last) = driver.state.take_reports().pop().filter(|r| r.finished) {
            return last;
        }
    }
}

#[tokio::test]
async fn who_asks_for_all_trials_does_not_wait_for_what_changes_meanwhile() {
    let mut driver = with_regraded_trial(Habits::PLAIN, 12).await;
    let now = driver.now();
    let scope = CatchUpScope::TrialsSince(now.stamp);
    driver.state.catch_up(1, scope, now);
    let mut version = 1;
    while driver
        .state
        .take_reports()
        .pop()
        .is_none_or(|r| !r.finished)
    {
        let waited = driver.now().mono - now.mono;
        assert!(waited < Duration::from_secs(30), "it waits for all changes");
        // Each makes the trials of its run due once more.
        version += 1;
        driver.edit(|world| {
            for run in &mut world.runs[1] {
                run.version = version;
            }
        });
        let now = driver.now();
        let list = FetchKey::List(RunKind::Evaluation);
        driver.state.request_refresh(&list, now.mono, 77);
        driver.run_for(Duration::from_millis(100)).await;
    }
    for run in 0..12 {
        let trials = docksd_mirror::Resource::Trials(format!("r{run}"));
        let confirmed = driver.mirror.confirmation(&trials).await.unwrap().unwrap();
        assert!(confirmed.at >= now.stamp);
    }
}
