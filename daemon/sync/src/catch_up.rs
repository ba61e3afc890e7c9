//! Callers that wait for the mirror to catch up, and the progress they receive.

use std::collections::HashMap;
use std::time::Duration;

use docks_proto::error::ErrorDetail;

use super::error::SyncError;

/// A caller that waits for the mirror to catch up.
#[derive(Debug)]
pub struct CatchUp {
    pub(super) id: u64,
    pub(super) began: Duration,
    /// Steps done.
    pub(super) done: u64,
    /// Whether each list was polled since the caller began to wait.
    pub(super) lists_polled: [bool; 2],
    /// Whether everything is fetched, including the trials of ended runs.
    pub(super) full: bool,
    /// Whether trials that have not ended are still to be requested.
    pub(super) wants_open_trials: bool,
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
    pub(super) fn new(id: u64, full: bool, now: Duration) -> Self {
        Self {
            id,
            began: now,
            done: 0,
            lists_polled: [false; 2],
            full,
            wants_open_trials: full,
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
    pub error: Option<ErrorDetail>,
}
