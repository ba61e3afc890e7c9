//! The state of the engine, a state machine without I/O.
//!
//! `dispatch` starts what is due; `completion`,
//! `step_failure` and `remote_health` take what
//! came of it. The engine task and the simulations drive the same code.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use docks_proto::routes::{Action, RunKind};
use docks_proto::time::UnixMs;

use docksd_mirror::{Resource, Summary};
use docksd_remote::{ActionTarget, RemoteProperties};

use super::budget::{Budget, RequestClass};
use super::capabilities::Capabilities;
use super::catch_up::{CatchUp, CatchUpReport};
use super::circuit_breaker::CircuitBreaker;
use super::clock::Now;
use super::due_times::DueTimes;
use super::error::SyncError;
use super::fetch_key::FetchKey;
use super::list_poll::{CachedPage, Round};
use super::options::Options;
use super::outcome::Acted;
use super::single_flight::SingleFlight;
use super::sweep::{LEAST_GAP, LONGEST_GAP, Sweep};
use super::watched_resources::WatchedResources;

/// Runs with trials due that one summary holds.
const TRIALS_AT_ONCE: usize = 64;

/// Identifies a caller that waits for a refresh or an action.
pub type WaiterId = u64;

/// What a waiter receives.
#[derive(Debug)]
pub enum Reply {
    /// A refresh ended; the time is when the request began.
    Confirmed(Result<UnixMs, SyncError>),
    /// An action was carried out; the run as it is afterwards.
    Acted(Result<Acted, SyncError>),
}

/// State of syncing one list.
#[derive(Debug, Default)]
pub(super) struct ListSyncState {
    pub(super) cached_page: Option<CachedPage>,
    /// An empty answer was not believed.
    pub(super) doubted_empty: bool,
    /// The mirror holds the whole list.
    pub(super) complete: bool,
    pub(super) confirmed: UnixMs,
    /// When every row of the list was last confirmed.
    pub(super) whole_confirmed: UnixMs,
    /// Which polled part of the list is next.
    pub(super) next_part: usize,
    /// The polls of the parts before it.
    pub(super) round: Option<Round>,
    /// Why the last poll failed, and when it began.
    pub(super) failed: Option<(UnixMs, SyncError)>,
    /// Length of the whole list by the last poll, until it was compared with the mirror.
    pub(super) listed_total: Option<u64>,
    /// Number of rows in the last poll.
    pub(super) listed_rows: Option<usize>,
    pub(super) sweep: Option<Sweep>,
    pub(super) sweep_due: Option<Duration>,
    /// Why the mirror could not store the last sweep, until one ends.
    pub(super) unstored_sweep: Option<SyncError>,
    /// Number of sweeps in a row that it could not store.
    pub(super) unstored_sweeps: u32,
    /// A sweep was requested because something seems to be gone.
    pub(super) is_suspicious: bool,
    /// Number of polls in a row that did not show runs that the remote still has.
    pub(super) polls_lacking_rows: u32,
    /// Number of such sweeps in a row that found nothing gone.
    pub(super) fruitless_sweeps: u32,
    /// When the last sweep ended, if this process did it.
    pub(super) last_sweep: Option<Duration>,
    /// When the last sweep ended, by the wall clock.
    pub(super) last_sweep_at: Option<UnixMs>,
}

impl ListSyncState {
    /// Requests a sweep because something seems to be gone, which only a sweep can prove.
    pub(super) fn request_proof(&mut self, now: Duration) {
        let gap = LEAST_GAP * 2_u32.saturating_pow(self.fruitless_sweeps.min(16));
        let earliest = self
            .last_sweep
            .map_or(now, |at| at + gap.min(LONGEST_GAP))
            .max(now);
        self.sweep_due = Some(self.sweep_due.map_or(earliest, |due| due.min(earliest)));
        self.is_suspicious = true;
    }

    /// Takes the end of a sweep. A contradiction that sweeps do not resolve leads to fewer and fewer of them.
    pub(super) fn proof_ended(&mut self) {
        let found = self
            .sweep
            .take()
            .is_some_and(|sweep| sweep.has_found_gone());
        if found {
            self.fruitless_sweeps = 0;
        } else if self.is_suspicious {
            self.fruitless_sweeps = self.fruitless_sweeps.saturating_add(1);
        }
        self.is_suspicious = false;
    }
}

/// What one process stores for the next.
#[derive(Debug, Default)]
pub struct EngineMemory {
    /// What was learned about the remote.
    pub capabilities: Capabilities,
    /// When each list was last swept.
    pub last_sweeps: [Option<UnixMs>; 2],
    /// Since when a sweep has confirmed every row of each list.
    pub whole_lists: [Option<UnixMs>; 2],
    /// Evaluation runs that had just ended and have trials that have not.
    pub open_runs: Vec<String>,
}

/// A failure, for `status`.
#[derive(Debug, Clone)]
pub struct Failure {
    /// When it happened.
    pub at: UnixMs,
    /// Why.
    pub error: SyncError,
    /// Number of failures in a row.
    pub consecutive: u32,
}

/// The state of the engine.
#[derive(Debug)]
pub struct EngineState {
    pub(super) properties: RemoteProperties,
    pub(super) options: Options,
    pub(super) rng: fastrand::Rng,
    pub(super) capabilities: Capabilities,
    pub(super) stored_capabilities: Capabilities,
    pub(super) summary: Option<Summary>,
    pub(super) stale_summary: bool,
    pub(super) due_times: DueTimes,
    pub(super) flights: SingleFlight<FetchKey, WaiterId>,
    pub(super) circuit: CircuitBreaker,
    pub(super) budget: Budget,
    pub(super) watched: WatchedResources,
    pub(super) lists: [ListSyncState; 2],
    /// Evaluation runs that were active in the previous summary and are not any more.
    pub(super) just_ended: HashSet<String>,
    /// Ended runs with open trials: number of checks so far, and when the next one is due.
    pub(super) rechecks: HashMap<String, (u8, Duration)>,
    pub(super) running: HashMap<u64, RequestClass>,
    pub(super) action_waiters: HashMap<u64, WaiterId>,
    pub(super) actions: VecDeque<(Action, String, ActionTarget, WaiterId)>,
    /// The remote has reported changes that were not taken yet.
    pub(super) changes_pending: bool,
    /// Whether the remote reads everything for the first time.
    pub(super) is_reading: bool,
    /// Number of the step that takes them.
    pub(super) taking_changes: Option<u64>,
    /// Whether the remote reports changes, so that polling only finds what it missed.
    pub(super) notifies_changes: bool,
    pub(super) replies: Vec<(WaiterId, Reply)>,
    pub(super) catch_ups: Vec<CatchUp>,
    pub(super) reports: Vec<CatchUpReport>,
    pub(super) last_success: Option<UnixMs>,
    pub(super) last_failure: Option<Failure>,
    /// How the remote last asked to be left alone.
    pub(super) rate_limit_error: Option<SyncError>,
    pub(super) storing_capabilities: bool,
    pub(super) unbelieved: Vec<FetchKey>,
    pub(super) spread_until: Duration,
    pub(super) last_background: Duration,
    pub(super) next_step: u64,
    pub(super) wake: Duration,
    pub(super) planned: Option<(Duration, String)>,
    pub(super) backlog: u64,
}

/// Returns the index of a list in arrays of both lists.
pub(super) fn list_index(kind: RunKind) -> usize {
    match kind {
        RunKind::Run => 0,
        RunKind::Evaluation => 1,
    }
}

impl EngineState {
    /// Starts with what an earlier process stored: capabilities and the times of the last sweeps.
    #[must_use]
    pub fn new(
        properties: RemoteProperties,
        options: Options,
        capabilities: Capabilities,
        last_sweeps: [Option<UnixMs>; 2],
        rng: fastrand::Rng,
        now: Now,
    ) -> Self {
        let budget = Budget::new(options.budget_per_minute, properties.metered, now.mono);
        let mut state = Self {
            properties,
            options,
            rng,
            stored_capabilities: Capabilities::default(),
            capabilities: Capabilities::default(),
            summary: None,
            stale_summary: true,
            due_times: DueTimes::default(),
            flights: SingleFlight::default(),
            circuit: CircuitBreaker::default(),
            budget,
            watched: WatchedResources::default(),
            lists: [ListSyncState::default(), ListSyncState::default()],
            just_ended: HashSet::new(),
            rechecks: HashMap::new(),
            running: HashMap::new(),
            action_waiters: HashMap::new(),
            actions: VecDeque::new(),
            changes_pending: false,
            is_reading: false,
            taking_changes: None,
            notifies_changes: false,
            replies: Vec::new(),
            catch_ups: Vec::new(),
            reports: Vec::new(),
            last_success: None,
            last_failure: None,
            rate_limit_error: None,
            storing_capabilities: false,
            unbelieved: Vec::new(),
            spread_until: Duration::ZERO,
            last_background: Duration::ZERO,
            next_step: 0,
            wake: now.mono,
            planned: None,
            backlog: 0,
        };
        let stored = EngineMemory {
            capabilities,
            last_sweeps,
            ..EngineMemory::default()
        };
        state.restore(stored, now);
        state
    }

    /// Takes over what an earlier process stored.
    pub fn restore(&mut self, stored: EngineMemory, now: Now) {
        let EngineMemory {
            capabilities,
            last_sweeps,
            whole_lists,
            open_runs,
        } = stored;
        // The earlier process may have ended before it asked for the trials again.
        self.rechecks = open_runs
            .into_iter()
            .map(|run| (run, (0, now.mono)))
            .collect();
        for (list, since) in self.lists.iter_mut().zip(whole_lists) {
            list.whole_confirmed = since.filter(|at| *at <= now.stamp).unwrap_or_default();
        }
        self.stored_capabilities = capabilities.clone();
        self.capabilities = capabilities;
        for (list, last_sweep) in self.lists.iter_mut().zip(last_sweeps) {
            // One in the future was dated by a wrong clock.
            let last_sweep = last_sweep.filter(|at| *at <= now.stamp);
            list.last_sweep_at = last_sweep;
            let recent =
                last_sweep.is_some_and(|at| now.stamp.since(at) < self.options.sweep_interval);
            list.sweep_due = (!recent).then_some(now.mono);
        }
    }

    /// Forgets the timestamps of a clock that was ahead; `now` is by the one that is right.
    pub(super) fn go_back(&mut self, now: Now) {
        for list in &mut self.lists {
            list.confirmed = UnixMs(0);
            list.whole_confirmed = UnixMs(0);
            list.round = None;
            list.failed = None;
            list.last_sweep_at = list.last_sweep_at.map(|at| at.min(now.stamp));
        }
        for waiting in &mut self.catch_ups {
            waiting.trials_since = waiting.trials_since.map(|at| at.min(now.stamp));
        }
        self.last_success = self.last_success.map(|at| at.min(now.stamp));
        if let Some(failure) = &mut self.last_failure {
            failure.at = failure.at.min(now.stamp);
        }
        // It has confirmations of the mirror.
        self.stale_summary = true;
    }

    /// Returns the numbers of requests and of 304s in the last hour.
    #[must_use]
    pub fn last_hour(&self, now: Now) -> (u64, u64) {
        self.budget.last_hour(now.mono)
    }

    /// Returns the number of runs with trials due that the next summary should hold; [`Self::trials_since`] says
    /// which are due.
    #[must_use]
    pub fn summary_trials(&self) -> usize {
        // More than those that failed, which would hide all others.
        TRIALS_AT_ONCE + self.due_times.failing_count()
    }

    /// Requests an answer to a request that began at or after `not_before`.
    pub fn request_refresh(&mut self, key: &FetchKey, not_before: Duration, waiter: WaiterId) {
        let key = match key {
            FetchKey::WholeList(kind) if self.properties.whole_lists => &FetchKey::List(*kind),
            key => key,
        };
        let _joined = self.flights.join(key, not_before, waiter);
    }

    /// Requests an action on a run.
    pub fn request_action(
        &mut self,
        action: Action,
        id: String,
        target: ActionTarget,
        waiter: WaiterId,
    ) {
        self.actions.push_back((action, id, target, waiter));
    }

    /// Records that the remote has changes to report.
    pub fn notify_changes(&mut self) {
        self.changes_pending = true;
    }

    /// Returns whether reported changes remain to be taken.
    #[must_use]
    pub fn has_pending_changes(&self) -> bool {
        self.changes_pending || self.taking_changes.is_some()
    }

    /// Records whether the remote reports changes.
    pub fn set_notifies_changes(&mut self, notifies_changes: bool) {
        self.notifies_changes = notifies_changes;
    }

    /// Records whether the remote reads everything for the first time. When that ends, its lists are whole.
    pub fn set_reading(&mut self, is_reading: bool) {
        if std::mem::replace(&mut self.is_reading, is_reading) && !is_reading {
            for kind in RunKind::ALL {
                self.due_times.make_due(&FetchKey::ListPart(kind));
            }
        }
    }

    /// Records that someone reads the resource.
    pub fn mark_watched(&mut self, what: &Resource, now: Now) {
        if !self.watched.any(now.mono) {
            self.circuit.shorten_pause(now.mono);
        }
        self.watched.mark(what, now.mono);
    }

    /// Requests a sweep of both lists.
    pub fn request_sweep(&mut self, now: Now) {
        for list in &mut self.lists {
            list.sweep_due = Some(now.mono);
        }
    }

    /// Returns the replies since the last call.
    pub fn take_replies(&mut self) -> Vec<(WaiterId, Reply)> {
        std::mem::take(&mut self.replies)
    }

    /// Returns when to call [`EngineState::start_due`] again, if nothing happens before.
    #[must_use]
    pub fn next_wake(&self) -> Duration {
        self.wake
    }

    /// Returns when the next step is planned and what it is.
    #[must_use]
    pub fn planned(&self) -> Option<&(Duration, String)> {
        self.planned.as_ref()
    }

    /// Returns the number of planned steps that are overdue.
    #[must_use]
    pub fn backlog(&self) -> u64 {
        self.backlog
    }
}
