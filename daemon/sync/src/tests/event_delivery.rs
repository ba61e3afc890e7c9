//! Nights in which faults, restarts and sleep come at random: whoever watches sees every end once,
//! and the changes of each object in their order.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use docks_proto::event::{Change, ConnectionState, Event, EventQuery, ObjectKind, Position};

use docksd_events::{EngineHandle, EventFeed, Subscription, Wakeup};
use docksd_mirror::Resource;

use super::driver::Driver;
use super::random_histories::{History, seeds};
use super::simulated_remote::{Fault, Mode};

const NIGHT: Duration = Duration::from_secs(12 * 3_600);
/// Moments at which something happens.
const MOMENTS: u32 = 80;

/// An engine that needs no telling: the driver touches for it.
struct Unheard;

impl EngineHandle for Unheard {
    fn mark_active(&self, _: &Resource) {}

    fn connection_state(&self) -> ConnectionState {
        ConnectionState::default()
    }
}

/// How somebody watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Habit {
    /// Reads at once.
    Keen,
    /// Reads now and then.
    Slow,
    /// Loses the connection again and again, in the middle of what was sent.
    Shaky,
    /// Reads once a night.
    Asleep,
}

type Object = (ObjectKind, String, Option<String>);

struct Watcher {
    habit: Habit,
    reader: Option<Subscription>,
    began: u64,
    place: Option<Position>,
    known: HashMap<Object, String>,
    seen: Vec<Change>,
}

impl Watcher {
    fn new(habit: Habit) -> Self {
        Self {
            habit,
            reader: None,
            began: 0,
            place: None,
            known: HashMap::new(),
            seen: Vec::new(),
        }
    }

    async fn look(&mut self, feed: &Arc<EventFeed>, rng: &mut fastrand::Rng) {
        let turn_comes = match self.habit {
            Habit::Keen | Habit::Shaky => true,
            Habit::Slow => rng.u8(..10) == 0,
            Habit::Asleep => false,
        };
        if turn_comes {
            let most = (self.habit == Habit::Shaky).then(|| rng.usize(..6));
            self.read(feed, most).await;
        }
    }

    async fn read(&mut self, feed: &Arc<EventFeed>, most: Option<usize>) {
        let wanted = EventQuery::default;
        if self.reader.is_none() {
            let reader = feed.subscribe(wanted(), self.place).await.unwrap();
            self.reader = Some(reader);
        }
        let mut left = most.unwrap_or(usize::MAX);
        while left > 0
            && let Some(frame) = self.reader.as_mut().unwrap().next_frame().await.unwrap()
        {
            left -= 1;
            self.hear(std::str::from_utf8(&frame).unwrap());
        }
        if left == 0 {
            self.reader = None;
        }
    }

    fn hear(&mut self, frame: &str) {
        let data = frame.lines().find_map(|line| line.strip_prefix("data: "));
        match serde_json::from_str(data.unwrap()).unwrap() {
            Event::State(state) => {
                // One that broke off before it was ready begins again.
                let object = (state.kind, state.run_id, state.trial_id);
                self.known.insert(object, state.status);
            }
            Event::Ready(ready) => {
                self.place = Position::parse(&ready.id);
                self.began = self.place.unwrap().seq;
            }
            Event::Change(change) => {
                self.place = Position::parse(&change.id);
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
        let ends = |status: &str| {
            use docks_proto::object::{Lifecycle, lifecycle};
            lifecycle(status) == Lifecycle::Terminal
        };
        let told: Vec<u64> = history
            .iter()
            .filter(|event| event.seq > self.began && ends(&event.to))
            .map(|event| event.seq)
            .collect();
        let seen: Vec<u64> = self
            .seen
            .iter()
            .filter(|change| change.object.ended)
            .map(|change| change.seq)
            .collect();
        assert_eq!(seen, told, "seed {seed}, {:?}: every end, once", self.habit);
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
                self.habit
            );
        }
    }
}

async fn night(seed: u64) {
    let modes = Mode::all();
    let mode = modes[usize::try_from(seed).unwrap() % modes.len()];
    let mut driver = Driver::new(mode, seed).await;
    let mut history = History {
        rng: fastrand::Rng::with_seed(seed ^ 0x0417),
        made: 0,
    };
    let mut rng = fastrand::Rng::with_seed(seed ^ 0x3a1e);
    let mut feed = EventFeed::new(driver.mirror.clone(), Arc::new(Unheard));
    let habits = [Habit::Keen, Habit::Slow, Habit::Shaky, Habit::Asleep];
    let mut watchers = habits.map(Watcher::new);
    for watcher in &mut watchers {
        watcher.read(&feed, None).await;
    }
    for _ in 0..MOMENTS {
        match rng.u8(..12) {
            0 | 1 => {
                let fault = history.fault();
                driver.edit(|world| world.fault = fault);
            }
            2 => driver.edit(|world| world.fault = Fault::None),
            3 => {
                driver.restart(rng.u64(..));
                feed = EventFeed::new(driver.mirror.clone(), Arc::new(Unheard));
                watchers
                    .iter_mut()
                    .for_each(|watcher| watcher.reader = None);
            }
            // Asleep: both clocks go on, and nobody does anything.
            4 => driver
                .clock
                .advance(Duration::from_secs(rng.u64(60..3_600))),
            5 => driver.clock.jump_wall(rng.i64(-7_200_000..7_200_000)),
            _ => {}
        }
        driver.edit(|world| history.change(world));
        let pause = rng.u64(1..u64::from(2 * NIGHT.as_secs() as u32 / MOMENTS));
        // Most of a night is quiet, and the remote is polled all the same.
        driver.run_for(Duration::from_secs(pause.min(45))).await;
        driver
            .clock
            .advance(Duration::from_secs(pause.saturating_sub(45)));
        feed.publish(Wakeup::Tick).await.unwrap();
        for watcher in &mut watchers {
            watcher.look(&feed, &mut rng).await;
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

/// Passes interest on to the engine, which a test drives by hand.
#[derive(Default)]
struct Noted(std::sync::Mutex<Vec<Resource>>);

impl EngineHandle for Noted {
    fn mark_active(&self, what: &Resource) {
        self.0.lock().unwrap().push(what.clone());
    }

    fn connection_state(&self) -> ConnectionState {
        ConnectionState::default()
    }
}

#[tokio::test]
async fn a_hundred_active_runs_cost_no_more_for_being_watched() {
    let mut driver = super::request_cost::settled(Mode::PLAIN, 100, 100).await;
    let noted = Arc::new(Noted::default());
    let attention = Arc::clone(&noted) as Arc<dyn EngineHandle>;
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
        for what in std::mem::take(&mut *noted.0.lock().unwrap()) {
            driver.state.mark_watched(&what, now);
        }
    }
    let asked = driver.requests() - before;
    assert!(asked <= 60, "{asked} requests in five minutes");
}

#[tokio::test]
async fn whatever_happens_in_a_night_each_watcher_sees_every_end_once() {
    for seed in seeds(6) {
        night(seed).await;
    }
}
