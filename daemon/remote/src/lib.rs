//! What a source of runs can do.
//!
//! Two kinds implement [`Remote`]: the Docks API over HTTPS and a Harbor jobs
//! directory. The sync engine knows only this trait, so tests give it a
//! scripted one.

pub mod changes;
pub mod docks_api;
pub mod error;

use async_trait::async_trait;
use docks_proto::object::RawObject;
use docks_proto::routes::{Action, RunKind};

pub use changes::{ChangeDetection, Changes, CompleteRun};
pub use docks_api::{DocksApi, TokenSource};
pub use docks_proto::freshness::Validator;
pub use docks_proto::paging::PageRequest;
pub use error::{FaultClass, RemoteError};

/// An answer that may say "as before".
#[derive(Debug)]
pub enum Fetched<T> {
    /// The remote confirms what the validator stands for (304).
    NotModified,
    /// A new answer.
    New {
        /// The content.
        value: T,
        /// Validator for the next request, when the remote gives one.
        validator: Option<Validator>,
    },
}

/// One page of a list.
#[derive(Debug, Default)]
pub struct Page {
    /// Objects in the remote's order.
    pub objects: Vec<RawObject>,
    /// Elements that were no objects.
    pub skipped: usize,
    /// Continuation, when the remote pages by cursor.
    pub next_cursor: Option<String>,
    /// The remote's own total, when it says one.
    pub total: Option<u64>,
}

/// What is fixed for a kind of remote, before anything was probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteProperties {
    /// `docks_api` or `harbor_jobs`, for `status`.
    pub kind: &'static str,
    /// Whether requests cost the remote something: budget, jitter and back-off apply.
    pub metered: bool,
    /// Whether a list is always whole and in one answer, so that nothing needs probing
    /// and an object missing from it is gone once [`Remote::run`] says so too.
    pub whole_lists: bool,
}

/// A source of runs and trials.
///
/// Every method is one request (or one look at the directory); retrying, budgets
/// and caching are the engine's.
#[async_trait]
pub trait Remote: Send + Sync + 'static {
    /// Returns what is fixed for this kind of remote.
    fn properties(&self) -> RemoteProperties;

    /// Lists runs.
    async fn list(
        &self,
        kind: RunKind,
        page: &PageRequest,
        validator: Option<&Validator>,
    ) -> Result<Fetched<Page>, RemoteError>;

    /// Gets one run.
    async fn run(
        &self,
        kind: RunKind,
        id: &str,
        validator: Option<&Validator>,
    ) -> Result<Fetched<RawObject>, RemoteError>;

    /// Lists all trials of an evaluation run.
    async fn trials(
        &self,
        run: &str,
        validator: Option<&Validator>,
    ) -> Result<Fetched<Page>, RemoteError>;

    /// Gets one trial.
    async fn trial(&self, run: &str, trial: &str) -> Result<RawObject, RemoteError>;

    /// Carries out an action; returns the run as it is afterwards.
    async fn act(&self, action: Action, id: &str) -> Result<RawObject, RemoteError>;

    /// Ends a run without letting it clean up; only for one that [`Remote::act`] cannot stop.
    async fn kill(&self, _action: Action, _id: &str) -> Result<RawObject, RemoteError> {
        let why = "runs of this remote cannot be killed; stop them without `--kill`";
        Err(RemoteError::Unsupported(why.to_owned()))
    }

    /// Waits until the remote has [`Remote::news`]; for ever where it never tells by itself.
    async fn wait_for_changes(&self) {
        std::future::pending().await
    }

    /// Returns what changed since it was last asked for news.
    async fn take_changes(&self) -> Result<Changes, RemoteError> {
        Ok(Changes::default())
    }

    /// Tells how changes of the remote are learned.
    fn change_detection(&self) -> ChangeDetection {
        ChangeDetection::Polling
    }
}
