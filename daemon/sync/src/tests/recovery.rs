//! What happens during and after outages, rate limits and clock jumps.

use std::time::Duration;

use docks_proto::routes::RunKind;

use crate::catch_up::CatchUpScope;
use crate::fetch_key::FetchKey;
use crate::state::Reply;
use docksd_remote::FaultClass;

use super::driver::Driver;
use super::remote_habits::{Fault, Habits};
use super::request_cost::{run, settled};

#[tokio::test]
async fn active_runs_are_right_ten_seconds_after_an_outage_without_a_burst() {
    for outage in [3, 20, 60, 600] {
        let mut driver = settled(Habits::PLAIN, 300, 100).await;
        driver.edit(|world| world.fault = Fault::Outage);
        driver.run_for(Duration::from_secs(outage)).await;
        driver.edit(|world| {
            world.fault = Fault::None;
            world.log.clear();
            for run in world.runs[1].iter_mut().skip(300) {
                run.version += 1;
            }
        });
        driver.run_for(Duration::from_secs(10)).await;
        assert_eq!(driver.difference().await, None, "after {outage} s");
        let world = driver.world.lock().unwrap();
        for (at, _) in &world.log {
            let second = *at..*at + Duration::from_secs(1);
            let burst = world.log.iter().filter(|(t, _)| second.contains(t)).count();
            assert!(burst <= 3, "{burst} requests in a second");
        }
    }
}

#[tokio::test]
async fn an_outage_is_probed_rarely() {
    let mut driver = settled(Habits::PLAIN, 10, 5).await;
    driver.edit(|world| world.fault = Fault::Outage);
    driver.run_for(Duration::from_secs(60)).await;
    let before = driver.requests();
    driver.run_for(Duration::from_secs(3_600)).await;
    let probes = driver.requests() - before;
    assert!((360..=640).contains(&probes), "{probes}");
}

#[tokio::test]
async fn retry_after_is_honoured_and_capped() {
    for (said, least, most) in [
        (Some(7), 7, 20),
        (Some(0), 1, 12),
        (Some(10 * 365 * 86_400), 600, 615),
        (None, 2, 70),
    ] {
        let mut driver = settled(Habits::PLAIN, 10, 5).await;
        driver.edit(|world| world.fault = Fault::RateLimited(said));
        let before = driver.requests();
        while driver.requests() == before {
            driver.run_for(Duration::from_millis(100)).await;
        }
        driver.edit(|world| world.fault = Fault::None);
        let (start, before) = (driver.seconds(), driver.requests());
        driver.run_for(Duration::from_millis(500)).await;
        // Users get the error at once and no request is sent.
        let now = driver.now();
        driver
            .state
            .request_refresh(&FetchKey::List(RunKind::Run), now.mono, 1);
        driver.run_for(Duration::from_millis(1)).await;
        assert!(matches!(
            driver.replies.pop(),
            Some((1, Reply::Confirmed(Err(error)))) if error.class() == Some(FaultClass::RateLimited)
        ));
        while driver.requests() == before {
            driver.run_for(Duration::from_millis(100)).await;
        }
        let pause = driver.seconds() - start;
        assert!(
            (f64::from(least) - 0.6..f64::from(most)).contains(&pause),
            "{said:?}: {pause}"
        );
    }
}

#[tokio::test]
async fn ten_years_of_clock_jumps_poll_no_more_than_usual() {
    for jump in [315_360_000_000, -315_360_000_000, 3_600_000, -86_400_000] {
        let mut driver = settled(Habits::PLAIN, 50, 0).await;
        driver.clock.jump_wall(jump);
        let before = driver.requests();
        driver.run_for(Duration::from_secs(1_200)).await;
        assert!(driver.requests() - before <= 41, "{jump}");
        driver.edit(|world| world.runs[1][0].version = 9);
        let now = driver.now();
        driver.state.request_sweep(now);
        driver.run_for(Duration::from_secs(60)).await;
        assert_eq!(driver.difference().await, None, "{jump}");
    }
}

#[tokio::test]
async fn a_disk_that_has_room_again_soon_gets_the_whole_list_soon() {
    for full_for in [1, 5] {
        let mut driver = Driver::new(Habits::PLAIN, 5).await;
        driver.edit(|world| world.runs[1] = (0..250).map(|n| run(n, "completed")).collect());
        driver.break_disk(0);
        driver.run_for(Duration::from_secs(full_for)).await;
        assert!(driver.state.lists[1].unstored_sweep.is_some());
        driver.mend_disk();
        driver.run_for(Duration::from_secs(10)).await;
        assert!(driver.state.lists[1].unstored_sweep.is_none());
        assert_eq!(driver.rows(RunKind::Evaluation).await.len(), 250);
    }
}

#[tokio::test]
async fn a_disk_that_stays_full_is_tried_rarely() {
    let mut driver = Driver::new(Habits::PLAIN, 5).await;
    driver.edit(|world| world.runs[1] = (0..250).map(|n| run(n, "completed")).collect());
    driver.break_disk(0);
    driver.run_for(Duration::from_secs(300)).await;
    let before = driver.state.lists[1].unstored_sweeps;
    driver.run_for(Duration::from_secs(600)).await;
    let tried = driver.state.lists[1].unstored_sweeps - before;
    assert!((8..=14).contains(&tried), "{tried}");
    driver.mend_disk();
    driver.run_for(Duration::from_secs(70)).await;
    assert_eq!(driver.rows(RunKind::Evaluation).await.len(), 250);
}

#[tokio::test]
async fn catching_up_ends_with_everything_mirrored_or_a_reason() {
    let mut driver = Driver::new(Habits::PLAIN, 5).await;
    driver.edit(|world| world.runs[1] = (0..250).map(|n| run(n, "completed")).collect());
    let now = driver.now();
    driver.state.catch_up(1, CatchUpScope::Full, now);
    driver.run_for(Duration::from_secs(60)).await;
    let reports = driver.state.take_reports();
    let last = reports.last().unwrap();
    assert!(last.finished && last.error.is_none(), "{last:?}");
    assert_eq!(driver.difference().await, None);
    driver.edit(|world| world.fault = Fault::Outage);
    let now = driver.now();
    driver.state.catch_up(2, CatchUpScope::Planned, now);
    driver.run_for(Duration::from_secs(30)).await;
    let reports = driver.state.take_reports();
    let last = reports.last().unwrap();
    assert!(last.finished && last.error.is_some(), "{last:?}");
}

#[tokio::test]
async fn trials_that_were_open_when_their_run_had_just_ended_are_requested_again_after_a_restart() {
    let mut driver = settled(Habits::PLAIN, 5, 1).await;
    driver.edit(|world| {
        world.runs[1][5].trials.insert("t".into(), ("running", 0));
        world.runs[1][5].status = "completed";
        world.runs[1][5].updated += 1;
    });
    // A replica that lags shows the trial as it was.
    driver.run_for(Duration::from_secs(20)).await;
    let held = driver.trial_rows("r5").await.unwrap();
    assert!(held[0].contains("running"), "{held:?}");
    driver.edit(|world| {
        world.runs[1][5].trials.insert("t".into(), ("passed", 1));
    });
    driver.restart(1).await;
    driver.run_for(Duration::from_secs(10)).await;
    let held = driver.trial_rows("r5").await.unwrap();
    assert!(held[0].contains("passed"), "{held:?}");
}

#[tokio::test]
async fn trials_that_failed_are_requested_again_when_their_run_has_ended_or_is_back() {
    for is_deleted in [false, true] {
        let mut driver = settled(Habits::PLAIN, 5, 1).await;
        // The remote cannot answer for its trials, so soon they are rarely requested.
        driver.edit(|world| {
            world.broken.insert("trials r5".to_owned());
            let run = &mut world.runs[1][5];
            run.trials.insert("t".to_owned(), ("passed", 1));
            (run.status, run.version, run.updated) = ("completed", 1, 1);
        });
        driver.run_for(Duration::from_secs(3_600)).await;
        driver.edit(|world| {
            let run = &mut world.runs[1][5];
            (run.status, run.version, run.updated) = ("running", 2, 2);
            if is_deleted {
                world.before[1] = vec![world.runs[1].remove(5)];
            }
        });
        let now = driver.now();
        driver.state.request_sweep(now);
        driver.run_for(Duration::from_secs(60)).await;
        driver.edit(|world| {
            if is_deleted {
                let run = world.before[1].remove(0);
                world.runs[1].push(run);
            }
            let run = &mut world.runs[1][5];
            (run.status, run.version, run.updated) = ("completed", 3, 3);
            world.broken.clear();
        });
        driver.run_for(Duration::from_secs(120)).await;
        assert_eq!(driver.difference().await, None, "deleted: {is_deleted}");
    }
}
