//! Drives the state machine by a clock that stands still until something is due.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use docks_proto::object::{RawObject, RunFields};
use docks_proto::query::ListQuery;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;

use crate::apply::execute;
use crate::capabilities::Capabilities;
use crate::clock::manual::ManualClock;
use crate::clock::{Clock, Now, SteadyClock};
use crate::options::Options;
use crate::outcome::Outcome;
use crate::restore::{read_stored, replace_later_timestamps, store_clock_note};
use crate::state::{EngineState, Reply, WaiterId};
use crate::step::Step;
use crate::upkeep::Upkeep;
use docksd_mirror::Mirror;

use super::remote_habits::{Habits, Run};
use super::simulated_remote::{Simulated, World};

pub(super) struct Driver {
    pub(super) state: EngineState,
    pub(super) mirror: Mirror,
    pub(super) world: Arc<Mutex<World>>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) replies: Vec<(WaiterId, Reply)>,
    pub(super) latency: std::ops::Range<u64>,
    pub(super) steady: SteadyClock,
    pub(super) upkeep: Upkeep,
    /// How often timestamps of a clock that was ahead were taken back.
    pub(super) went_back: usize,
    pub(super) remote: Simulated,
    pub(super) dir: tempfile::TempDir,
    pending: Vec<(Duration, Step, Outcome)>,
    rng: fastrand::Rng,
}

fn new_state(remote: &Simulated, seed: u64, now: Now) -> EngineState {
    EngineState::new(
        docksd_remote::Remote::properties(remote),
        Options::default(),
        Capabilities::default(),
        [None, None],
        fastrand::Rng::with_seed(seed),
        now,
    )
}

impl Driver {
    pub(super) async fn new(habits: Habits, seed: u64) -> Self {
        let clock = Arc::new(ManualClock::new());
        let dir = tempfile::tempdir().unwrap();
        let (mirror, _) =
            Mirror::open(&dir.path().join("mirror.db"), "simulated", clock.wall()).unwrap();
        let mut steady = SteadyClock::new(clock.as_ref(), UnixMs(0));
        let now = steady.now(clock.as_ref());
        let world = World::new(habits, Arc::clone(&clock), seed ^ 0xf1a4);
        let world = Arc::new(Mutex::new(world));
        let remote = Simulated(Arc::clone(&world));
        Self {
            state: new_state(&remote, seed, now),
            mirror,
            world,
            clock,
            replies: Vec::new(),
            latency: 50..400,
            steady,
            upkeep: Upkeep::default(),
            went_back: 0,
            remote,
            dir,
            pending: Vec::new(),
            rng: fastrand::Rng::with_seed(seed ^ 0x1a7e),
        }
    }

    /// Kills the engine in the middle of its work and starts the next one.
    pub(super) async fn restart(&mut self, seed: u64) {
        self.pending.clear();
        self.replies.clear();
        let stored = read_stored(&self.mirror, self.clock.as_ref()).await;
        self.steady = stored.steady;
        let now = self.now();
        self.state = new_state(&self.remote, seed, now);
        self.state.restore(stored.memory, now);
        self.upkeep = Upkeep::default();
        self.upkeep.restore(stored.last_upkeep);
    }

    pub(super) fn now(&mut self) -> Now {
        self.steady.now(self.clock.as_ref())
    }

    pub(super) fn seconds(&self) -> f64 {
        self.clock.monotonic().as_secs_f64()
    }

    /// Lets time pass.
    pub(super) async fn run_for(&mut self, time: Duration) {
        let deadline = self.clock.monotonic() + time;
        let mut turns_at_once = 0;
        loop {
            let now = self.now();
            self.turn(now).await;
            let next = self
                .pending
                .iter()
                .map(|(at, ..)| *at)
                .chain([self.state.next_wake(), deadline])
                .min()
                .unwrap();
            if next > now.mono {
                turns_at_once = 0;
                self.clock.advance(next - now.mono);
            }
            turns_at_once += 1;
            assert!(
                turns_at_once < 500,
                "the engine spins: {:?}",
                self.state.plan(now)
            );
            if self.clock.monotonic() >= deadline {
                return;
            }
        }
    }

    async fn turn(&mut self, now: Now) {
        let mut done = Vec::new();
        self.pending.sort_by_key(|(at, ..)| *at);
        while self.pending.first().is_some_and(|(at, ..)| *at <= now.mono) {
            done.push(self.pending.remove(0));
        }
        for (_, step, outcome) in done {
            self.state.finish_step(&step, outcome, now);
        }
        if self.state.needs_summary() {
            let summary = self
                .mirror
                .summary(self.state.summary_trials(), self.state.trials_since())
                .await
                .unwrap();
            self.state.set_summary(summary, now);
        }
        self.follow_clock().await;
        let now = self.now();
        if self.steady.is_ahead(now.mono) {
            self.state.hold(now);
            return;
        }
        for step in self.state.start_due(now) {
            let arrival = || now.stamp;
            let outcome = execute(&self.remote, &self.mirror, &step, arrival).await;
            let latency = Duration::from_millis(self.rng.u64(self.latency.clone()));
            self.pending.push((now.mono + latency, step, outcome));
        }
        self.replies.extend(self.state.take_replies());
    }

    /// Does what the engine's task does about its clock.
    async fn follow_clock(&mut self) {
        if let Some(note) = self.steady.note()
            && store_clock_note(&self.mirror, note).await
        {
            self.steady.note_stored();
        }
        let settled = self.steady.settled(self.clock.as_ref());
        let settled = settled.filter(|_| self.steady.note().is_none());
        self.upkeep.start_requested(&self.mirror, settled);
        while let Some(ended) = self.upkeep.next_ended().await {
            self.upkeep.finish(ended);
        }
        let mono = self.clock.monotonic();
        if !self.steady.is_ahead(mono) || !self.pending.is_empty() {
            return;
        }
        if replace_later_timestamps(&self.mirror, self.clock.as_ref()).await {
            self.steady.set_back(self.clock.as_ref());
            self.upkeep.restore(None);
            let now = self.now();
            self.state.go_back(now);
            self.went_back += 1;
        } else {
            self.steady.doubt_again(mono);
        }
    }

    pub(super) fn requests(&self) -> usize {
        self.world.lock().unwrap().log.len()
    }

    /// Returns the number of requests for trials of a run.
    pub(super) fn requests_for_trials(&self) -> usize {
        let world = self.world.lock().unwrap();
        let of_trials = |(_, what): &&(Duration, String)| what.starts_with("trials");
        world.log.iter().filter(of_trials).count()
    }

    pub(super) fn edit(&self, edit: impl FnOnce(&mut World)) {
        let mut world = self.world.lock().unwrap();
        world.record_versions();
        edit(&mut world);
        world.record_versions();
    }

    /// Returns the live rows of a list, as the mirror serves them, by id.
    pub(super) async fn rows(&self, kind: RunKind) -> Vec<String> {
        let all = ListQuery {
            limit: 0,
            ..ListQuery::default()
        };
        let listing = self.mirror.list_runs(kind, &all).await.unwrap();
        sorted(&listing.body)
    }

    pub(super) async fn trial_rows(&self, run: &str) -> Option<Vec<String>> {
        let all = ListQuery {
            limit: 0,
            ..ListQuery::default()
        };
        let listing = self.mirror.list_trials(run, &all).await.unwrap();
        listing.map(|listing| sorted(&listing.body))
    }

    /// Returns a difference between mirror and remote, if there is one.
    pub(super) async fn difference(&self) -> Option<String> {
        let runs = self.world.lock().unwrap().runs.clone();
        for (kind, runs) in RunKind::ALL.into_iter().zip(&runs) {
            let mut expected: Vec<String> = runs.iter().map(Run::text).collect();
            expected.sort();
            let actual = self.rows(kind).await;
            if actual != expected {
                return Some(format!(
                    "{kind:?}: mirror {actual:#?}, remote {expected:#?}"
                ));
            }
        }
        for run in &runs[1] {
            let ended = run.status != "running" && run.status != "pending";
            let actual = self.trial_rows(&run.id).await.unwrap_or_default();
            if ended && actual != run.trial_texts() {
                return Some(format!("trials: mirror {actual:#?}, remote {run:#?}"));
            }
        }
        None
    }
}

fn sorted(body: &[u8]) -> Vec<String> {
    let list = docks_proto::object::parse_list(body).unwrap();
    let mut texts: Vec<String> = list.objects.iter().map(|o| o.text().to_owned()).collect();
    texts.sort();
    texts
}

/// Returns the id of an object.
pub(super) fn id_of(text: &str) -> String {
    let object = RawObject::parse(text).unwrap().unwrap();
    RunFields::from_object(&object).id.text().unwrap()
}
