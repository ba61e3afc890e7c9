//! Everything that a plan depends on.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use docksd_mirror::Summary;
use docksd_remote::RemoteProperties;

use super::capabilities::Capabilities;
use super::due_times::DueTimes;
use super::options::Options;
use super::watched_resources::WatchedResources;

/// Everything that a plan depends on.
#[derive(Debug, Clone, Copy)]
pub struct PlanInput<'a> {
    /// Monotonic time.
    pub now: Duration,
    /// What is fixed for the remote.
    pub properties: RemoteProperties,
    /// Settings.
    pub options: &'a Options,
    /// What was learned about the remote.
    pub capabilities: &'a Capabilities,
    /// What the mirror holds.
    pub summary: &'a Summary,
    /// What readers watch.
    pub watched: &'a WatchedResources,
    /// Whether the remote reports changes, so that polling only finds what it missed.
    pub notifies_changes: bool,
    /// Whether the remote reads everything for the first time, and reports what it has read.
    pub is_reading: bool,
    /// When each resource was last requested.
    pub due_times: &'a DueTimes,
    /// Evaluation runs that just ended.
    pub just_ended: &'a HashSet<String>,
    /// Ended runs with open trials: number of checks so far, and when the next one is due.
    pub rechecks: &'a HashMap<String, (u8, Duration)>,
    /// When a sweep of each list is due, in the order of
    /// [`RunKind::ALL`](docks_proto::routes::RunKind::ALL).
    pub sweeps: [Option<Duration>; 2],
    /// Whether a caller waits for the mirror to catch up.
    pub catching_up: bool,
    /// Whether trials of ended runs are fetched although nobody watches them.
    pub all_trials: bool,
    /// When somebody last asked for the trials of all runs, who still waits for them.
    pub all_trials_asked: Option<Duration>,
}

/// Returns how often files are read again while something is active.
pub(super) fn rescan_interval(s: &PlanInput<'_>) -> Duration {
    Duration::from_secs(if s.notifies_changes { 5 } else { 1 })
}
