//! Callers that wait for the mirror to catch up, and the progress they receive.

use std::collections::HashMap;
use std::time::Duration;

use docks_proto::time::UnixMs;

use super::clock::Now;
use super::error::SyncError;

/// What a caller waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatchUpScope {
    /// A poll of both lists, and everything that is planned now.
    Planned,
    /// Also a sweep of both lists, and the trials of all runs once more.
    Full,
    /// Also the trials of all runs that were not confirmed since this time.
    TrialsSince(UnixMs),
}

/// A caller that waits for the mirror to catch up.
#[derive(Debug)]
pub struct CatchUp {
    pub(super) id: u64,
    pub(super) began: Duration,
    /// Steps done.
    pub(super) done: u64,
    /// Whether each list was polled since the caller began to wait.
    pub(super) lists_polled: [bool; 2],
    /// Whether both lists are swept.
    pub(super) sweeps: bool,
    /// The trials of all runs are to be confirmed since then, also those that ended long ago: somebody may have
    /// changed them without changing their run, as by grading them again.
    pub(super) trials_since: Option<UnixMs>,
    /// Failed polls.
    pub(super) failures: u32,
    /// Why the last of them failed.
    pub(super) poll_error: Option<SyncError>,
    /// Runs whose trials were requested since the caller began to wait, and not received, and why.
    pub(super) failed_trials: HashMap<String, SyncError>,
    /// Why a sweep that it needs was given up.
    pub(super) sweep_error: Option<SyncError>,
    /// Description of the last step.
    pub(super) doing: String,
    /// `done` of the last report.
    pub(super) reported: Option<u64>,
}

impl CatchUp {
    pub(super) fn new(id: u64, scope: CatchUpScope, now: Now) -> Self {
        Self {
            id,
            began: now.mono,
            done: 0,
            lists_polled: [false; 2],
            sweeps: scope == CatchUpScope::Full,
            trials_since: match scope {
                CatchUpScope::Planned => None,
                CatchUpScope::Full => Some(now.stamp),
                CatchUpScope::TrialsSince(since) => Some(since),
            },
            failures: 0,
            poll_error: None,
            failed_trials: HashMap::new(),
            sweep_error: None,
            doing: "starting".to_owned(),
            reported: None,
        }
    }
}

/// Progress for one caller.
#[derive(Debug, Clone)]
pub struct CatchUpReport {
    /// Which caller.
    pub id: u64,
    /// Number of steps done.
    pub done: u64,
    /// Number of steps that are known to be left.
    pub left: u64,
    /// Description of the last step.
    pub doing: String,
    /// Whether this is the last report.
    pub finished: bool,
    /// Why it ended early.
    pub error: Option<SyncError>,
}
