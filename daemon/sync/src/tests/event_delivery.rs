//! Random faults, restarts and sleep over twelve hours: every watcher sees every end once, and the
//! changes of each object in order.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use docks_proto::event::{Change, ConnectionState, Event, EventQuery, ObjectKind, Position};

use docksd_events::{EngineHandle, EventFeed, Subscription, Wakeup};
use docksd_mirror::Resource;

use super::driver::Driver;
use super::random_changes::History;
use super::random_histories::{seeds, simulate_all};
use super::remote_habits::{Fault, Habits};

const DURATION: Duration = Duration::from_secs(12 * 3_600);
/// Seeds, unless the environment sets others.
const SIMULATIONS: u64 = 96;
/// Of so many seeds one is simulated.
const SHARE: u64 = 16;
/// Number of times at which something happens.
const INCIDENTS: u32 = 80;

/// An engine that ignores what is watched.
struct IgnoringEngine;

impl EngineHandle for IgnoringEngine {
    fn mark_active(&self, _: &Resource) {}

    fn connection_state(&self) -> ConnectionState {
        ConnectionState::default()
    }
}

/// How a watcher reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// Reads at once.
    Prompt,
    /// Reads now and then.
    Slow,
    /// Loses the connection again and again in the middle of an answer.
    Interrupted,
    /// Reads once, at the end.
    Once,
}

type Object = (ObjectKind, String, Option<String>);

struct Watcher {
    pace: Pace,
    reader: Option<Subscription>,
    began: u64,
    position: Option<Position>,
    known: HashMap<Object, String>,
    seen: Vec<Change>,
}

impl Watcher {
    fn new(pace: Pace) -> Self {
        Self {
            pace,
            reader: None,
            began: 0,
            position: None,
            known: HashMap::new(),
            seen: Vec::new(),
        }
    }

    async fn maybe_read(&mut self, feed: &Arc<EventFeed>, rng: &mut fastrand::Rng) {
        let reads_now = match self.pace {
            Pace::Prompt | Pace::Interrupted => true,
            Pace::Slow => rng.u8(..10) == 0,
            Pace::Once => false,
        };
        if reads_now {
            let most = (self.pace == Pace::Interrupted).then(|| rng.usize(..6));
            self.read(feed, most).await;
        }
    }

    async fn read(&mut self, feed: &Arc<EventFeed>, most: Option<usize>) {
        let wanted = EventQuery::default;
        if self.reader.is_none() {
            let reader = feed.subscribe(wanted(), self.position).await.unwrap();
            self.reader = Some(reader);
        }
        let mut left = most.unwrap_or(usize::MAX);
        while left > 0
            && let Some(frame) = self.reader.as_mut().unwrap().next_frame().await.unwrap()
        {
            left -= 1;
            self.apply(std::str::from_utf8(&frame).unwrap());
        }
        if left == 0 {
            self.reader = None;
        }
    }

    fn apply(&mut self, frame: &str) {
        let data = frame.lines().find_map(|line| line.strip_prefix("data: "));
        match serde_json::from_str(data.unwrap()).unwrap() {
            Event::State(state) => {
                // A reader that was interrupted before it was ready starts again.
                let object = (state.kind, state.run_id, state.trial_id);
                self.known.insert(object, state.status);
            }
            Event::Ready(ready) => {
                self.position = Position::parse(&ready.id);
                self.began = self.position.unwrap().seq;
            }
            Event::Change(change) => {
                self.position = Position::parse(&change.id);
                let of = &change.object;
                let object = (of.kind, of.run_id.clone(), of.trial_id.clone());
                let before = self.known.insert(object, of.status.clone());
                if before.is_some() {
                    assert_eq!(before, change.from, "changes join on: {change:?}");
                }
                self.seen.push(change);
            }
            Event::Resync(resync) => panic!("the history is there: {resync:?}"),
            Event::Progress(_) | Event::Connection(_) | Event::Unknown => {}
        }
    }

    async fn check(&self, driver: &Driver, seed: u64) {
        let history = driver.mirror.events_after(0, 1_000_000).await.unwrap();
        let is_end = |status: &str| {
            use docks_proto::object::{Lifecycle, lifecycle};
            lifecycle(status) == Lifecycle::Terminal
        };
        let expected: Vec<u64> = history
            .iter()
            .filter(|event| event.seq > self.began && is_end(&event.to))
            .map(|event| event.seq)
            .collect();
        let seen: Vec<u64> = self
            .seen
            .iter()
            .filter(|change| change.object.ended)
            .map(|change| change.seq)
            .collect();
        assert_eq!(
            seen, expected,
            "seed {seed}, {:?}: every end, once",
            self.pace
        );
        assert!(self.seen.is_sorted_by_key(|change| change.seq));
        let mut last = HashMap::new();
        for event in history.iter().filter(|event| event.seq > self.began) {
            let object = (event.subject.into(), event.run.clone(), event.trial.clone());
            last.insert(object, event.to.clone());
        }
        for (object, status) in last {
            let known = self.known.get(&object);
            assert_eq!(
                known,
                Some(&status),
                "seed {seed}, {:?}: {object:?}",
                self.pace
            );
        }
    }
}

async fn simulate(seed: u64) {
    let all_habits = Habits::all();
    let remote_habits = all_habits[usize::try_from(seed).unwrap() % all_habits.len()];
    let mut driver = Driver::new(remote_habits, seed).await;
    let mut history = History::new(seed ^ 0x0417);
    let mut rng = fastrand::Rng::with_seed(seed ^ 0x3a1e);
    let mut feed = EventFeed::new(driver.mirror.clone(), Arc::new(IgnoringEngine));
    let paces = [Pace::Prompt, Pace::Slow, Pace::Interrupted, Pace::Once];
    let mut watchers = paces.map(Watcher::new);
    for watcher in &mut watchers {
        watcher.read(&feed, None).await;
    }
    for _ in 0..INCIDENTS {
        match rng.u8(..12) {
            0 | 1 => {
                let fault = history.fault();
                driver.edit(|world| world.fault = fault);
            }
            2 => driver.edit(|world| world.fault = Fault::None),
            3 => {
                driver.restart(rng.u64(..)).await;
                feed = EventFeed::new(driver.mirror.clone(), Arc::new(IgnoringEngine));
                watchers
                    .iter_mut()
                    .for_each(|watcher| watcher.reader = None);
            }
            // The machine sleeps: both clocks advance and nothing happens.
            4 => driver
                .clock
                .advance(Duration::from_secs(rng.u64(60..3_600))),
            5 => driver.clock.jump_wall(rng.i64(-7_200_000..7_200_000)),
            _ => {}
        }
        driver.edit(|world| history.change(world));
        let pause = rng.u64(1..u64::from(2 * DURATION.as_secs() as u32 / INCIDENTS));
        // Most of the time nothing happens, and the remote is polled all the same.
        driver.run_for(Duration::from_secs(pause.min(45))).await;
        driver
            .clock
            .advance(Duration::from_secs(pause.saturating_sub(45)));
        feed.publish(Wakeup::Tick).await.unwrap();
        for watcher in &mut watchers {
            watcher.maybe_read(&feed, &mut rng).await;
        }
    }
    driver.edit(|world| world.fault = Fault::None);
    driver.run_for(Duration::from_secs(900)).await;
    feed.publish(Wakeup::Tick).await.unwrap();
    for watcher in &mut watchers {
        watcher.read(&feed, None).await;
        watcher.check(&driver, seed).await;
    }
}

/// Collects what is watched for an engine that the test drives.
#[derive(Default)]
struct Recorded(std::sync::Mutex<Vec<Resource>>);

impl EngineHandle for Recorded {
    fn mark_active(&self, what: &Resource) {
        self.0.lock().unwrap().push(what.clone());
    }

    fn connection_state(&self) -> ConnectionState {
        ConnectionState::default()
    }
}

#[tokio::test]
async fn a_hundred_active_runs_cost_no_more_for_being_watched() {
    let mut driver = super::request_cost::settled(Habits::PLAIN, 100, 100).await;
    let recorded = Arc::new(Recorded::default());
    let attention = Arc::clone(&recorded) as Arc<dyn EngineHandle>;
    let feed = EventFeed::new(driver.mirror.clone(), attention);
    let all = EventQuery {
        runs: (100..200).map(|number| format!("r{number}")).collect(),
        ..EventQuery::default()
    };
    let mut readers = Vec::new();
    for wanted in [all, EventQuery::default()] {
        for _ in 0..20 {
            readers.push(feed.subscribe(wanted.clone(), None).await.unwrap());
        }
    }
    let before = driver.requests();
    for _ in 0..300 {
        driver.run_for(Duration::from_secs(1)).await;
        feed.publish(Wakeup::Tick).await.unwrap();
        let now = driver.now();
        for what in std::mem::take(&mut *recorded.0.lock().unwrap()) {
            driver.state.mark_watched(&what, now);
        }
    }
    let requests = driver.requests() - before;
    assert!(requests <= 60, "{requests} requests in five minutes");
}

#[test]
fn whatever_happens_each_watcher_sees_every_end_once() {
    let mut seeds = seeds(SIMULATIONS);
    // One takes as long as a dozen histories.
    let most = (seeds.end - seeds.start).div_ceil(SHARE);
    seeds.end = seeds.start + most;
    simulate_all(seeds, simulate);
}
