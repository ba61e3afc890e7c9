//! What subscribers get, from every position at which they can start.

use std::sync::Arc;
use std::time::Duration;

use docks_proto::event::{ConnectionState, Event, EventQuery, ObjectKind, Position};
use docks_proto::object::RawObject;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use tokio::time::timeout;

use super::{EngineHandle, EventFeed, Subscription, Wakeup};
use docksd_mirror::{Mirror, Provenance, Resource, Retention, RunBatch};

/// How long a test waits for a state; longer means that it will never be reached.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct RecordingEngine(std::sync::Mutex<Vec<Resource>>);

impl EngineHandle for RecordingEngine {
    fn mark_active(&self, resource: &Resource) {
        self.0.lock().unwrap().push(resource.clone());
    }

    fn connection_state(&self) -> ConnectionState {
        ConnectionState {
            unreachable_since: Some("2026-11-23T16:00:00Z".into()),
            reason: Some("no route".into()),
        }
    }
}

struct Fixture {
    feed: Arc<EventFeed>,
    engine: Arc<RecordingEngine>,
    mirror: Mirror,
    now: i64,
    _dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (mirror, _) =
            Mirror::open(&dir.path().join("m.db"), "fixture", UnixMs(0x5eed)).unwrap();
        let engine = Arc::new(RecordingEngine::default());
        Self {
            feed: EventFeed::new(mirror.clone(), Arc::clone(&engine) as Arc<dyn EngineHandle>),
            engine,
            mirror,
            now: 1_764_000_000_000,
            _dir: dir,
        }
    }

    /// Writes runs, each given as `id status`, as one response, and publishes the changes.
    async fn write_runs(&mut self, runs: &[&str]) {
        self.store_runs(runs).await;
        self.feed.publish(Wakeup::Commit).await.unwrap();
    }

    /// Writes runs; publishing them is left to the task.
    async fn store_runs(&mut self, runs: &[&str]) {
        let objects = runs.iter().map(|run| {
            let (id, status) = run.split_once(' ').unwrap();
            let text = format!(r#"{{"id":"{id}","status":"{status}","v":{}}}"#, self.now);
            RawObject::parse(&text).unwrap().unwrap()
        });
        self.store_all(RunKind::Evaluation, objects.collect()).await;
    }

    async fn store_all(&mut self, kind: RunKind, objects: Vec<RawObject>) {
        let batch = RunBatch {
            kind,
            objects,
            observed_at: UnixMs(self.now),
            provenance: Provenance::OwnAction,
        };
        self.now += 1_000;
        self.mirror.upsert_runs(batch).await.unwrap();
    }

    /// Writes one run, and publishes the change.
    async fn store(&mut self, kind: RunKind, run: RawObject) {
        self.store_all(kind, vec![run]).await;
        self.feed.publish(Wakeup::Commit).await.unwrap();
    }

    /// Writes the only trial of a run, and publishes the change.
    async fn store_trial(&mut self, run: &str, status: &str) {
        let text = format!(r#"{{"id":"t","status":"{status}"}}"#);
        let trial = RawObject::parse(&text).unwrap().unwrap();
        self.now += 1_000;
        let (at, how) = (UnixMs(self.now), Provenance::OwnAction);
        let stored = self.mirror.upsert_trial(run, trial, at, how).await;
        stored.unwrap();
        self.feed.publish(Wakeup::Commit).await.unwrap();
    }

    async fn subscribe(&self, after: Option<Position>) -> Subscription {
        self.feed
            .subscribe(EventQuery::default(), after)
            .await
            .unwrap()
    }
}

/// Reads everything that is ready, each event as a short text.
async fn read_all(subscription: &mut Subscription) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(frame) = subscription.next_frame().await.unwrap() {
        let text = std::str::from_utf8(&frame).unwrap();
        let data = text.lines().find_map(|l| l.strip_prefix("data: ")).unwrap();
        lines.push(match serde_json::from_str(data).unwrap() {
            Event::State(state) => format!("{} is {}", state.run_id, state.status),
            Event::Change(change) => {
                let object = &change.object;
                let from = change.from.unwrap_or_default();
                let left_out = match change.left_out {
                    0 => String::new(),
                    n => format!(" ({n} left out)"),
                };
                format!("{} {from}>{}{left_out}", object.run_id, object.status)
            }
            Event::Progress(p) => format!("{} progress {}", p.run_id, p.status),
            Event::Connection(source) => format!("unreachable: {}", source.reason.unwrap()),
            Event::Ready(ready) => format!("ready {}", ready.id),
            Event::Resync(resync) => format!("resync {}", resync.reason),
            Event::Unknown => unreachable!(),
        });
    }
    lines
}

#[tokio::test]
async fn a_subscriber_gets_the_current_state_and_then_each_change() {
    let mut fixture = Fixture::new();
    fixture.write_runs(&["a running", "b completed"]).await;
    let mut subscription = fixture.subscribe(None).await;
    assert_eq!(
        read_all(&mut subscription).await,
        ["a is running", "ready 5eed-2"]
    );
    fixture.write_runs(&["a failed", "c pending"]).await;
    let changes = read_all(&mut subscription).await;
    assert_eq!(changes[..2], ["a running>failed", "c >pending"]);
    assert!(read_all(&mut subscription).await.is_empty());
}

#[tokio::test]
async fn a_resumed_subscription_gets_what_it_missed_and_nothing_twice() {
    let mut fixture = Fixture::new();
    fixture.write_runs(&["a running"]).await;
    let mut subscription = fixture.subscribe(None).await;
    read_all(&mut subscription).await;
    let position = subscription.position();
    drop(subscription);
    fixture.write_runs(&["a completed", "b running"]).await;
    let mut again = fixture.subscribe(Some(position)).await;
    assert_eq!(
        read_all(&mut again).await,
        ["a running>completed", "b >running"]
    );
    // Another daemon opens the same file.
    let position = again.position();
    fixture.write_runs(&["b failed"]).await;
    fixture.feed = EventFeed::new(fixture.mirror.clone(), Arc::new(RecordingEngine::default()));
    let mut later = fixture.subscribe(Some(position)).await;
    assert_eq!(read_all(&mut later).await, ["b running>failed"]);
}

#[tokio::test]
async fn a_slow_subscriber_gets_fewer_changes_but_every_end_in_order() {
    let mut fixture = Fixture::new();
    let mut slow = fixture.subscribe(None).await;
    read_all(&mut slow).await;
    for _ in 0..150 {
        fixture.write_runs(&["a pending"]).await;
        fixture.write_runs(&["a running"]).await;
        fixture.write_runs(&["b failed", "a running"]).await;
        fixture.write_runs(&["b running"]).await;
    }
    fixture.write_runs(&["a completed"]).await;
    let lines = read_all(&mut slow).await;
    let ends = lines.iter().filter(|line| line.contains(">failed")).count();
    assert_eq!(ends, 150);
    assert!(lines.len() < 310, "{}", lines.len());
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("a ") && line.contains(">completed ("))
    );
}

#[tokio::test]
async fn a_position_outside_the_history_gets_a_resync_and_a_new_snapshot() {
    let mut fixture = Fixture::new();
    fixture.write_runs(&["a running"]).await;
    let mut subscription = fixture.subscribe(None).await;
    read_all(&mut subscription).await;
    let position = subscription.position();
    drop(subscription);
    fixture.write_runs(&["b running"]).await;
    fixture.write_runs(&["a completed"]).await;
    let later = UnixMs(fixture.now + 200 * 86_400_000);
    fixture
        .mirror
        .run_upkeep(later, Retention::default())
        .await
        .unwrap();
    let mut again = fixture.subscribe(Some(position)).await;
    let pruned = ["resync pruned", "b is running", "ready 5eed-3"];
    assert_eq!(read_all(&mut again).await, pruned);
    let position = again.position();
    let mut at_end = fixture.subscribe(Some(position)).await;
    assert!(read_all(&mut at_end).await.is_empty(), "nothing was missed");
    for other in [
        Position {
            history: 1,
            ..position
        },
        Position {
            seq: 99,
            ..position
        },
    ] {
        let mut lost = fixture.subscribe(Some(other)).await;
        assert_eq!(read_all(&mut lost).await[0], "resync other_history");
    }
}

#[tokio::test]
async fn a_query_leaves_out_what_it_does_not_select() {
    let mut fixture = Fixture::new();
    fixture.write_runs(&["a running", "b running"]).await;
    let query = EventQuery {
        runs: vec!["a".into()],
        ..EventQuery::default()
    };
    let mut run_a = fixture.feed.subscribe(query, None).await.unwrap();
    let query = EventQuery {
        statuses: vec!["FAILED".into()],
        kinds: vec![ObjectKind::Evaluation],
        ..EventQuery::default()
    };
    let mut failures = fixture.feed.subscribe(query, None).await.unwrap();
    assert_eq!(read_all(&mut failures).await, ["ready 5eed-2"]);
    let present = read_all(&mut run_a).await;
    assert_eq!(
        present,
        ["a is running", "a progress running", "ready 5eed-2"]
    );
    fixture.write_runs(&["a failed", "b failed"]).await;
    let lines = read_all(&mut run_a).await;
    assert_eq!(lines, ["a running>failed", "a progress failed"]);
    let lines = read_all(&mut failures).await;
    assert_eq!(lines[..2], ["a running>failed", "b running>failed"]);
}

#[tokio::test]
async fn watching_a_run_keeps_its_trials_polled_until_the_subscription_ends() {
    let mut fixture = Fixture::new();
    fixture.write_runs(&["a running"]).await;
    let query = EventQuery {
        runs: vec!["a".into()],
        ..EventQuery::default()
    };
    let subscription = fixture.feed.subscribe(query, None).await.unwrap();
    let trials = Resource::Trials("a".into());
    let marked = |fixture: &Fixture| std::mem::take(&mut *fixture.engine.0.lock().unwrap());
    assert_eq!(marked(&fixture), std::slice::from_ref(&trials));
    for _ in 0..20 {
        fixture.feed.publish(Wakeup::Tick).await.unwrap();
    }
    assert_eq!(marked(&fixture), [trials.clone(), trials]);
    drop(subscription);
    assert_eq!(fixture.feed.subscribers(), 0);
    for _ in 0..20 {
        fixture.feed.publish(Wakeup::Tick).await.unwrap();
    }
    assert!(marked(&fixture).is_empty());
}

#[tokio::test]
async fn an_outage_of_the_remote_is_reported_once() {
    let fixture = Fixture::new();
    let mut subscription = fixture.subscribe(None).await;
    read_all(&mut subscription).await;
    fixture.feed.publish(Wakeup::Tick).await.unwrap();
    fixture.feed.publish(Wakeup::Tick).await.unwrap();
    assert_eq!(read_all(&mut subscription).await, ["unreachable: no route"]);
}

#[tokio::test]
async fn subscribers_with_the_same_query_share_one_snapshot() {
    let mut fixture = Fixture::new();
    fixture.write_runs(&["a running"]).await;
    let mut first = fixture.subscribe(None).await;
    let mut second = fixture.subscribe(None).await;
    let one = first.next_frame().await.unwrap().unwrap();
    let other = second.next_frame().await.unwrap().unwrap();
    assert_eq!(one.as_ptr(), other.as_ptr());
    // A snapshot is recent or read again: later subscribers get no changes from before they started.
    fixture.write_runs(&["a failed"]).await;
    fixture.feed.publish(Wakeup::Tick).await.unwrap();
    let mut third = fixture.subscribe(None).await;
    let lines = read_all(&mut third).await;
    assert!(!lines.iter().any(|line| line.contains('>')), "{lines:?}");
}

#[tokio::test]
async fn a_subscriber_after_all_others_have_left_starts_like_the_first() {
    let mut fixture = Fixture::new();
    fixture.write_runs(&["a running"]).await;
    for round in 0..3 {
        let mut subscription = fixture.subscribe(None).await;
        fixture.feed.start_publishing();
        read_all(&mut subscription).await;
        fixture.store_runs(&[&format!("b{round} running")]).await;
        let change = format!("b{round} >running");
        let published = async {
            while !read_all(&mut subscription).await.contains(&change) {
                assert!(subscription.changed().await);
            }
        };
        timeout(PATIENCE, published).await.unwrap();
        drop(subscription);
        // The publishing task stops after its last subscriber, at its next wakeup at the latest.
        let stopped = async {
            while fixture.feed.state.live().publishing {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, stopped).await.unwrap();
    }
}

#[tokio::test]
async fn progress_never_precedes_the_changes_that_led_to_it() {
    let mut fixture = Fixture::new();
    fixture.write_runs(&["a running"]).await;
    let query = EventQuery {
        runs: vec!["a".into()],
        ..EventQuery::default()
    };
    let mut subscription = fixture.feed.subscribe(query, None).await.unwrap();
    // The snapshot is read, and then the run ends before all of it is sent.
    subscription.next_frame().await.unwrap().unwrap();
    fixture.write_runs(&["a failed"]).await;
    let lines = read_all(&mut subscription).await;
    let position = |what: &str| lines.iter().position(|line| line == what);
    let (change, count) = (position("a running>failed"), position("a progress failed"));
    assert!(change.is_some() && change < count, "{lines:?}");
}

/// A Harbor job of the folder `big`, which has no UUID while its id is its name.
fn job(id: &str) -> RawObject {
    let uuid = match id {
        "big" => "null".to_owned(),
        id => format!("\"{id}\""),
    };
    let text = format!(
        r#"{{"id":"{id}","name":"big","status":"running","remote_ref":"/jobs/big","harbor":{{"job_id":{uuid}}}}}"#
    );
    RawObject::parse(&text).unwrap().unwrap()
}

#[tokio::test]
async fn a_job_that_gets_its_id_in_one_list_after_the_other_is_followed_with_its_trials() {
    const REAL: &str = "e8c003f5-a129-414b-9d33-4c12687eb455";
    for kinds in [vec![ObjectKind::Evaluation, ObjectKind::Trial], vec![]] {
        let mut fixture = Fixture::new();
        let [plain, evaluation] = RunKind::ALL;
        for kind in RunKind::ALL {
            fixture.store(kind, job("big")).await;
        }
        let query = EventQuery {
            runs: vec!["big".to_owned()],
            kinds,
            ..EventQuery::default()
        };
        let mut subscription = fixture.feed.subscribe(query, None).await.unwrap();
        read_all(&mut subscription).await;
        fixture.store(plain, job(REAL)).await;
        fixture.store_trial("big", "running").await;
        let lines = read_all(&mut subscription).await;
        assert!(lines.contains(&"big >running".to_owned()), "{lines:?}");
        fixture.store(evaluation, job(REAL)).await;
        fixture.store_trial(REAL, "passed").await;
        // The state comes first: it tells to which run the trial belongs.
        let lines = read_all(&mut subscription).await;
        let at = |line: String| lines.iter().position(|found| *found == line);
        let state = at(format!("{REAL} is running"));
        let end = at(format!("{REAL} running>passed"));
        assert!(state.is_some() && end.is_some() && state < end, "{lines:?}");
    }
}
