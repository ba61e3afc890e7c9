//! What readers get, in every place from which they can begin.

use std::sync::Arc;

use docks_proto::event::{ConnectionState, Event, EventQuery, ObjectKind, Position};
use docks_proto::object::RawObject;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;

use super::{EngineHandle, EventFeed, Subscription, Wakeup};
use docksd_mirror::{Mirror, Provenance, Resource, Retention, RunBatch};

#[derive(Default)]
struct Heard(std::sync::Mutex<Vec<Resource>>);

impl EngineHandle for Heard {
    fn mark_active(&self, what: &Resource) {
        self.0.lock().unwrap().push(what.clone());
    }

    fn connection_state(&self) -> ConnectionState {
        ConnectionState {
            unreachable_since: Some("2026-11-23T16:00:00Z".into()),
            reason: Some("no route".into()),
        }
    }
}

struct Scene {
    feed: Arc<EventFeed>,
    heard: Arc<Heard>,
    mirror: Mirror,
    now: i64,
    _dir: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (mirror, _) = Mirror::open(&dir.path().join("m.db"), "scene", UnixMs(0x5eed)).unwrap();
        let heard = Arc::new(Heard::default());
        Self {
            feed: EventFeed::new(mirror.clone(), Arc::clone(&heard) as Arc<dyn EngineHandle>),
            heard,
            mirror,
            now: 1_764_000_000_000,
            _dir: dir,
        }
    }

    /// Writes runs, each as `id status`, as one answer.
    async fn put(&mut self, runs: &[&str]) {
        let objects = runs.iter().map(|run| {
            let (id, status) = run.split_once(' ').unwrap();
            let text = format!(r#"{{"id":"{id}","status":"{status}","v":{}}}"#, self.now);
            RawObject::parse(&text).unwrap().unwrap()
        });
        let batch = RunBatch {
            kind: RunKind::Evaluation,
            objects: objects.collect(),
            observed_at: UnixMs(self.now),
            provenance: Provenance::OwnAction,
        };
        self.now += 1_000;
        self.mirror.upsert_runs(batch).await.unwrap();
        self.feed.publish(Wakeup::Commit).await.unwrap();
    }

    async fn read(&self, after: Option<Position>) -> Subscription {
        self.feed
            .subscribe(EventQuery::default(), after)
            .await
            .unwrap()
    }
}

/// Writes everything that a reader has to say, in short.
async fn said(reader: &mut Subscription) -> Vec<String> {
    let mut said = Vec::new();
    while let Some(frame) = reader.next_frame().await.unwrap() {
        let text = std::str::from_utf8(&frame).unwrap();
        let data = text.lines().find_map(|l| l.strip_prefix("data: ")).unwrap();
        said.push(match serde_json::from_str(data).unwrap() {
            Event::State(state) => format!("{} is {}", state.run_id, state.status),
            Event::Change(change) => {
                let of = &change.object;
                let from = change.from.unwrap_or_default();
                let left_out = match change.left_out {
                    0 => String::new(),
                    n => format!(" ({n} left out)"),
                };
                format!("{} {from}>{}{left_out}", of.run_id, of.status)
            }
            Event::Progress(p) => format!("{} counted {}", p.run_id, p.status),
            Event::Connection(source) => format!("blind: {}", source.reason.unwrap()),
            Event::Ready(ready) => format!("ready {}", ready.id),
            Event::Resync(resync) => format!("resync {}", resync.reason),
            Event::Unknown => unreachable!(),
        });
    }
    said
}

#[tokio::test]
async fn a_reader_gets_the_present_state_and_then_each_change() {
    let mut scene = Scene::new();
    scene.put(&["a running", "b completed"]).await;
    let mut reader = scene.read(None).await;
    assert_eq!(said(&mut reader).await, ["a is running", "ready 5eed-2"]);
    scene.put(&["a failed", "c pending"]).await;
    let changes = said(&mut reader).await;
    assert_eq!(changes[..2], ["a running>failed", "c >pending"]);
    assert!(said(&mut reader).await.is_empty());
}

#[tokio::test]
async fn who_comes_back_gets_what_was_missed_and_nothing_twice() {
    let mut scene = Scene::new();
    scene.put(&["a running"]).await;
    let mut reader = scene.read(None).await;
    said(&mut reader).await;
    let place = reader.position();
    drop(reader);
    scene.put(&["a completed", "b running"]).await;
    let mut again = scene.read(Some(place)).await;
    assert_eq!(
        said(&mut again).await,
        ["a running>completed", "b >running"]
    );
    // Another daemon on the same file.
    let place = again.position();
    scene.put(&["b failed"]).await;
    scene.feed = EventFeed::new(scene.mirror.clone(), Arc::new(Heard::default()));
    let mut later = scene.read(Some(place)).await;
    assert_eq!(said(&mut later).await, ["b running>failed"]);
}

#[tokio::test]
async fn a_slow_reader_gets_fewer_changes_but_every_end_in_order() {
    let mut scene = Scene::new();
    let mut slow = scene.read(None).await;
    said(&mut slow).await;
    for _ in 0..150 {
        scene.put(&["a pending"]).await;
        scene.put(&["a running"]).await;
        scene.put(&["b failed", "a running"]).await;
        scene.put(&["b running"]).await;
    }
    scene.put(&["a completed"]).await;
    let heard = said(&mut slow).await;
    let ends = heard.iter().filter(|line| line.contains(">failed")).count();
    assert_eq!(ends, 150);
    assert!(heard.len() < 310, "{}", heard.len());
    assert!(
        heard
            .iter()
            .any(|line| line.starts_with("a ") && line.contains(">completed ("))
    );
}

#[tokio::test]
async fn a_history_that_does_not_reach_back_is_said_and_begun_anew() {
    let mut scene = Scene::new();
    scene.put(&["a running"]).await;
    let mut reader = scene.read(None).await;
    said(&mut reader).await;
    let place = reader.position();
    drop(reader);
    scene.put(&["b running"]).await;
    scene.put(&["a completed"]).await;
    let later = UnixMs(scene.now + 200 * 86_400_000);
    scene
        .mirror
        .run_upkeep(later, Retention::default())
        .await
        .unwrap();
    let mut again = scene.read(Some(place)).await;
    let pruned = ["resync pruned", "b is running", "ready 5eed-3"];
    assert_eq!(said(&mut again).await, pruned);
    let place = again.position();
    let mut at_end = scene.read(Some(place)).await;
    assert!(
        said(&mut at_end).await.is_empty(),
        "nothing was missed since"
    );
    for other in [
        Position {
            history: 1,
            ..place
        },
        Position { seq: 99, ..place },
    ] {
        let mut lost = scene.read(Some(other)).await;
        assert_eq!(said(&mut lost).await[0], "resync other_history");
    }
}

#[tokio::test]
async fn filters_leave_out_what_was_not_asked_for() {
    let mut scene = Scene::new();
    scene.put(&["a running", "b running"]).await;
    let wanted = EventQuery {
        runs: vec!["a".into()],
        ..EventQuery::default()
    };
    let mut of_a = scene.feed.subscribe(wanted, None).await.unwrap();
    let wanted = EventQuery {
        statuses: vec!["FAILED".into()],
        kinds: vec![ObjectKind::Evaluation],
        ..EventQuery::default()
    };
    let mut failures = scene.feed.subscribe(wanted, None).await.unwrap();
    assert_eq!(said(&mut failures).await, ["ready 5eed-2"]);
    let present = said(&mut of_a).await;
    assert_eq!(
        present,
        ["a is running", "a counted running", "ready 5eed-2"]
    );
    scene.put(&["a failed", "b failed"]).await;
    let heard = said(&mut of_a).await;
    assert_eq!(heard, ["a running>failed", "a counted failed"]);
    let heard = said(&mut failures).await;
    assert_eq!(heard[..2], ["a running>failed", "b running>failed"]);
}

#[tokio::test]
async fn who_watches_a_run_keeps_its_trials_polled_until_it_has_settled() {
    let mut scene = Scene::new();
    scene.put(&["a running"]).await;
    let wanted = EventQuery {
        runs: vec!["a".into()],
        ..EventQuery::default()
    };
    let reader = scene.feed.subscribe(wanted, None).await.unwrap();
    let trials = Resource::Trials("a".into());
    let heard = |scene: &Scene| std::mem::take(&mut *scene.heard.0.lock().unwrap());
    assert_eq!(heard(&scene), std::slice::from_ref(&trials));
    for _ in 0..20 {
        scene.feed.publish(Wakeup::Tick).await.unwrap();
    }
    assert_eq!(heard(&scene), [trials.clone(), trials]);
    drop(reader);
    assert_eq!(scene.feed.readers(), 0);
    for _ in 0..20 {
        scene.feed.publish(Wakeup::Tick).await.unwrap();
    }
    assert!(heard(&scene).is_empty());
}

#[tokio::test]
async fn trouble_with_the_remote_is_told_once() {
    let scene = Scene::new();
    let mut reader = scene.read(None).await;
    said(&mut reader).await;
    scene.feed.publish(Wakeup::Tick).await.unwrap();
    scene.feed.publish(Wakeup::Tick).await.unwrap();
    assert_eq!(said(&mut reader).await, ["blind: no route"]);
}

#[tokio::test]
async fn many_who_ask_the_same_share_one_present_state() {
    let mut scene = Scene::new();
    scene.put(&["a running"]).await;
    let mut first = scene.read(None).await;
    let mut second = scene.read(None).await;
    let one = first.next_frame().await.unwrap().unwrap();
    let other = second.next_frame().await.unwrap().unwrap();
    assert_eq!(one.as_ptr(), other.as_ptr());
    // It is young, or it is read anew: nobody who comes later hears of changes before their time.
    scene.put(&["a failed"]).await;
    scene.feed.publish(Wakeup::Tick).await.unwrap();
    let mut third = scene.read(None).await;
    let heard = said(&mut third).await;
    assert!(!heard.iter().any(|line| line.contains('>')), "{heard:?}");
}

#[tokio::test]
async fn who_comes_after_everybody_left_begins_like_the_first() {
    let mut scene = Scene::new();
    scene.put(&["a running"]).await;
    for round in 0..3 {
        let mut reader = scene.read(None).await;
        scene.feed.start_publishing();
        said(&mut reader).await;
        assert!(reader.changed().await);
        scene.put(&[&format!("b{round} running")]).await;
        let heard = said(&mut reader).await;
        let change = format!("b{round} >running");
        assert!(heard.contains(&change), "{heard:?}");
        drop(reader);
        // The publisher ends with its last reader, at the latest when it next looks.
        while scene.feed.state().publishing {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test]
async fn no_count_comes_before_the_changes_that_led_to_it() {
    let mut scene = Scene::new();
    scene.put(&["a running"]).await;
    let wanted = EventQuery {
        runs: vec!["a".into()],
        ..EventQuery::default()
    };
    let mut reader = scene.feed.subscribe(wanted, None).await.unwrap();
    // Its present state is read, and then the run ends before all of that is sent.
    reader.next_frame().await.unwrap().unwrap();
    scene.put(&["a failed"]).await;
    let heard = said(&mut reader).await;
    let place = |what: &str| heard.iter().position(|line| line == what);
    let (change, count) = (place("a running>failed"), place("a counted failed"));
    assert!(change.is_some() && change < count, "{heard:?}");
}
