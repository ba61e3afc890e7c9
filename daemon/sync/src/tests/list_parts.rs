//! Lists that are longer than what is polled, or that come in smaller pages.

use std::time::Duration;

use docks_proto::routes::RunKind;

use crate::fetch_key::FetchKey;
use crate::state::Reply;
use docksd_mirror::Resource;

use super::driver::Driver;
use super::remote_habits::Habits;
use super::request_cost::{run, settled};

const EVALUATION: RunKind = RunKind::Evaluation;
const IN_PAGES: Habits = Habits {
    cap: Some(40),
    ..Habits::PLAIN
};

async fn status(driver: &Driver, id: &str) -> String {
    let stored = driver.mirror.run(EVALUATION, id).await.unwrap();
    stored.unwrap().status
}

fn set_status(driver: &Driver, number: usize, status: &'static str) {
    driver.edit(|world| world.runs[1][number].status = status);
}

async fn refresh(driver: &mut Driver, key: &FetchKey) {
    let now = driver.now();
    driver.state.request_refresh(key, now.mono, 1);
    for _ in 0..500 {
        driver.run_for(Duration::from_millis(20)).await;
        if let Some((1, reply)) = driver.replies.pop() {
            assert!(matches!(reply, Reply::Confirmed(Ok(_))), "{reply:?}");
            return;
        }
    }
    panic!("no answer");
}

#[tokio::test]
async fn a_list_that_is_polled_in_parts_is_as_old_as_the_first_of_a_round() {
    // The active run is so deep that 100 rows are polled, in three parts.
    let mut driver = Driver::new(IN_PAGES, 7).await;
    driver.edit(|world| {
        world.runs[1] = (0..90).map(|n| run(n, "completed")).collect();
        world.runs[1][5].status = "running";
    });
    driver.run_for(Duration::from_secs(300)).await;
    let list = Resource::List(EVALUATION);
    let mut confirmed_changes = 0;
    // A row of each part changes, without a newer time.
    for number in [80, 45, 8, 30, 60] {
        let changed = driver.now().stamp;
        set_status(&driver, number, "failed");
        let mut is_confirmed = false;
        for _ in 0..400 {
            driver.run_for(Duration::from_millis(100)).await;
            let confirmation = driver.mirror.confirmation(&list).await.unwrap().unwrap();
            is_confirmed = confirmation.at > changed;
            if is_confirmed {
                assert_eq!(status(&driver, &format!("r{number}")).await, "failed");
                break;
            }
        }
        confirmed_changes += usize::from(is_confirmed);
    }
    assert_eq!(
        confirmed_changes, 5,
        "the list is confirmed again and again"
    );
}

#[tokio::test]
async fn a_request_for_the_whole_list_reads_all_rows() {
    for habits in [Habits::PLAIN, IN_PAGES] {
        let mut driver = settled(habits, 350, 0).await;
        // Below what is polled, an ended run starts again without a newer time, and another is gone.
        set_status(&driver, 30, "running");
        driver.edit(|world| drop(world.runs[1].remove(60)));
        refresh(&mut driver, &FetchKey::List(EVALUATION)).await;
        assert_eq!(status(&driver, "r30").await, "completed");
        let began = driver.now().stamp;
        refresh(&mut driver, &FetchKey::WholeList(EVALUATION)).await;
        assert_eq!(driver.difference().await, None, "{habits:?}");
        assert!(driver.state.lists[1].whole_confirmed >= began);
    }
}

#[tokio::test]
async fn the_whole_list_of_a_remote_with_large_pages_costs_two_requests() {
    let mut driver = settled(Habits::PLAIN, 350, 0).await;
    let before = driver.requests();
    refresh(&mut driver, &FetchKey::WholeList(EVALUATION)).await;
    // The second one shows that nothing comes after the first.
    assert!(driver.requests() - before <= 2);
}
