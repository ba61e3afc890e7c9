//! The trait that every source of runs implements.

use async_trait::async_trait;
use docks_proto::file_list::FileList;
use docks_proto::freshness::Validator;
use docks_proto::object::RawObject;
use docks_proto::paging::PageRequest;
use docks_proto::routes::{Action, ProcessStop, RunKind};

use super::answer::{Fetched, Page};
use super::changes::{ChangeDetection, Changes, DeliveredRun, Notice, Reading};
use super::error::RemoteError;

/// What is fixed for a kind of remote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteProperties {
    /// `docks_api`, `harbor_jobs` or `harbor_server`, for `status`.
    pub kind: &'static str,
    /// Whether requests cost the remote something, so that budget, jitter and back-off apply.
    pub metered: bool,
    /// Whether one answer always holds the whole list, so that paging need not be explored, and
    /// an object missing from it is gone once [`Remote::run`] confirms it.
    pub whole_lists: bool,
}

/// What an action is done to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActionTarget {
    /// The run.
    Run,
    /// The process of the run, which is stopped in a way that the user chose.
    Process(ProcessStop),
    /// One trial of the run, by its full id.
    Trial(String),
}

/// A source of runs and trials.
///
/// Every method sends one request (or reads the directory once). Retries, budgets and caching are
/// up to the engine.
#[async_trait]
pub trait Remote: Send + Sync + 'static {
    /// Returns what is fixed for this kind of remote.
    fn properties(&self) -> RemoteProperties;

    /// Takes what an earlier process delivered, before anything else is called. The caller will wait for changes.
    fn resume(&self, _delivered: Vec<DeliveredRun>) {}

    /// Returns how far the remote is, while it reads everything for the first time.
    fn reading(&self) -> Option<Reading> {
        None
    }

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

    /// Lists the files of a trial, or without one the run's own files; `None` if the remote has no more than its
    /// objects name. The ids are full ones.
    async fn files(
        &self,
        _run: &str,
        _trial: Option<&str>,
    ) -> Result<Option<FileList>, RemoteError> {
        Ok(None)
    }

    /// Carries out an action; returns the run as it is afterwards.
    async fn act(&self, action: Action, id: &str) -> Result<RawObject, RemoteError>;

    /// Stops the process of a run as the options say, if [`Remote::act`] cannot stop it.
    async fn stop_process(
        &self,
        _action: Action,
        _id: &str,
        options: ProcessStop,
    ) -> Result<RawObject, RemoteError> {
        let why = match options.pid {
            Some(_) => "processes of this remote are not known; stop its runs without `--pid`",
            None => "runs of this remote cannot be killed; stop them without `--kill`",
        };
        Err(RemoteError::Unsupported(why.to_owned()))
    }

    /// Runs one trial again; returns the run as it is afterwards.
    async fn retry_trial(&self, _run: &str, _trial: &str) -> Result<RawObject, RemoteError> {
        let why = "only a `harbor serve` can run single trials again";
        Err(RemoteError::Unsupported(why.to_owned()))
    }

    /// Waits until [`Remote::take_changes`] has something to return; never ends if the remote
    /// does not report changes.
    async fn wait_for_changes(&self) {
        std::future::pending().await
    }

    /// Returns what changed since the last call.
    async fn take_changes(&self) -> Result<Changes, RemoteError> {
        Ok(Changes::default())
    }

    /// Makes the next [`Remote::take_changes`] return a run whole, since changes of its trials could not be applied.
    async fn deliver_whole(&self, _run: &str) {}

    /// Returns what users should know about what the remote shows; `None` if nothing.
    fn notice(&self) -> Option<Notice> {
        None
    }

    /// Returns how changes of the remote are noticed.
    fn change_detection(&self) -> ChangeDetection {
        ChangeDetection::Polling
    }
}
