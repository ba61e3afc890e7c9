//! The daemon's status: health, last sync, next sync.

use serde::{Deserialize, Serialize};

/// Response of `GET /v1/status`. Fields may be added but are never renamed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DaemonStatus {
    /// Version of this schema; 1.
    pub schema_version: u32,
    /// Process id.
    pub pid: u32,
    /// Release.
    pub version: String,
    /// Protocol number.
    pub protocol: u32,
    /// Release of the linked SQLite.
    pub sqlite_version: String,
    /// Path of the socket.
    pub socket: String,
    /// Path of the current log directory.
    pub log_dir: String,
    /// Whole seconds since it started.
    pub uptime_s: u64,
    /// Resident memory in bytes, if the system reports it.
    #[serde(default)]
    pub resident_bytes: Option<u64>,
    /// Seconds without a request after which it exits; `None` if it never does.
    pub idle_exit_s: Option<u64>,
    /// The remotes it mirrors.
    pub remotes: Vec<RemoteStatus>,
    /// The mirrors on disk that are not open.
    #[serde(default)]
    pub closed_mirrors: Vec<ClosedMirror>,
    /// Scheduled work and when it is next due.
    #[serde(default)]
    pub schedules: Vec<ScheduleStatus>,
    /// The hub, if the daemon runs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<HubStatus>,
    /// What its process has from the command that started it.
    #[serde(flatten)]
    pub process: ProcessStatus,
}

/// What a daemon's process has from the command that started it; fields of [`DaemonStatus`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessStatus {
    /// Path of the program that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// Its nice level, unless that is the normal 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nice: Option<i32>,
    /// The limits that may stop it, and that it was not allowed to raise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<LimitStatus>,
    /// The proxies of its environment, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxies: Option<ProxyStatus>,
}

/// A limit of the operating system on one process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitStatus {
    /// `file_size`, `address_space`, `data` or `stack` in bytes, `cpu_time` in seconds, or
    /// `open_files`.
    pub name: String,
    /// The largest value that is allowed.
    pub maximum: u64,
}

/// Proxies, without users and passwords.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyStatus {
    /// For `http://` remotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// For `https://` remotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https: Option<String>,
    /// Which hosts are reached without a proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_proxy: Option<String>,
}

/// State of the hub, which shares a jobs directory over TCP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HubStatus {
    /// Where it listens, with the scheme.
    pub address: String,
    /// The jobs directories and profiles that it shares, for people.
    pub location: String,
    /// Whether a token is required.
    pub token: bool,
    /// Whether it refuses to stop runs.
    pub read_only: bool,
    /// Open connections.
    pub connections: u64,
    /// Requests with a valid token since it started.
    pub requests: u64,
    /// How many of them were answered with 304 (Not Modified).
    pub not_modified: u64,
}

/// One kind of scheduled work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleStatus {
    /// `sweep` or `upkeep`.
    pub name: String,
    /// The cron line, in local time: second, minute, hour, day of month, month, day of week.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// When it last succeeded, RFC 3339.
    pub last_success: Option<String>,
    /// When it is next due, RFC 3339.
    pub next_due: Option<String>,
}

/// State of one remote and its mirror.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RemoteStatus {
    /// Names of the profiles that use it; empty if it comes from flags or environment.
    pub profiles: Vec<String>,
    /// `docks_api`, `harbor_jobs` or `harbor_server`.
    pub kind: String,
    /// Origin and tenant, or the jobs directory.
    pub location: String,
    /// Rows in the mirror.
    pub rows: RowCounts,
    /// When a sync step last succeeded, RFC 3339.
    pub last_success: Option<String>,
    /// The last failure, until a success follows.
    pub last_error: Option<SyncFailure>,
    /// When the next step is due, RFC 3339.
    pub next_due: Option<String>,
    /// What the next step is.
    #[serde(default)]
    pub next_step: Option<String>,
    /// State of the circuit breaker: `closed` (healthy), `open` (waiting after an outage) or
    /// `half_open` (probing).
    pub circuit: String,
    /// Steps left until the mirror has caught up.
    #[serde(default)]
    pub backlog: u64,
    /// Requests in the last hour.
    pub requests_last_hour: u64,
    /// How many of them were answered with 304.
    pub not_modified_last_hour: u64,
    /// Requests allowed per minute.
    pub budget_per_minute: u32,
    /// Requests left in this minute.
    pub budget_left: u32,
    /// When all lists were last swept in full, RFC 3339.
    #[serde(default)]
    pub last_sweep: Option<String>,
    /// How changes are detected: `polling`, `events`, `rescans` or `deltas`.
    #[serde(default)]
    pub following: Option<String>,
    /// Number of folders watched for file events.
    #[serde(default)]
    pub watched_folders: Option<u64>,
    /// Why file events are not used where they could be.
    #[serde(default)]
    pub not_followed: Option<String>,
    /// What users should know about what it shows, such as what was left out.
    #[serde(default)]
    pub notice: Option<String>,
    /// What is known about the remote, as JSON for people.
    #[serde(default)]
    pub capabilities: serde_json::Value,
    /// Path of the mirror's database.
    pub database: String,
    /// Size of the database with its WAL, in bytes.
    pub database_bytes: u64,
    /// Where a corrupt database was moved to, if there was one.
    #[serde(default)]
    pub set_aside: Option<String>,
    /// What was kept when the mirror was last found to be damaged; the rest came from the remote again.
    #[serde(default)]
    pub rebuilt: Option<MirrorRebuild>,
    /// What is still to be fetched into the artifact cache, and what was given up; `None` if there is
    /// nothing to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefetch: Option<PrefetchStatus>,
    /// Handle of the mirror, for `docks cache forget`.
    #[serde(default)]
    pub mirror: Option<String>,
    /// Whose the mirror is: `profile`, `token` or `user`.
    #[serde(default)]
    pub owner: Option<String>,
    /// When the mirror was last used, RFC 3339.
    #[serde(default)]
    pub last_used: Option<String>,
}

/// What was kept of a damaged mirror.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorRebuild {
    /// When, RFC 3339.
    pub at: String,
    /// Runs and evaluation runs that were sound.
    pub runs: u64,
    /// Trials that were sound.
    pub trials: u64,
    /// Events of the history that were sound.
    pub events: u64,
    /// Whether none of the history is lost.
    pub whole_history: bool,
}

/// The artifacts that `pull` fetches when runs end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefetchStatus {
    /// Runs whose artifacts are still to be fetched.
    pub pending: u64,
    /// When the next of them is tried, RFC 3339.
    pub next_attempt: Option<String>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// Runs that were given up.
    pub given_up: u64,
    /// The last of them.
    pub last_given_up: Option<PrefetchGivenUp>,
}

/// A run whose artifacts were given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefetchGivenUp {
    /// Its id.
    pub run: String,
    /// When, RFC 3339.
    pub at: String,
    /// Why.
    pub reason: String,
}

/// A mirror on disk that is not open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedMirror {
    /// Its handle, for `docks cache forget`.
    pub mirror: String,
    /// Whose it is: `profile`, `token`, `user`, or `unknown` for one of an earlier release.
    pub owner: String,
    /// The profile whose it is, or was.
    pub profile: Option<String>,
    /// Origin and tenant, or the jobs directory; a part of the file's name if no more is known.
    pub location: String,
    /// Path of the database.
    pub database: String,
    /// Size of all its files in bytes.
    pub size_bytes: u64,
    /// When it was last used, RFC 3339.
    pub last_used: Option<String>,
}

/// Numbers of live rows; tombstones are counted separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RowCounts {
    /// Plain runs.
    pub runs: u64,
    /// Evaluation runs.
    pub evaluation_runs: u64,
    /// Trials.
    pub trials: u64,
    /// Tombstones of all kinds.
    pub tombstones: u64,
    /// Runs and evaluation runs that have not ended.
    pub active: u64,
}

/// A failed sync step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncFailure {
    /// When it failed, RFC 3339.
    pub at: String,
    /// One sentence.
    pub message: String,
    /// Number of failures in a row.
    pub consecutive: u32,
}

/// Response of `POST /v1/sync`: one JSON line per step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SyncProgress {
    /// Steps completed since the request.
    pub done: u64,
    /// Steps left, as far as known.
    pub left: u64,
    /// What is being done, for people.
    pub doing: String,
    /// Whether this is the last line.
    pub finished: bool,
    /// Why the sync stopped without catching up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<crate::error::ErrorDetail>,
    /// Rows at this point.
    pub rows: RowCounts,
}
