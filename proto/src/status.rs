//! What the daemon says of itself: health, last sync, next sync.

use serde::{Deserialize, Serialize};

/// Answer of `GET /v1/status`. New fields may be added; none is ever renamed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DaemonStatus {
    /// Version of this shape; 1.
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
    /// Resident memory in bytes, where the system tells.
    #[serde(default)]
    pub resident_bytes: Option<u64>,
    /// Seconds without a request after which it ends by itself; `None` when it stays.
    pub idle_exit_s: Option<u64>,
    /// The remotes it mirrors.
    pub remotes: Vec<RemoteStatus>,
    /// Cron jobs: what pokes the engine, and when next.
    #[serde(default)]
    pub schedules: Vec<ScheduleStatus>,
    /// What it shares over TCP, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<HubStatus>,
}

/// What a daemon shares over TCP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HubStatus {
    /// Where it listens, with the scheme.
    pub address: String,
    /// The jobs directory.
    pub location: String,
    /// Whether a token is asked for.
    pub token: bool,
    /// Whether nothing can be stopped through it.
    pub read_only: bool,
    /// Connections that are open.
    pub connections: u64,
    /// Requests with a good token since it started.
    pub requests: u64,
    /// How many of them were answered with "as before" (304).
    pub not_modified: u64,
}

/// One cron job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleStatus {
    /// `sweep` or `upkeep`.
    pub name: String,
    /// The cron line, in local time: second, minute, hour, day of month, month, day of week.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// Last time its work ended well, RFC 3339.
    pub last_success: Option<String>,
    /// Next time it fires, RFC 3339.
    pub next_due: Option<String>,
}

/// State of one remote and its mirror.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RemoteStatus {
    /// Names of the profiles that use it; empty for one from flags or environment.
    pub profiles: Vec<String>,
    /// `docks_api` or `harbor_jobs`.
    pub kind: String,
    /// Origin and tenant, or the directory.
    pub location: String,
    /// Rows in the mirror.
    pub rows: RowCounts,
    /// Last time a sync step ended well, RFC 3339.
    pub last_success: Option<String>,
    /// Last failure and when, until a success follows.
    pub last_error: Option<SyncFailure>,
    /// Next planned step, RFC 3339.
    pub next_due: Option<String>,
    /// What the next planned step is.
    #[serde(default)]
    pub next_step: Option<String>,
    /// `closed` (well), `open` (waiting after an outage) or `half_open` (probing).
    pub circuit: String,
    /// Steps still to do until the mirror has caught up.
    #[serde(default)]
    pub backlog: u64,
    /// Requests in the last hour.
    pub requests_last_hour: u64,
    /// How many of them were answered 304.
    pub not_modified_last_hour: u64,
    /// Requests allowed per minute.
    pub budget_per_minute: u32,
    /// Requests left in this minute.
    pub budget_left: u32,
    /// Last full sweep of each list, RFC 3339.
    #[serde(default)]
    pub last_sweep: Option<String>,
    /// How changes are learned: `polling`, `events` or `rescans`.
    #[serde(default)]
    pub following: Option<String>,
    /// Folders that are watched for events.
    #[serde(default)]
    pub watched_folders: Option<u64>,
    /// Why there are no events where there could be.
    #[serde(default)]
    pub not_followed: Option<String>,
    /// What was learned of the remote, as JSON for people.
    #[serde(default)]
    pub capabilities: serde_json::Value,
    /// Mirror file.
    pub database: String,
    /// Its size with WAL, in bytes.
    pub database_bytes: u64,
    /// Where a corrupt mirror was set aside, if one was.
    #[serde(default)]
    pub set_aside: Option<String>,
}

/// Live rows; tombstones are counted apart.
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
    /// Runs and evaluation runs that are not ended.
    pub active: u64,
}

/// A failure of sync.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncFailure {
    /// When, RFC 3339.
    pub at: String,
    /// One sentence.
    pub message: String,
    /// How many in a row.
    pub consecutive: u32,
}

/// Answer of `POST /v1/sync`, one JSON line per step when streamed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SyncProgress {
    /// Steps done since the request.
    pub done: u64,
    /// Steps known to be left.
    pub left: u64,
    /// What is being done, for people.
    pub doing: String,
    /// Whether this is the last line.
    pub finished: bool,
    /// Why it ended without catching up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<crate::error::ErrorDetail>,
    /// Rows now.
    pub rows: RowCounts,
}
