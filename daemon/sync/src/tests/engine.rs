//! The engine's task, in real time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use docks_proto::object::RunFields;
use docks_proto::routes::{Action, RunKind};
use docks_proto::time::UnixMs;
use tokio::sync::mpsc;

use crate::clock::manual::ManualClock;
use crate::upkeep::is_missed;
use crate::{Clock, Options, ScheduledWork, SyncError, SyncHandle, SystemClock, spawn};
use docksd_mirror::{Mirror, Provenance, Resource};

use super::remote_habits::{Fault, Habits, Run};
use super::simulated_remote::{Simulated, World};

struct TestEngine {
    handle: SyncHandle,
    mirror: Mirror,
    world: Arc<Mutex<World>>,
    _dir: tempfile::TempDir,
}

fn start_engine() -> TestEngine {
    let dir = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let path = dir.path().join("mirror.db");
    let (mirror, _) = Mirror::open(&path, "simulated", clock.wall()).unwrap();
    let run = |n: u64| Run {
        id: format!("r{n}"),
        status: "running",
        made: n,
        version: 0,
        updated: 0,
        trials: [("t1".to_owned(), ("running", 0))].into(),
    };
    let mut world = World::new(Habits::PLAIN, Arc::new(ManualClock::new()), 1);
    world.runs = [vec![run(1)], vec![run(2)]];
    let world = Arc::new(Mutex::new(world));
    let remote = Arc::new(Simulated(Arc::clone(&world)));
    TestEngine {
        handle: spawn(remote, mirror.clone(), clock, Options::default()),
        mirror,
        world,
        _dir: dir,
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .expect("it ends in time")
}

#[tokio::test]
async fn catching_up_mirrors_everything_and_reports_it_last() {
    let engine = start_engine();
    let (progress, mut messages) = mpsc::channel(64);
    within(engine.handle.catch_up(true, progress)).await;
    let mut last = None;
    while let Ok(message) = messages.try_recv() {
        assert!(last.is_none_or(|finished: bool| !finished));
        last = Some(message.finished);
    }
    assert_eq!(last, Some(true));
    let rows = engine.mirror.stats().await.unwrap().rows;
    assert_eq!((rows.runs, rows.evaluation_runs, rows.trials), (1, 1, 1));
    assert_eq!(engine.handle.health().circuit, "closed");
    within(engine.handle.stop()).await;
}

#[tokio::test]
async fn an_action_is_in_the_mirror_before_its_caller_continues() {
    let engine = start_engine();
    let acted = within(engine.handle.act(Action::Cancel, "r2"))
        .await
        .unwrap();
    let status = RunFields::from_object(&acted.object).status.text();
    assert_eq!(status.as_deref(), Some("cancelled"));
    let held = engine.mirror.run(RunKind::Evaluation, "r2").await.unwrap();
    assert_eq!(held.unwrap().status, "cancelled");
    let events = engine.mirror.events_after(0, 100).await.unwrap();
    assert!(events.iter().any(|e| e.provenance == Provenance::OwnAction));
}

#[tokio::test]
async fn a_refresh_answers_all_callers_and_a_stop_leaves_none_waiting() {
    let engine = start_engine();
    let now = SystemClock.wall();
    let resource = Resource::Run(RunKind::Run, "r1".into());
    let at = within(engine.handle.refresh(resource.clone(), now))
        .await
        .unwrap();
    assert!(at >= now);
    let confirmed = engine
        .mirror
        .run(RunKind::Run, "r1")
        .await
        .unwrap()
        .unwrap();
    assert!(confirmed.confirmed_at >= now);
    let missing = Resource::Run(RunKind::Run, "nobody".into());
    let error = within(engine.handle.refresh(missing, now))
        .await
        .unwrap_err();
    assert_eq!(error.class(), Some(docksd_remote::FaultClass::NotFound));
    engine.world.lock().unwrap().fault = Fault::Outage;
    let error = within(engine.handle.refresh(resource.clone(), SystemClock.wall())).await;
    assert!(matches!(error, Err(SyncError::Remote(_))));
    let handle = engine.handle.clone();
    within(engine.handle.stop()).await;
    let error = within(handle.refresh(resource, UnixMs(0))).await;
    assert!(matches!(error, Err(SyncError::Stopped)));
}

#[tokio::test]
async fn callers_of_an_engine_that_stops_get_a_last_message() {
    let engine = start_engine();
    let handle = engine.handle.clone();
    within(engine.handle.stop()).await;
    let (progress, mut messages) = mpsc::channel(4);
    within(handle.catch_up(false, progress)).await;
    let last = messages.try_recv().unwrap();
    assert!(last.finished && last.error.is_some());
}

#[tokio::test]
async fn upkeep_is_done_when_scheduled_or_never_done_before() {
    let retention = docksd_mirror::Retention::default();
    for work in [
        ScheduledWork::Upkeep(retention),
        ScheduledWork::MissedUpkeep(retention),
    ] {
        let engine = start_engine();
        engine.handle.run_scheduled(work);
        within(async {
            while engine.handle.health().last_upkeep.is_none() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Starts an engine with a clock of its own, whose mirror has confirmed a list at these times.
async fn start_engine_after(clock: &Arc<ManualClock>, confirmed: &[UnixMs]) -> TestEngine {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mirror.db");
    let (mirror, _) = Mirror::open(&path, "simulated", clock.wall()).unwrap();
    for at in confirmed {
        let confirmation = docksd_mirror::Confirmation {
            at: *at,
            validator: None,
            complete: true,
        };
        let list = Resource::List(RunKind::Run);
        mirror
            .record_confirmation(list, confirmation)
            .await
            .unwrap();
    }
    let world = World::new(Habits::PLAIN, Arc::clone(clock), 1);
    let world = Arc::new(Mutex::new(world));
    let remote = Arc::new(Simulated(Arc::clone(&world)));
    let own_clock = Arc::clone(clock) as Arc<dyn Clock>;
    TestEngine {
        handle: spawn(remote, mirror.clone(), own_clock, Options::default()),
        mirror,
        world,
        _dir: dir,
    }
}

#[tokio::test]
async fn upkeep_waits_for_a_clock_that_is_years_ahead_at_start_to_last() {
    let clock = Arc::new(ManualClock::new());
    let confirmed = clock.wall();
    clock.jump_wall(i64::try_from(TEN_YEARS.as_millis()).unwrap());
    let engine = start_engine_after(&clock, &[confirmed]).await;
    let upkeep = ScheduledWork::MissedUpkeep(docksd_mirror::Retention::default());
    engine.handle.run_scheduled(upkeep);
    let list = Resource::List(RunKind::Run);
    for _ in 0..10 {
        let at = within(engine.handle.refresh(list.clone(), clock.wall())).await;
        assert!(clock.error_ms(at.unwrap()) < 60_000, "it is plausible");
        assert_eq!(engine.handle.health().last_upkeep, None);
        clock.advance(Duration::from_secs(5));
    }
    clock.advance(Duration::from_secs(600));
    within(async {
        while engine.handle.health().last_upkeep.is_none() {
            engine.handle.mark_watched(&list);
            tokio::task::yield_now().await;
        }
    })
    .await;
    within(engine.handle.stop()).await;
}

#[tokio::test]
async fn the_engine_goes_back_to_a_clock_that_was_set_right_years_ago() {
    let clock = Arc::new(ManualClock::new());
    let now = clock.wall();
    let times = [now.minus(Duration::from_secs(60)), now.plus(TEN_YEARS)];
    let engine = start_engine_after(&clock, &times).await;
    let list = Resource::List(RunKind::Run);
    let refresh = async || within(engine.handle.refresh(list.clone(), clock.wall())).await;
    assert!(refresh().await.unwrap() > times[1], "as before");
    clock.advance(Duration::from_secs(601));
    within(async {
        while refresh().await.unwrap() > clock.wall() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let confirmed = engine.mirror.confirmation(&list).await.unwrap().unwrap();
    assert_eq!(confirmed.at, clock.wall());
    let success = engine.handle.health().last_success.unwrap();
    assert!(success <= clock.wall(), "{success:?}");
    within(engine.handle.stop()).await;
}

#[test]
fn upkeep_is_missed_when_a_night_passed_without_it() {
    let now = UnixMs(1_764_000_000_000);
    let hours = |count: u64| Some(now.minus(Duration::from_secs(count * 3_600)));
    for (last, missed) in [
        (None, true),
        (hours(0), false),
        (hours(25), false),
        (hours(27), true),
        (hours(24 * 90), true),
    ] {
        assert_eq!(is_missed(last, now), missed, "{last:?}");
    }
    let dated_by_a_wrong_clock = now.plus(Duration::from_secs(3_600 * 24 * 90));
    assert!(is_missed(Some(dated_by_a_wrong_clock), now));
}

#[tokio::test]
async fn a_stale_answer_says_why_it_is_stale() {
    let engine = start_engine();
    engine.world.lock().unwrap().fault = Fault::Refused401;
    let now = SystemClock.wall();
    let refused = within(engine.handle.refresh(Resource::List(RunKind::Run), now)).await;
    assert!(refused.is_err());
    within(async {
        while engine.handle.health().circuit == "closed" {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let confirmed = docksd_mirror::Confirmation {
        at: now.minus(Duration::from_secs(3_600)),
        validator: None,
        complete: true,
    };
    let freshness = engine.handle.freshness(Some(&confirmed), true);
    assert!(freshness.age >= Duration::from_secs(3_599));
    let reason = freshness.stale_reason.unwrap();
    assert!(reason.contains("refuses the token"), "{reason}");
}
