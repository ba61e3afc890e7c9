//! The engine as a state machine without I/O: what is due, and what an outcome changes.
//!
//! The engine task and the simulations drive the same code.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use docks_proto::object::RawObject;
use docks_proto::routes::{Action, RunKind};
use docks_proto::time::UnixMs;

use docksd_mirror::{Resource, Summary};
use docksd_remote::RemoteProperties;

use super::budget::{Budget, Class};
use super::capabilities::Capabilities;
use super::catch_up::{CatchUp, Report};
use super::circuit_breaker::Circuit;
use super::clock::Now;
use super::due_times::Schedule;
use super::plan::Options;
use super::single_flight::Flights;
use super::sweep::Sweep;
use super::task::{FetchKey, Head, SyncError};
use super::watched_resources::Interest;

/// Runs due for their trials that are looked at together.
const TRIALS_AT_ONCE: usize = 64;

/// One who waits for a refresh or an action.
pub type Waiter = u64;

/// What a waiter gets.
#[derive(Debug)]
pub enum Reply {
    /// A refresh was confirmed at that time.
    Confirmed(Result<UnixMs, SyncError>),
    /// An action was carried out.
    Acted(Result<RawObject, SyncError>),
}

/// State of one list.
#[derive(Debug, Default)]
pub(super) struct Track {
    pub(super) head: Option<Head>,
    pub(super) doubted: bool,
    pub(super) whole: bool,
    pub(super) confirmed: UnixMs,
    pub(super) turn: usize,
    pub(super) listed: Option<usize>,
    pub(super) sweep: Option<Sweep>,
    pub(super) sweep_due: Option<Duration>,
    pub(super) swept: Option<Duration>,
    pub(super) swept_at: Option<UnixMs>,
}

/// A failure, for `status`.
#[derive(Debug, Clone)]
pub struct Failure {
    /// When.
    pub at: UnixMs,
    /// What.
    pub error: SyncError,
    /// How many in a row.
    pub consecutive: u32,
}

/// The engine's state.
#[derive(Debug)]
pub struct Core {
    pub(super) traits: RemoteProperties,
    pub(super) options: Options,
    pub(super) rng: fastrand::Rng,
    pub(super) facts: Capabilities,
    pub(super) facts_noted: Capabilities,
    pub(super) summary: Option<Summary>,
    pub(super) stale_summary: bool,
    pub(super) schedule: Schedule,
    pub(super) flights: Flights<FetchKey, Waiter>,
    pub(super) circuit: Circuit,
    pub(super) budget: Budget,
    pub(super) interest: Interest,
    pub(super) lists: [Track; 2],
    pub(super) settling: HashSet<String>,
    /// Ended runs with open trials: looks so far, and when the next one is.
    pub(super) rechecks: HashMap<String, (u8, Duration)>,
    pub(super) running: HashMap<u64, Class>,
    pub(super) actors: HashMap<u64, Waiter>,
    pub(super) actions: VecDeque<(Action, String, bool, Waiter)>,
    /// The remote has news.
    pub(super) news: bool,
    /// Step that takes it.
    pub(super) taking_news: Option<u64>,
    /// Whether the remote tells what changes, so that polling is only the net below.
    pub(super) followed: bool,
    pub(super) replies: Vec<(Waiter, Reply)>,
    pub(super) catch_ups: Vec<CatchUp>,
    pub(super) reports: Vec<Report>,
    pub(super) last_success: Option<UnixMs>,
    pub(super) last_failure: Option<Failure>,
    pub(super) last_error: Option<SyncError>,
    pub(super) noting: bool,
    pub(super) doubts: Vec<FetchKey>,
    pub(super) gentle_until: Duration,
    pub(super) last_background: Duration,
    pub(super) next_step: u64,
    pub(super) wake: Duration,
    pub(super) planned: Option<(Duration, String)>,
    pub(super) backlog: u64,
}

/// Place of a kind's state.
pub(super) fn index(kind: RunKind) -> usize {
    match kind {
        RunKind::Run => 0,
        RunKind::Evaluation => 1,
    }
}

impl Core {
    /// Starts; `facts` and `swept` are what an earlier process noted.
    #[must_use]
    pub fn new(
        traits: RemoteProperties,
        options: Options,
        facts: Capabilities,
        swept: [Option<UnixMs>; 2],
        rng: fastrand::Rng,
        now: Now,
    ) -> Self {
        let budget = Budget::new(options.budget_per_minute, traits.metered, now.mono);
        let mut core = Self {
            traits,
            options,
            rng,
            facts_noted: Capabilities::default(),
            facts: Capabilities::default(),
            summary: None,
            stale_summary: true,
            schedule: Schedule::default(),
            flights: Flights::default(),
            circuit: Circuit::default(),
            budget,
            interest: Interest::default(),
            lists: [Track::default(), Track::default()],
            settling: HashSet::new(),
            rechecks: HashMap::new(),
            running: HashMap::new(),
            actors: HashMap::new(),
            actions: VecDeque::new(),
            news: false,
            taking_news: None,
            followed: false,
            replies: Vec::new(),
            catch_ups: Vec::new(),
            reports: Vec::new(),
            last_success: None,
            last_failure: None,
            last_error: None,
            noting: false,
            doubts: Vec::new(),
            gentle_until: Duration::ZERO,
            last_background: Duration::ZERO,
            next_step: 0,
            wake: now.mono,
            planned: None,
            backlog: 0,
        };
        core.remember(facts, swept, now);
        core
    }

    /// Takes what an earlier process noted.
    pub fn remember(&mut self, facts: Capabilities, swept: [Option<UnixMs>; 2], now: Now) {
        self.facts_noted = facts.clone();
        self.facts = facts;
        for (track, swept) in self.lists.iter_mut().zip(swept) {
            track.swept_at = swept;
            let recent = swept.is_some_and(|at| now.stamp.since(at) < self.options.sweep_interval);
            track.sweep_due = (!recent).then_some(now.mono);
        }
    }

    /// Returns requests and 304s of the last hour.
    #[must_use]
    pub fn last_hour(&self, now: Now) -> (u64, u64) {
        self.budget.last_hour(now.mono)
    }

    /// Returns how many runs due for their trials the next summary should hold.
    #[must_use]
    pub fn trials_wanted(&self) -> usize {
        // Beyond those that failed, or they would hide all others.
        TRIALS_AT_ONCE + self.schedule.failing()
    }

    /// Asks for an answer to a request that began at or after `not_before`.
    pub fn want(&mut self, want: &FetchKey, not_before: Duration, waiter: Waiter) {
        let _joined = self.flights.join(want, not_before, waiter);
    }

    /// Asks for an action, or with `kill` for its hard form.
    pub fn act(&mut self, action: Action, id: String, kill: bool, waiter: Waiter) {
        self.actions.push_back((action, id, kill, waiter));
    }

    /// Notes that the remote has news.
    pub fn has_news(&mut self) {
        self.news = true;
    }

    /// Tells whether news of the remote is still to be taken.
    #[must_use]
    pub fn owes_news(&self) -> bool {
        self.news || self.taking_news.is_some()
    }

    /// Notes whether the remote tells what changes.
    pub fn set_followed(&mut self, followed: bool) {
        self.followed = followed;
    }

    /// Notes that a reader looked.
    pub fn touch(&mut self, what: &Resource, now: Now) {
        if !self.interest.any(now.mono) {
            self.circuit.attend(now.mono);
        }
        self.interest.touch(what, now.mono);
    }

    /// Asks for a full sweep of both lists.
    pub fn sweep(&mut self, now: Now) {
        for track in &mut self.lists {
            track.sweep_due = Some(now.mono);
        }
    }

    /// Tells whether [`Core::set_summary`] should be called before anything else.
    #[must_use]
    pub fn wants_summary(&self) -> bool {
        self.summary.is_none() || self.stale_summary
    }

    /// Takes the mirror's summary.
    pub fn set_summary(&mut self, summary: Summary, now: Now) {
        for run in &summary.active {
            // Just seen in an answer, or about to be: no reason to ask for each of them.
            let entry = self
                .schedule
                .entry(&FetchKey::Run(run.kind, run.id.clone()));
            entry.began.get_or_insert(now.mono);
        }
        if let Some(before) = &self.summary {
            let active: HashSet<&str> = summary.active.iter().map(|r| r.id.as_str()).collect();
            for run in &before.active {
                if run.kind == RunKind::Evaluation && !active.contains(run.id.as_str()) {
                    self.settling.insert(run.id.clone());
                }
            }
        }
        for list in &summary.lists {
            let track = &mut self.lists[index(list.kind)];
            if let Some(confirmed) = &list.confirmation {
                track.whole |= self.summary.is_none() && confirmed.complete;
                track.confirmed = track.confirmed.max(confirmed.at);
            }
            // A list that is always whole shows by its length that something is gone.
            let differs = track.listed.is_some_and(|n| n as u64 != list.rows);
            if self.traits.whole_lists && differs && track.sweep_due.is_none() {
                let gap = Duration::from_secs(5);
                track.sweep_due = Some(track.swept.map_or(now.mono, |at| at + gap));
            }
        }
        self.summary = Some(summary);
        self.stale_summary = false;
        self.end_catch_ups(now);
    }

    /// Returns who gets what.
    pub fn take_replies(&mut self) -> Vec<(Waiter, Reply)> {
        std::mem::take(&mut self.replies)
    }

    /// Returns when to call [`Core::due`] again, if nothing happens before.
    #[must_use]
    pub fn next_wake(&self) -> Duration {
        self.wake
    }

    /// Returns the next planned step and its time.
    #[must_use]
    pub fn planned(&self) -> Option<&(Duration, String)> {
        self.planned.as_ref()
    }

    /// Returns how many planned steps are overdue.
    #[must_use]
    pub fn backlog(&self) -> u64 {
        self.backlog
    }
}
