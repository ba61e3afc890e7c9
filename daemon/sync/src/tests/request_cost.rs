//! What syncing costs the remote in requests, and how late changes are noticed.

use std::collections::BTreeMap;
use std::time::Duration;

use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;

use crate::fetch_key::FetchKey;
use crate::state::Reply;
use docksd_mirror::Resource;

use super::driver::Driver;
use super::remote_habits::{Habits, Run};

pub(super) fn run(number: u64, status: &'static str) -> Run {
    Run {
        id: format!("r{number}"),
        status,
        made: number,
        version: 0,
        updated: 0,
        trials: BTreeMap::new(),
    }
}

pub(super) async fn settled(habits: Habits, ended: u64, active: u64) -> Driver {
    let mut driver = Driver::new(habits, 7).await;
    driver.edit(|world| {
        world.runs[1] = (0..ended)
            .map(|n| run(n, "completed"))
            .chain((ended..ended + active).map(|n| run(n, "running")))
            .collect();
    });
    driver.run_for(Duration::from_secs(300)).await;
    assert_eq!(driver.difference().await, None);
    driver
}

#[tokio::test]
async fn an_idle_remote_gets_at_most_two_requests_a_minute() {
    let mut driver = settled(Habits::PLAIN, 50, 0).await;
    let before = driver.requests();
    driver.run_for(Duration::from_secs(3_600)).await;
    assert!(driver.requests() - before <= 120);
}

/// What readers watch during a measurement.
#[derive(Debug, Clone, Copy)]
enum Watching {
    Nobody,
    /// The trials of this many runs, as watches of named runs do.
    Runs(usize),
    /// The same and both lists.
    All(usize),
}

impl Watching {
    fn resources(self) -> Vec<Resource> {
        let (runs, lists) = match self {
            Watching::Nobody => (0, false),
            Watching::Runs(runs) => (runs, false),
            Watching::All(runs) => (runs, true),
        };
        let trials = (400..400 + runs).map(|run| Resource::Trials(format!("r{run}")));
        let lists = RunKind::ALL
            .into_iter()
            .filter(|_| lists)
            .map(Resource::List);
        trials.chain(lists).collect()
    }
}

#[tokio::test]
async fn a_hundred_active_runs_cost_twelve_requests_a_minute_and_are_six_seconds_late_at_most() {
    println!("\n| 100 active runs, simulated | p50 | p99 | requests/min |");
    println!("| --- | --- | --- | --- |");
    for (etag, watching, words) in [
        (false, Watching::Nobody, "without ETags"),
        (true, Watching::Nobody, "with ETags"),
        (
            false,
            Watching::Runs(1),
            "without, trials of one run watched",
        ),
        (
            false,
            Watching::Runs(16),
            "without, trials of 16 runs watched",
        ),
        (
            false,
            Watching::All(16),
            "without, these and both lists watched",
        ),
    ] {
        let habits = Habits {
            etag,
            ..Habits::PLAIN
        };
        let mut driver = settled(habits, 400, 100).await;
        let mut rng = fastrand::Rng::with_seed(3);
        let mut late = Vec::new();
        let mut version = 0;
        // A new reader gets trials at once, which costs requests once; these are not counted.
        mark_watched(&mut driver, watching);
        driver.run_for(Duration::from_secs(120)).await;
        let before = driver.requests();
        let end = driver.seconds() + 600.0;
        while driver.seconds() < end {
            mark_watched(&mut driver, watching);
            let pick = rng.usize(400..500);
            version += 1;
            let changed = driver.seconds();
            driver.edit(|world| world.runs[1][pick].version = version);
            let wanted = driver.world.lock().unwrap().runs[1][pick].text();
            loop {
                driver.run_for(Duration::from_millis(100)).await;
                let held = driver
                    .mirror
                    .run(RunKind::Evaluation, &format!("r{pick}"))
                    .await;
                if held.unwrap().unwrap().text == wanted {
                    break;
                }
            }
            late.push(driver.seconds() - changed);
        }
        let requests = driver.requests() - before;
        let minutes = (driver.seconds() - end + 600.0) / 60.0;
        assert!(
            requests as f64 <= 12.0 * minutes + 1.0,
            "{words}: {requests} in {minutes} min"
        );
        late.sort_by(f64::total_cmp);
        let p99 = late[late.len() * 99 / 100];
        // Checking ten times a second adds up to 0.1 s.
        assert!(p99 <= 6.1, "{words}: {p99}");
        println!(
            "| {words} | {:.1} s | {p99:.1} s | {:.1} |",
            late[late.len() / 2],
            requests as f64 / minutes
        );
    }
}

fn mark_watched(driver: &mut Driver, watching: Watching) {
    let now = driver.now();
    for resource in watching.resources() {
        driver.state.mark_watched(&resource, now);
    }
}

#[tokio::test]
async fn trials_of_watched_runs_are_fetched_in_turn() {
    for (active, most) in [(6, 60), (100, 700)] {
        let mut driver = settled(Habits::PLAIN, 400, active).await;
        driver.edit(|world| {
            for run in &mut world.runs[1][400..406] {
                run.trials.insert("t0".to_owned(), ("running", 0));
            }
            // A run whose trials fail must not hold up the others.
            world.broken.insert("trials r403".to_owned());
        });
        let watching = Watching::Runs(6);
        let mut waited = 0;
        loop {
            mark_watched(&mut driver, watching);
            driver.run_for(Duration::from_secs(10)).await;
            waited += 10;
            let mut known = 0;
            for run in 400..406 {
                let held = driver.trial_rows(&format!("r{run}")).await;
                known += usize::from(held.is_some_and(|rows| rows.len() == 1));
            }
            if known == 5 {
                break;
            }
            assert!(waited < most, "{known} of 5 after {waited} s");
        }
    }
}

#[tokio::test]
async fn two_busy_lists_cost_no_more_however_much_is_watched() {
    let mut driver = settled(Habits::PLAIN, 400, 60).await;
    driver.edit(|world| world.runs[0] = (0..60).map(|n| run(n, "running")).collect());
    for watching in [Watching::Nobody, Watching::Runs(4), Watching::All(4)] {
        mark_watched(&mut driver, watching);
        driver.run_for(Duration::from_secs(180)).await;
        let before = driver.requests();
        for _ in 0..60 {
            mark_watched(&mut driver, watching);
            driver.run_for(Duration::from_secs(10)).await;
        }
        let requests = driver.requests() - before;
        assert!(requests <= 121, "{watching:?}: {requests} in 10 min");
    }
}

#[tokio::test]
async fn idle_polls_are_answered_304_where_etags_work() {
    let habits = Habits {
        etag: true,
        ..Habits::PLAIN
    };
    let mut driver = settled(habits, 50, 0).await;
    let now = driver.now();
    let before = driver.state.last_hour(now);
    driver.run_for(Duration::from_secs(1_800)).await;
    let now = driver.now();
    let after = driver.state.last_hour(now);
    let (requests, same) = (after.0 - before.0, after.1 - before.1);
    assert!(same * 10 >= requests * 9, "{same} of {requests}");
}

#[tokio::test]
async fn fifty_callers_at_once_cost_one_request() {
    let mut driver = settled(Habits::PLAIN, 10, 0).await;
    let keys = [
        FetchKey::List(RunKind::Evaluation),
        FetchKey::Run(RunKind::Evaluation, "r3".into()),
        FetchKey::Trials("r3".into()),
    ];
    for key in keys {
        let (now, before) = (driver.now(), driver.requests());
        for waiter in 0..50 {
            driver.state.request_refresh(&key, now.mono, waiter);
        }
        driver.run_for(Duration::from_secs(1)).await;
        assert_eq!(driver.requests() - before, 1, "{key:?}");
        assert_eq!(std::mem::take(&mut driver.replies).len(), 50);
    }
}

#[tokio::test]
async fn a_fresh_answer_was_validated_after_the_request() {
    let mut driver = settled(Habits::PLAIN, 5, 5).await;
    driver.latency = 50..3_000;
    let mut rng = fastrand::Rng::with_seed(11);
    let mut requested: Vec<UnixMs> = Vec::new();
    for waiter in 0..1_000 {
        let now = driver.now();
        requested.push(now.stamp);
        let key = match rng.u8(..3) {
            0 => FetchKey::List(RunKind::Evaluation),
            1 => FetchKey::Run(RunKind::Evaluation, "r7".into()),
            _ => FetchKey::Trials("r7".into()),
        };
        driver.state.request_refresh(&key, now.mono, waiter);
        driver
            .run_for(Duration::from_millis(rng.u64(0..2_000)))
            .await;
    }
    driver.run_for(Duration::from_secs(10)).await;
    assert_eq!(driver.replies.len(), 1_000);
    for (waiter, reply) in &driver.replies {
        let Reply::Confirmed(Ok(at)) = reply else {
            panic!("{reply:?}");
        };
        assert!(*at >= requested[usize::try_from(*waiter).unwrap()]);
    }
}

#[tokio::test]
async fn trials_of_a_watched_run_follow_it() {
    let mut driver = settled(Habits::PLAIN, 0, 1).await;
    for _ in 0..5 {
        driver.edit(|world| {
            let trials = &mut world.runs[1][0].trials;
            trials.insert(format!("t{}", trials.len()), ("running", 0));
        });
        let now = driver.now();
        driver
            .state
            .mark_watched(&Resource::Trials("r0".into()), now);
        driver.run_for(Duration::from_secs(7)).await;
        let held = driver.trial_rows("r0").await.unwrap_or_default();
        let theirs = driver.world.lock().unwrap().runs[1][0].trial_texts();
        assert_eq!(held, theirs);
    }
}
