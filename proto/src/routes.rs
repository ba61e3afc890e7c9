//! All paths and header names.
//!
//! The paths under `/tenants/` are those of the Docks API, which the daemon serves as well. The
//! paths under `/v1/` are the daemon's own.

use crate::file_list::FILES;
use crate::id::{InvalidId, path_segment};

/// The profile whose remote is meant; the daemon's default without it.
pub const PROFILE: &str = "docks-profile";
/// An API origin that is in no profile, from flags or environment.
///
/// Its token comes in `Authorization` of the same request; a profile's token is never used for it.
pub const API_URL: &str = "docks-api-url";
/// The tenant at that API, percent-encoded as in a path, for paths that contain none.
pub const TENANT: &str = "docks-tenant";
/// Harbor jobs directories without a profile: absolute paths, see
/// [`encode_paths`](crate::path_encoding::encode_paths).
pub const HARBOR_JOBS: &str = "docks-harbor-jobs";
/// The address of a `harbor serve` without a profile. Its key, if it has one, comes in `Authorization` of the same
/// request; a profile's key is never used for it.
pub const HARBOR_SERVER: &str = "docks-harbor-server";
/// The daemon's [`PROTOCOL`](crate::PROTOCOL), on every response.
pub const PROTOCOL: &str = "docks-protocol";
/// The daemon's release, on every response.
pub const VERSION: &str = "docks-version";
/// The build that the daemon runs: a [`BuildId`](crate::build::BuildId), on every response of the socket.
pub const BUILD: &str = "docks-build";
/// The [fingerprint](crate::proxies::Proxies::fingerprint) of the daemon's proxies, on every
/// response of the socket if it has any.
pub const PROXIES: &str = "docks-proxies";
/// How many objects match a list's filters before `limit` and `offset`.
pub const TOTAL: &str = "docks-total";
/// On an empty list that was filtered by status: whether each of these statuses was ever seen.
pub const STATUS_SEEN: &str = "docks-status-seen";
/// When the remote last confirmed the answer, RFC 3339 with milliseconds.
pub const AS_OF: &str = "docks-as-of";
/// Why rows may be missing from a list; absent if it is whole.
pub const INCOMPLETE: &str = "docks-incomplete";
/// What users should know about what a list shows, such as what was left out; absent if nothing.
pub const NOTICE: &str = "docks-notice";
/// Age of the answer in milliseconds, finer than `Age`.
pub const AGE_MS: &str = "docks-age-ms";

/// Query parameter of an action that stops a run: whether its process may be killed.
pub const KILL: &str = "kill";
/// Query parameter of an action that stops a run: the process to signal, by its number, although it does not look like
/// Harbor or is one of several.
pub const PID: &str = "pid";

/// How the process of a job is stopped, where the user says more than that it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProcessStop {
    /// Whether it may be killed without cleaning up, if it catches no signal or was sent one already.
    pub kill: bool,
    /// Which process, if it is not to be chosen.
    pub pid: Option<u32>,
}

impl ProcessStop {
    /// Returns the query string, with its question mark unless it is empty.
    #[cfg(feature = "client")]
    pub(crate) fn query(self) -> String {
        let kill = self.kill.then(|| format!("{KILL}=true"));
        let pid = self.pid.map(|pid| format!("{PID}={pid}"));
        let parts: Vec<String> = kill.into_iter().chain(pid).collect();
        match parts.is_empty() {
            true => String::new(),
            false => format!("?{}", parts.join("&")),
        }
    }
}

/// A sign of life, which touches neither a lock nor a disk nor a mirror.
pub const PING: &str = "/v1/ping";
/// Health, remotes, last and next sync.
pub const STATUS: &str = "/v1/status";
/// Lets the engine catch up, and reports its progress.
pub const SYNC: &str = "/v1/sync";
/// The current state, then every change of a status as it is detected.
pub const EVENTS: &str = "/v1/events";
/// The past statuses of one run or trial, and when it was observed.
pub const HISTORY: &str = "/v1/history";
/// The changes of all runs.
pub const CHANGES: &str = "/v1/changes";
/// Compares runs: a [`CompareQuery`](crate::comparison::CompareQuery).
pub const COMPARE: &str = "/v1/compare";
/// What comparisons need of one run's trials: a [`SavedRun`](crate::comparison::SavedRun).
pub const SAVED_RUN: &str = "/v1/saved-run";
/// Why trials failed: a [`FailuresQuery`](crate::failures::FailuresQuery).
pub const FAILURES: &str = "/v1/failures";
/// What to run again: a [`RerunQuery`](crate::rerun::RerunQuery).
pub const RERUN: &str = "/v1/rerun";
/// The scoreboard: a [`ScoreQuery`](crate::score::ScoreQuery).
pub const SCORE: &str = "/v1/score";
/// Tasks over all runs: a [`TasksQuery`](crate::tasks::TasksQuery).
pub const TASKS: &str = "/v1/tasks";
/// One task over time: a [`TaskHistoryQuery`](crate::tasks::TaskHistoryQuery).
pub const TASK_HISTORY: &str = "/v1/task-history";
/// The position after which events are wanted, as given by the stream's `id:` lines.
pub const LAST_EVENT_ID: &str = "last-event-id";
/// Forgets a mirror: closes it, and deletes its files and the artifacts of its owner.
pub const FORGET: &str = "/v1/forget";
/// Query parameter of [`FORGET`]: the id of the mirror.
pub const MIRROR: &str = "mirror";
/// Shuts the daemon down.
pub const SHUTDOWN: &str = "/v1/shutdown";

/// The two kinds of runs, which have the same shape but different paths.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum RunKind {
    /// Plain runs: `/runs`.
    Run,
    /// Evaluation runs, which have trials: `/harbor/runs`.
    Evaluation,
}

impl RunKind {
    /// Both kinds, in the order in which they are synced.
    pub const ALL: [RunKind; 2] = [RunKind::Run, RunKind::Evaluation];

    /// Returns the stable name used in the database and in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            RunKind::Run => "run",
            RunKind::Evaluation => "evaluation",
        }
    }

    /// Returns the path of the list below the tenant.
    #[must_use]
    pub fn collection(self) -> &'static str {
        match self {
            RunKind::Run => "/runs",
            RunKind::Evaluation => "/harbor/runs",
        }
    }
}

/// An action on one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// `POST /runs/{id}/stop`.
    Stop,
    /// `POST /harbor/runs/{id}/start`.
    Start,
    /// `POST /harbor/runs/{id}/cancel`.
    Cancel,
    /// `POST /harbor/runs/{id}/pause`, which only a `docksd` serves: no further trial starts.
    Pause,
    /// `POST /harbor/runs/{id}/resume`, which only a `docksd` serves: trials start again after a pause.
    Resume,
    /// `POST /harbor/runs/{id}/retry`, which only a `docksd` serves: trials run again that ended with an error or
    /// were cancelled.
    Retry,
}

impl Action {
    /// Whether this is not in the Docks API: only some remotes of a `docksd` can do it.
    #[must_use]
    pub fn is_of_daemon(self) -> bool {
        matches!(self, Action::Pause | Action::Resume | Action::Retry)
    }

    /// Returns the kind of runs that has this action.
    #[must_use]
    pub fn kind(self) -> RunKind {
        match self {
            Action::Stop => RunKind::Run,
            Action::Start | Action::Cancel | Action::Pause | Action::Resume | Action::Retry => {
                RunKind::Evaluation
            }
        }
    }

    /// Returns the last segment of the path.
    #[must_use]
    pub fn segment(self) -> &'static str {
        match self {
            Action::Stop => "stop",
            Action::Start => "start",
            Action::Cancel => "cancel",
            Action::Pause => "pause",
            Action::Resume => "resume",
            Action::Retry => "retry",
        }
    }
}

/// Builds the Docks API's paths for one tenant.
#[derive(Debug, Clone)]
pub struct TenantRoutes {
    base: String,
}

impl TenantRoutes {
    /// Builds the paths for a tenant.
    ///
    /// # Errors
    ///
    /// [`InvalidId`] when the tenant cannot be a path segment.
    pub fn new(tenant: &str) -> Result<Self, InvalidId> {
        Ok(Self {
            base: format!("/tenants/{}", path_segment(tenant)?),
        })
    }

    /// Returns the tenant, encoded.
    #[must_use]
    pub fn tenant(&self) -> &str {
        self.base.rsplit('/').next().unwrap_or_default()
    }

    /// Path of a list of runs.
    #[must_use]
    pub fn runs(&self, kind: RunKind) -> String {
        format!("{}{}", self.base, kind.collection())
    }

    /// Path of one run.
    ///
    /// # Errors
    ///
    /// [`InvalidId`] when the id cannot be a path segment.
    pub fn run(&self, kind: RunKind, id: &str) -> Result<String, InvalidId> {
        Ok(format!("{}/{}", self.runs(kind), path_segment(id)?))
    }

    /// Path of the trials of an evaluation run.
    ///
    /// # Errors
    ///
    /// As [`TenantRoutes::run`].
    pub fn trials(&self, run: &str) -> Result<String, InvalidId> {
        Ok(format!("{}/trials", self.run(RunKind::Evaluation, run)?))
    }

    /// Path of the trials of all evaluation runs, which only a `docksd` serves.
    #[must_use]
    pub fn all_trials(&self) -> String {
        format!("{}/harbor/trials", self.base)
    }

    /// Path of one trial.
    ///
    /// # Errors
    ///
    /// As [`TenantRoutes::run`].
    pub fn trial(&self, run: &str, trial: &str) -> Result<String, InvalidId> {
        Ok(format!("{}/{}", self.trials(run)?, path_segment(trial)?))
    }

    /// Path of the list of an evaluation run's own files, or of the files of one of its trials; only a
    /// `docksd` serves it.
    ///
    /// # Errors
    ///
    /// As [`TenantRoutes::run`].
    pub fn files(&self, run: &str, trial: Option<&str>) -> Result<String, InvalidId> {
        let owner = match trial {
            Some(trial) => self.trial(run, trial)?,
            None => self.run(RunKind::Evaluation, run)?,
        };
        Ok(format!("{owner}/{FILES}"))
    }

    /// Path at which one trial is run again; only a `docksd` serves it.
    ///
    /// # Errors
    ///
    /// As [`TenantRoutes::run`].
    pub fn retry_trial(&self, run: &str, trial: &str) -> Result<String, InvalidId> {
        Ok(format!(
            "{}/{}",
            self.trial(run, trial)?,
            Action::Retry.segment()
        ))
    }

    /// Path of an action on a run.
    ///
    /// # Errors
    ///
    /// As [`TenantRoutes::run`].
    pub fn action(&self, action: Action, id: &str) -> Result<String, InvalidId> {
        Ok(format!(
            "{}/{}",
            self.run(action.kind(), id)?,
            action.segment()
        ))
    }
}
