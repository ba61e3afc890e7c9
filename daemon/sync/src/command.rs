//! What the handle tells the engine's task to do.

use std::time::Duration;

use docks_proto::routes::Action;
use docks_proto::status::SyncProgress;
use docks_proto::time::UnixMs;
use tokio::sync::{mpsc, oneshot};

use docksd_mirror::{Resource, Retention};
use docksd_remote::ActionTarget;

use super::error::SyncError;
use super::fetch_key::FetchKey;
use super::outcome::Acted;

/// What the handle tells the engine's task to do.
pub(super) enum Command {
    Refresh {
        key: FetchKey,
        not_before: Duration,
        reply: oneshot::Sender<Result<UnixMs, SyncError>>,
    },
    Act {
        action: Action,
        id: String,
        target: ActionTarget,
        reply: oneshot::Sender<Result<Acted, SyncError>>,
    },
    MarkWatched(Resource),
    CatchUp {
        full: bool,
        progress: mpsc::Sender<SyncProgress>,
    },
    /// Confirms the trials of all runs again that were last confirmed longer ago than this.
    ConfirmTrials {
        max_age: Duration,
        reply: oneshot::Sender<Result<(), SyncError>>,
    },
    Sweep,
    Upkeep(Retention),
    MissedUpkeep(Retention),
    Stop(oneshot::Sender<()>),
}
