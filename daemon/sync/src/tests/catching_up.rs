//! What callers are told who wait for the mirror to catch up.

use std::time::Duration;

use docks_proto::error::ErrorCode;
use docks_proto::routes::RunKind;

use crate::catch_up::CatchUpReport;
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
    driver.state.catch_up(1, true, now);
    let last = last_report_beside_mistyped_ids(&mut driver).await;
    let error = last.error.expect("the trials of a run are missing");
    assert_eq!(error.code, ErrorCode::RemoteUnreachable, "{error:?}");
    assert!(error.message.contains("500"), "{error:?}");
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
        driver.state.catch_up(1, true, now);
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
            Some(error) => assert!(others_fail && error.message.contains("500"), "{error:?}"),
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
    driver.state.catch_up(4, false, now);
    driver.run_for(Duration::from_secs(5)).await;
    let last = driver.state.take_reports().pop().unwrap();
    let code = last.error.map(|error| error.code);
    assert_eq!((last.finished, code), (true, Some(ErrorCode::RateLimited)));
}
