//! Sync: keeps one mirror equal to one remote.
//!
//! Owns when the remote is asked and what is written of its answers. [`plan`] is
//! pure; [`state`] keeps the state between plans without doing I/O; [`apply`]
//! carries a step out; the engine's task joins them. Leaves storing to
//! [`docksd_mirror`], asking to [`docksd_remote`], and serving to the API.

pub mod apply;
pub mod backoff;
pub mod budget;
pub mod capabilities;
pub mod catch_up;
pub mod circuit_breaker;
pub mod clock;
mod completion;
mod dispatch;
pub mod due_times;
mod engine;
pub mod health;
pub mod list_polling;
pub mod plan;
mod poll_fairness;
pub mod single_flight;
pub mod state;
pub mod sweep;
pub mod task;
pub mod watched_resources;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};

use docks_proto::event::ConnectionState;
use docks_proto::freshness::Freshness;
use docks_proto::object::RawObject;
use docks_proto::routes::Action;
use docks_proto::status::{RowCounts, SyncProgress};
use docks_proto::time::UnixMs;
use tokio::sync::{mpsc, oneshot};

use docksd_mirror::{Confirmation, Mirror, Resource, Retention};
use docksd_remote::Remote;

pub use clock::{Clock, SystemClock};
pub use health::Health;
pub use plan::Options;
pub use task::{FetchKey, SyncError};

use engine::{Command, Engine, lock};
use health::Shared;

/// What a cron job asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScheduledWork {
    /// A full sweep of both lists.
    Sweep,
    /// The mirror's upkeep.
    Upkeep(Retention),
    /// The same, if a night went by without it, as on a machine that sleeps at night.
    MissedUpkeep(Retention),
}

/// Talks to the engine of one remote.
#[derive(Clone)]
pub struct SyncHandle {
    commands: mpsc::UnboundedSender<Command>,
    shared: Arc<Mutex<Shared>>,
    clock: Arc<dyn Clock>,
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
    let (engine, shared) = Engine::new(remote, mirror, Arc::clone(&clock), options, receiver);
    tokio::spawn(engine.run());
    SyncHandle {
        commands,
        shared,
        clock,
    }
}

impl SyncHandle {
    /// Waits until a request that began at or after `not_before` confirmed `what`, and
    /// returns when that was.
    ///
    /// However many wait, one request is under way for a resource; those who asked
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
        // The wall clock can jump; how long ago that was cannot.
        let ago = self.clock.wall().since(not_before);
        let (reply, answer) = oneshot::channel();
        self.send(Command::Refresh {
            want: what.into(),
            not_before: self.clock.monotonic().saturating_sub(ago),
            reply,
        });
        answer.await.unwrap_or(Err(SyncError::Stopped))
    }

    /// Notes that a reader looked, so that it is kept fresher for a minute.
    pub fn mark_watched(&self, what: &Resource) {
        self.send(Command::Touch(what.clone()));
    }

    /// Carries out an action; the run as it is then is in the mirror before this returns.
    ///
    /// # Errors
    ///
    /// [`SyncError`]; after an outage whether it was carried out is unknown.
    pub async fn act(&self, action: Action, id: &str) -> Result<RawObject, SyncError> {
        self.acted(action, id, false).await
    }

    /// Ends a run without letting it clean up, where [`SyncHandle::act`] cannot.
    ///
    /// # Errors
    ///
    /// As [`SyncHandle::act`].
    pub async fn kill(&self, action: Action, id: &str) -> Result<RawObject, SyncError> {
        self.acted(action, id, true).await
    }

    async fn acted(&self, action: Action, id: &str, kill: bool) -> Result<RawObject, SyncError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Act {
            action,
            id: id.to_owned(),
            kill,
            reply,
        });
        answer.await.unwrap_or(Err(SyncError::Stopped))
    }

    /// Does everything that is planned now; the last message has `finished`.
    ///
    /// Returns when that message was sent, or nobody listens any more. Messages
    /// that do not fit the channel are left out, except the last.
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
            last.error = Some(catch_up::detail(&SyncError::Stopped));
            let _gone = progress.send(last).await;
        }
    }

    /// Asks for work that is done by the calendar.
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
        lock(&self.shared).health.clone()
    }

    /// Returns since when and why nothing is learned of the remote, while that is so.
    #[must_use]
    pub fn connection_state(&self) -> ConnectionState {
        let shared = lock(&self.shared);
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

    /// Returns how old something is, and in words why it is older than it should be.
    #[must_use]
    pub fn freshness(&self, confirmed: Option<&Confirmation>, active: bool) -> Freshness {
        lock(&self.shared).freshness(self.clock.as_ref(), confirmed, active)
    }

    /// Ends the engine; steps under way are dropped and done again by the next one.
    pub async fn stop(self) {
        let (stopped, gone) = oneshot::channel();
        self.send(Command::Stop(stopped));
        // An engine that ended by itself is as good as one that was stopped.
        let _ended = gone.await;
    }

    fn send(&self, command: Command) {
        // When the engine has ended, the reply's other half is dropped and says so.
        let _ended = self.commands.send(command);
    }
}
