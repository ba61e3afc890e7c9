//! What users see of syncing: deletions, empty answers, their own actions, local files.

use std::time::Duration;

use docks_proto::routes::{Action, RunKind};

use crate::fetch_key::FetchKey;
use crate::state::Reply;
use docksd_mirror::Resource;
use docksd_remote::{ActionTarget, FaultClass};

use super::driver::Driver;
use super::remote_habits::{Fault, Habits};
use super::request_cost::{run, settled};

const EVALUATION: RunKind = RunKind::Evaluation;

#[tokio::test]
async fn both_lists_are_polled_before_anything_else() {
    let mut driver = Driver::new(Habits::PLAIN, 1).await;
    driver.edit(|world| world.runs[1] = (0..500).map(|n| run(n, "completed")).collect());
    driver.run_for(Duration::from_millis(1)).await;
    assert_eq!(driver.rows(EVALUATION).await.len(), 100);
    let world = driver.world.lock().unwrap();
    let lists: Vec<&str> = world.log.iter().map(|(_, what)| &what[..8]).collect();
    assert_eq!(lists, ["list run", "list eva"]);
}

#[tokio::test]
async fn a_run_that_answers_404_is_gone_only_after_a_list_without_it() {
    let mut driver = settled(Habits::PLAIN, 20, 0).await;
    driver.edit(|world| drop(world.runs[1].remove(3)));
    let now = driver.now();
    let key = FetchKey::Run(EVALUATION, "r3".into());
    driver.state.request_refresh(&key, now.mono, 1);
    driver.run_for(Duration::from_millis(500)).await;
    assert!(matches!(
        driver.replies.pop(),
        Some((1, Reply::Confirmed(Err(error)))) if error.class() == Some(FaultClass::NotFound)
    ));
    driver.run_for(Duration::from_secs(120)).await;
    assert_eq!(driver.difference().await, None);
    let stored = driver.mirror.run(EVALUATION, "r3").await.unwrap().unwrap();
    assert!(stored.gone_at.is_some());
}

#[tokio::test]
async fn a_fresh_list_shows_no_run_that_is_gone() {
    // More than one poll asks for.
    for gone in [1, 45] {
        let mut driver = settled(Habits::PLAIN, 60, 0).await;
        driver.edit(|world| {
            world.log.clear();
            drop(world.runs[1].drain(5..5 + gone));
        });
        let now = driver.now();
        let list = FetchKey::List(EVALUATION);
        driver.state.request_refresh(&list, now.mono, 1);
        while driver.replies.is_empty() {
            driver.run_for(Duration::from_millis(20)).await;
        }
        assert!(matches!(
            driver.replies.pop(),
            Some((1, Reply::Confirmed(Ok(_))))
        ));
        assert_eq!(driver.difference().await, None);
        let world = driver.world.lock().unwrap();
        let asked = world
            .log
            .iter()
            .filter(|(_, what)| what.starts_with("run "));
        assert_eq!(asked.count(), gone);
    }
}

#[tokio::test]
async fn a_list_that_lacks_runs_is_not_believed_and_costs_few_requests() {
    let mut driver = settled(Habits::PLAIN, 60, 0).await;
    driver.edit(|world| {
        world.log.clear();
        world.unlisted = 5..55;
    });
    for waiter in 0..30 {
        let now = driver.now();
        let list = FetchKey::List(EVALUATION);
        driver.state.request_refresh(&list, now.mono, waiter);
        driver.run_for(Duration::from_millis(1_000)).await;
        assert!(matches!(
            driver.replies.pop(),
            Some((_, Reply::Confirmed(Ok(_))))
        ));
    }
    assert_eq!(driver.difference().await, None);
    let world = driver.world.lock().unwrap();
    let asked = world
        .log
        .iter()
        .filter(|(_, what)| what.starts_with("run "));
    assert_eq!(asked.count(), 3 * 20);
}

#[tokio::test]
async fn a_poll_that_sees_a_reopening_confirms_the_list_once_that_is_believed() {
    let mut driver = settled(Habits::PLAIN, 20, 0).await;
    let edited = driver.now().stamp;
    driver.edit(|world| world.runs[1][3].status = "running");
    let list = Resource::List(EVALUATION);
    let mut is_confirmed = false;
    for _ in 0..300 {
        driver.run_for(Duration::from_millis(500)).await;
        let confirmation = driver.mirror.confirmation(&list).await.unwrap().unwrap();
        let held = driver.mirror.run(EVALUATION, "r3").await.unwrap().unwrap();
        is_confirmed = confirmation.at > edited;
        assert!(!is_confirmed || held.status == "running");
    }
    assert!(is_confirmed);
}

#[tokio::test]
async fn a_run_whose_trials_answer_404_is_gone_after_a_sweep_without_it() {
    let mut driver = settled(Habits::PLAIN, 20, 0).await;
    driver.edit(|world| drop(world.runs[1].remove(3)));
    let now = driver.now();
    let key = FetchKey::Trials("r3".into());
    driver.state.request_refresh(&key, now.mono, 1);
    driver.run_for(Duration::from_secs(120)).await;
    assert_eq!(driver.difference().await, None);
}

#[tokio::test]
async fn a_total_below_the_number_of_rows_leads_to_a_sweep_that_finds_what_is_gone() {
    for counts in [true, false] {
        let habits = Habits {
            counts,
            ..Habits::PLAIN
        };
        let mut driver = settled(habits, 150, 0).await;
        // Older than what polls of the list show.
        driver.edit(|world| drop(world.runs[1].remove(3)));
        driver.run_for(Duration::from_secs(120)).await;
        let is_found = driver.difference().await.is_none();
        assert_eq!(
            is_found, counts,
            "without a total only a later sweep finds it"
        );
    }
}

#[tokio::test]
async fn an_active_run_that_vanishes_is_noticed_without_a_reader() {
    let mut driver = settled(Habits::PLAIN, 20, 5).await;
    driver.edit(|world| drop(world.runs[1].remove(22)));
    driver.run_for(Duration::from_secs(150)).await;
    assert_eq!(driver.difference().await, None);
}

#[tokio::test]
async fn an_empty_answer_is_requested_again_and_deletes_nothing() {
    for habits in [Habits::PLAIN, Habits::FILES] {
        let mut driver = settled(habits, 20, 5).await;
        driver.edit(|world| world.fault = Fault::Empty);
        let now = driver.now();
        let list = Resource::List(EVALUATION);
        let before = driver.mirror.confirmation(&list).await.unwrap().unwrap();
        driver
            .state
            .request_refresh(&FetchKey::List(EVALUATION), now.mono, 1);
        driver.state.request_sweep(now);
        driver.run_for(Duration::from_millis(1_500)).await;
        let after = driver.mirror.confirmation(&list).await.unwrap().unwrap();
        assert_eq!(before.at, after.at);
        assert!(driver.replies.is_empty());
        driver.run_for(Duration::from_secs(300)).await;
        assert_eq!(driver.rows(EVALUATION).await.len(), 25);
        assert!(matches!(
            driver.replies.pop(),
            Some((1, Reply::Confirmed(Ok(_))))
        ));
    }
}

#[tokio::test]
async fn an_ended_run_is_fetched_once_more_with_its_trials_and_then_left_alone() {
    let mut driver = settled(Habits::PLAIN, 5, 1).await;
    driver.edit(|world| {
        world.log.clear();
        let run = &mut world.runs[1][5];
        run.status = "completed";
        run.version += 1;
        run.trials.insert("t1".into(), ("passed", 1));
    });
    driver.run_for(Duration::from_secs(1_200)).await;
    assert_eq!(driver.difference().await, None);
    let world = driver.world.lock().unwrap();
    let requests = |what: &str| world.log.iter().filter(|(_, w)| w == what).count();
    assert_eq!(requests("run r5"), 1);
    assert_eq!(requests("trials r5"), 1);
}

#[tokio::test]
async fn no_read_after_an_action_shows_the_state_before_it() {
    for seed in 0..40 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut driver = settled(Habits::PLAIN, 3, 1).await;
        driver.latency = 50..2_500;
        driver
            .run_for(Duration::from_millis(rng.u64(..6_000)))
            .await;
        driver
            .state
            .request_action(Action::Cancel, "r3".into(), ActionTarget::Run, 9);
        while driver.replies.is_empty() {
            driver.run_for(Duration::from_millis(50)).await;
        }
        for _ in 0..20 {
            let held = driver.mirror.run(EVALUATION, "r3").await.unwrap().unwrap();
            assert_eq!(held.status, "cancelled");
            driver
                .run_for(Duration::from_millis(rng.u64(..1_000)))
                .await;
        }
    }
}

#[tokio::test]
async fn changes_and_deletions_in_a_directory_are_noticed_within_seconds() {
    let mut driver = settled(Habits::FILES, 20, 3).await;
    driver.edit(|world| {
        world.runs[1][21].version += 1;
        world.runs[1].remove(4);
        world.runs[1].push(run(90, "running"));
    });
    driver.run_for(Duration::from_millis(2_500)).await;
    let rows = driver.rows(EVALUATION).await;
    assert!(rows.iter().any(|row| row.contains("r90")));
    driver.run_for(Duration::from_secs(15)).await;
    assert_eq!(driver.difference().await, None);
    driver.edit(|world| world.fault = Fault::Outage);
    driver.run_for(Duration::from_secs(60)).await;
    driver.edit(|world| {
        world.fault = Fault::None;
        world.runs[1][20].version += 1;
    });
    driver.run_for(Duration::from_secs(7)).await;
    assert_eq!(driver.difference().await, None);
}

#[tokio::test]
async fn one_broken_run_does_not_hold_up_the_others() {
    let mut driver = Driver::new(Habits::PLAIN, 4).await;
    driver.edit(|world| {
        world.runs[1] = (0..200).map(|n| run(n, "completed")).collect();
        world.broken = (100..200).map(|n| format!("trials r{n}")).collect();
    });
    driver.run_for(Duration::from_secs(400)).await;
    let held = driver.trial_rows("r0").await;
    assert!(held.is_some());
    let now = driver.now();
    assert!(driver.state.last_hour(now).0 < 1_700);
}
