//! Trials of ended runs that nobody has requested yet.

use std::time::Duration;

use docks_proto::routes::RunKind;

use crate::catch_up::CatchUpScope;
use crate::fetch_key::FetchKey;

use super::driver::Driver;
use super::remote_habits::Habits;
use super::request_cost::run;

const MINUTE: Duration = Duration::from_secs(60);

/// Returns a remote with ended runs, one of which has a trial that never ended.
async fn without_backfill(ended: u64) -> Driver {
    let mut driver = Driver::new(Habits::PLAIN, 3).await;
    driver.state.options.backfill = false;
    driver.edit(|world| {
        world.runs[1] = (0..ended).map(|n| run(n, "completed")).collect();
        let trials = &mut world.runs[1][0].trials;
        trials.insert("t0".to_owned(), ("running", 0));
    });
    driver
}

#[tokio::test]
async fn without_backfill_only_requested_trials_are_fetched() {
    let mut driver = without_backfill(300).await;
    driver.run_for(10 * MINUTE).await;
    assert_eq!(driver.rows(RunKind::Evaluation).await.len(), 300);
    assert_eq!(driver.requests_for_trials(), 0);
    assert_eq!(driver.state.backlog(), 0);

    // A caller gets the trials of its run, and no other caller waits for them.
    let now = driver.now();
    driver
        .state
        .request_refresh(&FetchKey::Trials("r0".into()), now.mono, 1);
    driver.run_for(MINUTE).await;
    assert_eq!(driver.requests_for_trials(), 1);

    let now = driver.now();
    driver.state.catch_up(2, CatchUpScope::Planned, now);
    driver.run_for(MINUTE).await;
    let last = driver.state.take_reports().pop().unwrap();
    assert!(last.finished && last.error.is_none(), "{last:?}");
    assert_eq!(driver.requests_for_trials(), 1);
}

#[tokio::test]
async fn without_backfill_a_full_catch_up_fetches_all_trials() {
    let mut driver = without_backfill(300).await;
    driver.run_for(10 * MINUTE).await;
    let now = driver.now();
    driver.state.catch_up(1, CatchUpScope::Full, now);
    driver.run_for(2 * MINUTE).await;
    let last = driver.state.take_reports().pop().unwrap();
    assert!(last.finished && last.error.is_none(), "{last:?}");
    assert_eq!(driver.difference().await, None);
}
