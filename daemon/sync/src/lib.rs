//! Keeps one mirror equal to one remote.
//!
//! Decides when to send requests to the remote and what to write of its answers. [`plan`] is pure;
//! [`state`] is the state machine between plans and does no I/O; [`apply`] carries out a step; the
//! engine's task drives them. Storage is in [`docksd_mirror`], requests are in [`docksd_remote`],
//! and the API serves the result.

pub mod apply;
pub mod backoff;
pub mod budget;
pub mod capabilities;
pub mod catch_up;
mod catch_up_progress;
pub mod circuit_breaker;
pub mod clock;
mod command;
mod completion;
mod dispatch;
pub mod due_times;
mod engine;
pub mod error;
pub mod fetch_key;
pub mod health;
pub mod list_poll;
pub mod list_polling;
pub mod options;
pub mod outcome;
pub mod plan;
pub mod plan_input;
mod poll_fairness;
mod remote_health;
mod restore;
pub mod single_flight;
pub mod state;
pub mod step;
mod step_failure;
pub mod sweep;
mod take_summary;
mod upkeep;
pub mod watched_resources;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};

use docks_proto::event::ConnectionState;
use docks_proto::freshness::Freshness;
use docks_proto::routes::{Action, ProcessStop, RunKind};
use docks_proto::status::{RowCounts, SyncProgress};
use docks_proto::time::UnixMs;
use tokio::sync::{mpsc, oneshot};

use docksd_mirror::{Confirmation, Mirror, Resource, Retention};
use docksd_remote::{ActionTarget, Reading, Remote};

pub use clock::{Clock, SystemClock};
pub use error::SyncError;
pub use fetch_key::FetchKey;
pub use health::Health;
pub use options::Options;
pub use outcome::Acted;

use command::Command;
use engine::{Engine, lock};
use health::EngineSnapshot;

/// Work that a cron job starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScheduledWork {
    /// A sweep of both lists.
    Sweep,
    /// Upkeep of the mirror.
    Upkeep(Retention),
    /// Upkeep, if a night passed without it, as on a machine that sleeps at night.
    MissedUpkeep(Retention),
}

/// Handle to the engine of one remote.
#[derive(Clone)]
pub struct SyncHandle {
    commands: mpsc::UnboundedSender<Command>,
    snapshot: Arc<Mutex<EngineSnapshot>>,
    clock: Arc<dyn Clock>,
    remote: Arc<dyn Remote>,
}

/// Starts the engine of one remote on the current runtime.
#[must_use]
pub fn spawn(
    remote: Arc<dyn Remote>,
    mirror: Mirror,
    clock: Arc<dyn Clock>,
    options: Options,
) -> SyncHandle {
    let (commands, receiver) = mpsc::unbounded_channel();
    let shared = Arc::clone(&remote);
    let (engine, snapshot) = Engine::new(remote, mirror, Arc::clone(&clock), options, receiver);
    tokio::spawn(engine.run());
    SyncHandle {
        commands,
        snapshot,
        clock,
        remote: shared,
    }
}

impl SyncHandle {
    /// Waits until a request that began at or after `not_before` has confirmed `what`, and
    /// returns when that request began.
    ///
    /// However many callers wait, one request is under way for a resource; callers that came
    /// after it began share the next one.
    ///
    /// # Errors
    ///
    /// [`SyncError`] of that request.
    pub async fn refresh(
        &self,
        what: impl Into<FetchKey>,
        not_before: UnixMs,
    ) -> Result<UnixMs, SyncError> {
        // The engine compares monotonic times, since the wall clock can jump.
        let ago = self.clock.wall().since(not_before);
        let (reply, answer) = oneshot::channel();
        self.send(Command::Refresh {
            key: what.into(),
            not_before: self.clock.monotonic().saturating_sub(ago),
            reply,
        });
        answer.await.unwrap_or(Err(SyncError::Stopped))
    }

    /// Records that someone reads the resource, so that it is kept fresher for a minute.
    pub fn mark_watched(&self, what: &Resource) {
        self.send(Command::MarkWatched(what.clone()));
    }

    /// Carries out an action; the mirror has the resulting run before this returns, if it can be written.
    ///
    /// # Errors
    ///
    /// [`SyncError`]; after an outage it is unknown whether the action was carried out.
    pub async fn act(&self, action: Action, id: &str) -> Result<Acted, SyncError> {
        self.send_action(action, id, ActionTarget::Run).await
    }

    /// Stops the process of a run as the options say, where [`SyncHandle::act`] cannot stop it.
    ///
    /// # Errors
    ///
    /// As [`SyncHandle::act`].
    pub async fn stop_process(
        &self,
        action: Action,
        id: &str,
        options: ProcessStop,
    ) -> Result<Acted, SyncError> {
        let target = ActionTarget::Process(options);
        self.send_action(action, id, target).await
    }

    /// Runs one trial of an evaluation run again, given by its full id.
    ///
    /// # Errors
    ///
    /// As [`SyncHandle::act`].
    pub async fn retry_trial(&self, run: &str, trial: &str) -> Result<Acted, SyncError> {
        let target = ActionTarget::Trial(trial.to_owned());
        self.send_action(Action::Retry, run, target).await
    }

    async fn send_action(
        &self,
        action: Action,
        id: &str,
        target: ActionTarget,
    ) -> Result<Acted, SyncError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Act {
            action,
            id: id.to_owned(),
            target,
            reply,
        });
        answer.await.unwrap_or(Err(SyncError::Stopped))
    }

    /// Does everything that is planned now; the last message has `finished`.
    ///
    /// Returns when that message was sent or the receiver was dropped. Messages that do not fit
    /// into the channel are left out, except the last.
    pub async fn catch_up(&self, full: bool, progress: mpsc::Sender<SyncProgress>) {
        let (own, mut from_engine) = mpsc::channel(4);
        self.send(Command::CatchUp {
            full,
            progress: own,
        });
        let mut last = SyncProgress {
            done: 0,
            left: 0,
            doing: "stopped".to_owned(),
            finished: false,
            error: None,
            rows: RowCounts::default(),
        };
        while let Some(message) = from_engine.recv().await {
            last = message.clone();
            if progress.send(message).await.is_err() {
                return;
            }
        }
        if !last.finished {
            last.finished = true;
            last.error = Some(SyncError::Stopped.detail());
            let _gone = progress.send(last).await;
        }
    }

    /// Waits until the trials of all runs were confirmed at or after `not_before`, also those of runs that ended
    /// long ago. They are fetched side by side, as when the mirror catches up.
    ///
    /// # Errors
    ///
    /// [`SyncError`] of the first run whose trials could not be fetched, or of its list.
    pub async fn confirm_all_trials(&self, not_before: UnixMs) -> Result<(), SyncError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::ConfirmTrials {
            max_age: self.clock.wall().since(not_before),
            reply,
        });
        answer.await.unwrap_or(Err(SyncError::Stopped))
    }

    /// Starts scheduled work.
    pub fn run_scheduled(&self, work: ScheduledWork) {
        self.send(match work {
            ScheduledWork::Sweep => Command::Sweep,
            ScheduledWork::Upkeep(retention) => Command::Upkeep(retention),
            ScheduledWork::MissedUpkeep(retention) => Command::MissedUpkeep(retention),
        });
    }

    /// Returns the state of the engine.
    #[must_use]
    pub fn health(&self) -> Health {
        lock(&self.snapshot).health.clone()
    }

    /// Returns how far the remote is, while it reads everything for the first time.
    #[must_use]
    pub fn reading(&self) -> Option<Reading> {
        self.remote.reading()
    }

    /// Returns why the mirror could not be read or written last, until a step of the engine succeeds, and
    /// a sweep if it was one that failed.
    #[must_use]
    pub fn mirror_error(&self) -> Option<SyncError> {
        lock(&self.snapshot).mirror_error.clone()
    }

    /// Returns since when and why the remote cannot be reached, if so.
    #[must_use]
    pub fn connection_state(&self) -> ConnectionState {
        let shared = lock(&self.snapshot);
        let health = &shared.health;
        if health.circuit == "closed" {
            return ConnectionState::default();
        }
        let failed = health.last_error.as_ref();
        ConnectionState {
            unreachable_since: (health.last_success.map(UnixMs::rfc3339))
                .or_else(|| failed.map(|failure| failure.at.clone())),
            reason: failed.map(|failure| failure.message.clone()),
        }
    }

    /// Returns how old a confirmation is, and why it is older than it should be.
    #[must_use]
    pub fn freshness(&self, confirmed: Option<&Confirmation>, active: bool) -> Freshness {
        lock(&self.snapshot).freshness(self.clock.as_ref(), confirmed, active, None)
    }

    /// Returns the same of a list, which is not current either if the last poll could not confirm it.
    #[must_use]
    pub fn list_freshness(
        &self,
        kind: RunKind,
        confirmed: &Confirmation,
        active: bool,
    ) -> Freshness {
        let list = Some(kind);
        lock(&self.snapshot).freshness(self.clock.as_ref(), Some(confirmed), active, list)
    }

    /// Returns when every row of a list was last confirmed. The list's own confirmation says that of its newest
    /// and its active runs, which are polled; the other runs have ended.
    #[must_use]
    pub fn whole_list_confirmed(&self, kind: RunKind) -> UnixMs {
        lock(&self.snapshot).whole_lists_confirmed[state::list_index(kind)]
    }

    /// Stops the engine; steps under way are dropped, and the next engine does them again.
    pub async fn stop(self) {
        let (stopped, wait) = oneshot::channel();
        self.send(Command::Stop(stopped));
        // If the engine has already stopped, there is nothing to wait for.
        let _ended = wait.await;
    }

    fn send(&self, command: Command) {
        // If the engine has stopped, the reply channel is closed and tells the caller.
        let _ended = self.commands.send(command);
    }
}
