//! The task that drives [`EngineState`]: commands, timers and finished steps.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use docks_proto::status::SyncProgress;
use docks_proto::time::UnixMs;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use docksd_mirror::Mirror;
use docksd_remote::{ChangeDetection, DeliveredRun, FaultClass, Remote};

use super::apply::execute;
use super::capabilities::Capabilities;
use super::catch_up::{CatchUpReport, CatchUpScope};
use super::clock::{Clock, Now, SteadyClock};
use super::command::Command;
use super::error::SyncError;
use super::health::EngineSnapshot;
use super::options::Options;
use super::outcome::{Acted, Outcome};
use super::restore::{read_stored, replace_later_timestamps, store_clock_note};
use super::state::{EngineState, Reply, WaiterId};
use super::step::{Step, Task};
use super::upkeep::{Upkeep, is_missed};

/// Longest sleep: timers stop while the machine sleeps, and the engine must notice that it woke up.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);
/// Pause after the mirror failed to return a summary.
const MIRROR_RETRY: Duration = Duration::from_secs(5);
enum ReplySender {
    Refresh(oneshot::Sender<Result<UnixMs, SyncError>>),
    Act(oneshot::Sender<Result<Acted, SyncError>>),
}

pub(super) struct Engine {
    remote: Arc<dyn Remote>,
    mirror: Mirror,
    clock: Arc<dyn Clock>,
    steady: Arc<Mutex<SteadyClock>>,
    state: EngineState,
    snapshot: Arc<Mutex<EngineSnapshot>>,
    commands: mpsc::UnboundedReceiver<Command>,
    steps: JoinSet<(Step, Outcome)>,
    upkeep: Upkeep,
    reply_senders: HashMap<WaiterId, ReplySender>,
    progress: HashMap<u64, mpsc::Sender<SyncProgress>>,
    /// Callers that want to know no more than how catching up ended.
    ends: HashMap<u64, oneshot::Sender<Result<(), SyncError>>>,
    next_number: u64,
    mirror_broken_until: Duration,
}

/// Locks a value that is only ever replaced as a whole, so a panic elsewhere left it intact.
pub(super) fn lock<T>(value: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    pub(super) fn new(
        remote: Arc<dyn Remote>,
        mirror: Mirror,
        clock: Arc<dyn Clock>,
        options: Options,
        commands: mpsc::UnboundedReceiver<Command>,
    ) -> (Self, Arc<Mutex<EngineSnapshot>>) {
        let mut steady = SteadyClock::new(clock.as_ref(), UnixMs(0));
        let now = steady.now(clock.as_ref());
        let state = EngineState::new(
            remote.properties(),
            options,
            Capabilities::default(),
            [None, None],
            fastrand::Rng::new(),
            now,
        );
        let first = EngineSnapshot::from_state(&state, &steady, now, None);
        let snapshot = Arc::new(Mutex::new(first));
        let engine = Self {
            remote,
            mirror,
            clock,
            steady: Arc::new(Mutex::new(steady)),
            state,
            snapshot: Arc::clone(&snapshot),
            commands,
            steps: JoinSet::new(),
            upkeep: Upkeep::default(),
            reply_senders: HashMap::new(),
            progress: HashMap::new(),
            ends: HashMap::new(),
            next_number: 0,
            mirror_broken_until: Duration::ZERO,
        };
        (engine, snapshot)
    }

    fn now(&self) -> Now {
        lock(&self.steady).now(self.clock.as_ref())
    }

    /// Reads what an earlier process stored, and continues after its last timestamp.
    async fn restore(&mut self) {
        let stored = read_stored(&self.mirror, self.clock.as_ref()).await;
        *lock(&self.steady) = stored.steady;
        let now = self.now();
        self.state.restore(stored.memory, now);
        self.upkeep.restore(stored.last_upkeep);
        if self.remote.properties().whole_lists {
            // Without them, it reads everything again.
            let delivered = self.mirror.delivered_runs().await.unwrap_or_default();
            let delivered = delivered.into_iter().map(|run| DeliveredRun {
                id: run.id,
                run: run.run,
                evaluation: run.evaluation,
                trials_validator: run.trials_validator,
            });
            self.remote.resume(delivered.collect());
        }
    }

    pub(super) async fn run(mut self) {
        self.restore().await;
        let remote = Arc::clone(&self.remote);
        let mut changed = remote.wait_for_changes();
        loop {
            let now = self.now();
            self.turn(now).await;
            let mono = self.clock.monotonic();
            let sleep = self.state.next_wake().max(self.mirror_wake());
            let sleep = sleep.saturating_sub(mono).min(LONGEST_SLEEP);
            tokio::select! {
                command = self.commands.recv() => {
                    let Some(command) = command else { break };
                    if let Some(stopped) = self.command(command) {
                        self.stop().await;
                        let _gone = stopped.send(());
                        return;
                    }
                    while let Ok(command) = self.commands.try_recv() {
                        if let Some(stopped) = self.command(command) {
                            self.stop().await;
                            let _gone = stopped.send(());
                            return;
                        }
                    }
                }
                Some(done) = self.steps.join_next() => self.step_done(done),
                Some(ended) = self.upkeep.next_ended() => self.upkeep.finish(ended),
                () = &mut changed, if !self.state.has_pending_changes() => {
                    self.state.notify_changes();
                    changed = remote.wait_for_changes();
                }
                () = tokio::time::sleep(sleep) => {}
            }
        }
        self.stop().await;
    }

    fn mirror_wake(&self) -> Duration {
        self.mirror_broken_until
    }

    async fn turn(&mut self, now: Now) {
        if self.state.needs_summary() && now.mono >= self.mirror_broken_until {
            let (most, since) = (self.state.summary_trials(), self.state.trials_since());
            match self.mirror.summary(most, since).await {
                Ok(summary) => self.state.set_summary(summary, now),
                Err(error) => {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "could not read the mirror's summary"
                    );
                    self.mirror_broken_until = now.mono + MIRROR_RETRY;
                    self.state.summary_failed(&error.into(), now);
                }
            }
        }
        let following = self.remote.change_detection();
        let notifies = matches!(
            following,
            ChangeDetection::Events { .. } | ChangeDetection::Deltas
        );
        self.state.set_notifies_changes(notifies);
        self.state.set_reading(self.remote.reading().is_some());
        self.follow_clock().await;
        // The clock may have gone back.
        let now = self.now();
        // Nothing starts until what is under way has ended, when the clock is to go back.
        if lock(&self.steady).is_ahead(now.mono) {
            self.state.hold(now);
        } else {
            for step in self.state.start_due(now) {
                self.spawn(step);
            }
        }
        self.answer().await;
        let steady = lock(&self.steady).clone();
        let mut snapshot =
            EngineSnapshot::from_state(&self.state, &steady, now, self.upkeep.last());
        snapshot.health.change_detection = following;
        *lock(&self.snapshot) = snapshot;
    }

    /// Does what depends on whether the wall clock is plausible.
    async fn follow_clock(&mut self) {
        let clock = Arc::clone(&self.clock);
        let note = lock(&self.steady).note();
        if let Some(note) = note
            && store_clock_note(&self.mirror, note).await
        {
            lock(&self.steady).note_stored();
        }
        let (settled, is_ahead) = {
            let steady = lock(&self.steady);
            let is_ahead = steady.is_ahead(clock.monotonic());
            // A jump that is not stored would not keep upkeep from deleting what it makes look old.
            let settled = steady.settled(clock.as_ref());
            (settled.filter(|_| steady.note().is_none()), is_ahead)
        };
        self.upkeep.start_requested(&self.mirror, settled);
        if !is_ahead || !self.steps.is_empty() || self.upkeep.is_running() {
            return;
        }
        if replace_later_timestamps(&self.mirror, clock.as_ref()).await {
            lock(&self.steady).set_back(clock.as_ref());
            self.upkeep.restore(None);
            self.state.go_back(self.now());
        } else {
            lock(&self.steady).doubt_again(clock.monotonic());
        }
    }

    fn spawn(&mut self, step: Step) {
        debug!(step = %step.task.describe(), class = ?step.class, "starts");
        let (remote, mirror) = (Arc::clone(&self.remote), self.mirror.clone());
        let (clock, steady) = (Arc::clone(&self.clock), Arc::clone(&self.steady));
        self.steps.spawn(async move {
            let now = || lock(&steady).now(clock.as_ref()).stamp;
            let work = execute(remote.as_ref(), &mirror, &step, now);
            // A panic in a remote must not keep its request under way for good.
            let outcome =
                match futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(work))
                    .await
                {
                    Ok(outcome) => outcome,
                    Err(_panic) => Outcome::panicked(),
                };
            (step, outcome)
        });
    }

    fn step_done(&mut self, done: Result<(Step, Outcome), tokio::task::JoinError>) {
        let Ok((step, outcome)) = done else {
            return;
        };
        let now = self.now();
        let what = step.task.describe();
        match &outcome.answer {
            // A user mistyped an id, which is no news for the log.
            Err(SyncError::Remote(error)) if error.class() == FaultClass::NotFound => {
                debug!(step = %what, "the remote has no {what}");
            }
            Err(error) => warn!(step = %what, error = %error.chain(), "could not sync {what}"),
            Ok(_) if matches!(step.task, Task::FinishSweep { .. }) => info!("swept {what}"),
            Ok(_) => debug!(step = %what, changed = outcome.changed, "done"),
        }
        self.state.finish_step(&step, outcome, now);
    }

    fn command(&mut self, command: Command) -> Option<oneshot::Sender<()>> {
        let now = self.now();
        self.next_number += 1;
        let number = self.next_number;
        match command {
            Command::Refresh {
                key,
                not_before,
                reply,
            } => {
                self.reply_senders
                    .insert(number, ReplySender::Refresh(reply));
                self.state
                    .request_refresh(&key, not_before.min(now.mono), number);
            }
            Command::Act {
                action,
                id,
                target,
                reply,
            } => {
                self.reply_senders.insert(number, ReplySender::Act(reply));
                self.state.request_action(action, id, target, number);
            }
            Command::MarkWatched(what) => self.state.mark_watched(&what, now),
            Command::CatchUp { full, progress } => {
                self.progress.insert(number, progress);
                let scope = if full {
                    self.mirror.make_check_due();
                    CatchUpScope::Full
                } else {
                    CatchUpScope::Planned
                };
                self.state.catch_up(number, scope, now);
            }
            Command::ConfirmTrials { max_age, reply } => {
                self.ends.insert(number, reply);
                let scope = CatchUpScope::TrialsSince(now.stamp.minus(max_age));
                self.state.catch_up(number, scope, now);
            }
            Command::Sweep => self.state.request_sweep(now),
            Command::Upkeep(retention) => self.upkeep.request(retention),
            Command::MissedUpkeep(retention) => {
                if is_missed(self.upkeep.last(), now.stamp) {
                    self.upkeep.request(retention);
                }
            }
            Command::Stop(stopped) => return Some(stopped),
        }
        None
    }

    async fn answer(&mut self) {
        for (waiter, reply) in self.state.take_replies() {
            // The caller may have gone; the answer is in the mirror all the same.
            match (self.reply_senders.remove(&waiter), reply) {
                (Some(ReplySender::Refresh(to)), Reply::Confirmed(result)) => {
                    let _gone = to.send(result);
                }
                (Some(ReplySender::Act(to)), Reply::Acted(result)) => {
                    let _gone = to.send(result);
                }
                _ => {}
            }
        }
        for report in self.state.take_reports() {
            self.report(report).await;
        }
    }

    async fn report(&mut self, report: CatchUpReport) {
        if let Some(to) = self.ends.get(&report.id) {
            if to.is_closed() {
                self.state.abandon_catch_up(report.id);
            }
            if (report.finished || to.is_closed())
                && let Some(to) = self.ends.remove(&report.id)
            {
                let _gone = to.send(report.error.map_or(Ok(()), Err));
            }
            return;
        }
        let rows = self.mirror.stats().await.map(|s| s.rows);
        let message = SyncProgress {
            done: report.done,
            left: report.left,
            doing: report.doing,
            finished: report.finished,
            error: report.error.as_ref().map(SyncError::detail),
            rows: rows.unwrap_or_default(),
        };
        let Some(to) = self.progress.get(&report.id) else {
            return;
        };
        if report.finished {
            if let Some(to) = self.progress.remove(&report.id) {
                // The last message must arrive without holding up the engine.
                tokio::spawn(async move {
                    let _gone = to.send(message).await;
                });
            }
        } else if let Err(mpsc::error::TrySendError::Closed(_)) = to.try_send(message) {
            self.progress.remove(&report.id);
            self.state.abandon_catch_up(report.id);
        }
    }

    async fn stop(&mut self) {
        self.steps.shutdown().await;
        self.upkeep.stop().await;
        for (_, answerer) in self.reply_senders.drain() {
            match answerer {
                ReplySender::Refresh(to) => drop(to.send(Err(SyncError::Stopped))),
                ReplySender::Act(to) => drop(to.send(Err(SyncError::Stopped))),
            }
        }
    }
}
