//! A wrong clock at start, or one that was wrong before: nothing is deleted too early or kept for ever, and
//! nothing looks fresher than it is.

use std::time::Duration;

use docks_proto::routes::RunKind;

use crate::clock::Clock;
use docksd_mirror::{Resource, Retention};

use super::driver::Driver;
use super::remote_habits::Habits;
use super::request_cost::settled;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
const TEN_YEARS_MS: i64 = 3_650 * 86_400_000;
const LIST: Resource = Resource::List(RunKind::Evaluation);

async fn events(driver: &Driver) -> usize {
    driver.mirror.events_after(0, 1_000).await.unwrap().len()
}

/// Requests an upkeep and lets time pass. Returns whether it was done.
async fn upkeep(driver: &mut Driver, time: Duration) -> bool {
    let before = driver.upkeep.last();
    driver.upkeep.request(Retention::default());
    driver.run_for(time).await;
    driver.upkeep.last() != before
}

async fn error_of_list_ms(driver: &Driver) -> i64 {
    let confirmed = driver.mirror.confirmation(&LIST).await.unwrap();
    driver.clock.error_ms(confirmed.unwrap().at)
}

#[tokio::test]
async fn a_machine_that_boots_years_ahead_prunes_no_history_and_confirms_nothing_in_the_future() {
    let mut driver = settled(Habits::PLAIN, 5, 1).await;
    let all = events(&driver).await;
    driver.clock.jump_wall(TEN_YEARS_MS);
    driver.clock.reboot();
    driver.restart(1).await;
    assert!(!upkeep(&mut driver, MINUTE * 9).await);
    assert!(error_of_list_ms(&driver).await < 1_000);
    driver.clock.jump_wall(-TEN_YEARS_MS);
    driver.run_for(MINUTE * 2).await;
    assert!(
        driver.upkeep.last().is_some(),
        "it is done when the clock is right"
    );
    assert_eq!(events(&driver).await, all);
}

#[tokio::test]
async fn after_years_that_a_clock_claims_nothing_is_pruned_until_it_has_run_for_as_long() {
    let mut driver = settled(Habits::PLAIN, 5, 0).await;
    let all = events(&driver).await;
    driver.clock.jump_wall(TEN_YEARS_MS);
    driver.restart(1).await;
    driver.run_for(MINUTE * 11).await;
    assert!(
        error_of_list_ms(&driver).await > TEN_YEARS_MS / 2,
        "it is believed"
    );
    for _ in 0..8 {
        assert!(upkeep(&mut driver, MINUTE).await);
        assert_eq!(events(&driver).await, all);
        driver.clock.advance(DAY * 11);
        driver.restart(2).await;
        driver.run_for(MINUTE * 11).await;
    }
    driver.clock.advance(DAY * 11);
    assert!(upkeep(&mut driver, MINUTE).await);
    assert_eq!(events(&driver).await, 0);
}

#[tokio::test]
async fn a_list_confirmed_years_ahead_is_neither_fresh_nor_in_the_way_and_its_history_is_pruned_in_time()
 {
    let mut driver = settled(Habits::PLAIN, 5, 1).await;
    driver.clock.jump_wall(TEN_YEARS_MS);
    driver.run_for(MINUTE * 11).await;
    driver.edit(|world| world.runs[1][5].status = "failed");
    driver.run_for(MINUTE).await;
    assert!(error_of_list_ms(&driver).await > TEN_YEARS_MS / 2);
    let all = events(&driver).await;

    driver.clock.jump_wall(-TEN_YEARS_MS);
    driver.clock.advance(DAY);
    driver.clock.reboot();
    driver.restart(1).await;
    let confirmed = driver.mirror.confirmation(&LIST).await.unwrap().unwrap();
    let mono = driver.now().mono;
    assert!(driver.steady.age(confirmed.at, mono) > DAY);
    assert!(
        driver
            .state
            .lists
            .iter()
            .all(|list| list.sweep_due.is_some())
    );
    driver.edit(|world| {
        world.runs[1][5].status = "running";
        world.runs[1][5].updated += 1;
    });
    driver.run_for(MINUTE).await;
    assert_eq!(driver.difference().await, None);
    assert!(!upkeep(&mut driver, MINUTE).await);

    driver.run_for(MINUTE * 10).await;
    assert_eq!(driver.went_back, 1);
    assert!(driver.upkeep.last().is_some());
    let error = error_of_list_ms(&driver).await;
    assert!(error.abs() < 100_000, "{error}");
    assert_eq!(events(&driver).await, all + 1);
    driver.edit(|world| world.runs[1][5].status = "completed");
    driver.run_for(MINUTE * 2).await;
    assert_eq!(driver.difference().await, None);

    // From then on time passes as usual.
    for _ in 0..9 {
        assert_eq!(events(&driver).await, all + 2);
        driver.clock.advance(DAY * 11);
        driver.restart(2).await;
        assert!(upkeep(&mut driver, MINUTE * 11).await);
    }
    assert_eq!(events(&driver).await, 0);
}

#[tokio::test]
async fn a_dead_clock_changes_nothing_and_is_not_gone_back_to() {
    let mut driver = settled(Habits::PLAIN, 5, 1).await;
    let all = events(&driver).await;
    driver.clock.jump_wall(-TEN_YEARS_MS);
    driver.clock.reboot();
    driver.restart(1).await;
    assert!(!upkeep(&mut driver, MINUTE * 30).await);
    assert_eq!(driver.went_back, 0);
    let stamp = driver.now().stamp;
    assert!(driver.clock.error_ms(stamp).abs() < 100_000);
    assert!(stamp > driver.clock.wall());
    assert_eq!(driver.difference().await, None);
    driver.clock.jump_wall(TEN_YEARS_MS);
    driver.run_for(MINUTE).await;
    assert!(driver.upkeep.last().is_some());
    assert_eq!(events(&driver).await, all);
}

#[tokio::test]
async fn what_was_stored_by_a_dead_clock_is_not_pruned_as_if_it_were_as_old_as_it_says() {
    let mut driver = settled(Habits::PLAIN, 5, 1).await;
    driver.clock.jump_wall(-TEN_YEARS_MS);
    driver.clock.advance(DAY * 25);
    driver.clock.reboot();
    driver.restart(1).await;
    // Deleted now, by timestamps that say 25 days ago.
    driver.edit(|world| drop(world.runs[1].remove(3)));
    driver.run_for(MINUTE * 5).await;
    assert!(is_stored(&driver, "r3").await);
    driver.clock.jump_wall(TEN_YEARS_MS);
    driver.clock.reboot();
    driver.restart(2).await;
    driver.clock.advance(DAY * 10);
    assert!(upkeep(&mut driver, MINUTE).await);
    assert!(is_stored(&driver, "r3").await);
    driver.clock.advance(DAY * 21);
    assert!(upkeep(&mut driver, MINUTE).await);
    assert!(!is_stored(&driver, "r3").await);
}

/// Whether the mirror still knows the run, be it as a tombstone.
async fn is_stored(driver: &Driver, id: &str) -> bool {
    let stored = driver.mirror.run(RunKind::Evaluation, id).await.unwrap();
    stored.is_some()
}
