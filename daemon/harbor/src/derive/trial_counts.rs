//! The trials of a job, counted by their state.

use crate::derive::trial_state::{NOT_STARTED, Status, TrialState};

/// The trials of a job by their state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct TrialCounts {
    /// All, including those that did not start.
    pub(crate) total: u64,
    /// Ended, including errored and cancelled ones.
    pub(crate) ended: u64,
    /// Ended with the full reward.
    pub(crate) passed: u64,
    /// Ended with a lower reward.
    pub(crate) failed: u64,
    /// Ended by an exception, including cancelled ones, as Harbor counts.
    pub(crate) errored: u64,
    /// Cancelled.
    pub(crate) cancelled: u64,
    /// Running.
    pub(crate) running: u64,
    /// Not started.
    pub(crate) pending: u64,
    /// Started, but their process is gone.
    pub(crate) lost: u64,
    /// Lost ones that Harbor was still building.
    pub(crate) not_built: u64,
    /// Pending ones whose attempt was discarded and that will be retried.
    pub(crate) retrying: u64,
}

impl TrialCounts {
    /// Counts trials that have a folder.
    pub(crate) fn from_states<'a>(states: impl Iterator<Item = &'a TrialState>) -> Self {
        let mut counts = Self::default();
        for state in states {
            counts.total += 1;
            counts.ended += u64::from(state.has_ended());
            counts.lost += u64::from(state.is_lost());
            counts.not_built +=
                u64::from(state.is_lost() && state.code.as_deref() == Some(NOT_STARTED));
            match state.status {
                Status::Passed => counts.passed += 1,
                Status::Failed => counts.failed += 1,
                Status::Error => counts.errored += u64::from(state.has_ended()),
                Status::Cancelled => {
                    counts.cancelled += 1;
                    counts.errored += 1;
                }
                Status::Running => counts.running += 1,
                Status::Pending => counts.pending += 1,
                Status::Completed => {}
            }
        }
        counts
    }

    /// Adds pending trials that have no folder, for a total of at least `planned`.
    pub(crate) fn with_planned(mut self, planned: u64) -> Self {
        let missing = planned.saturating_sub(self.total);
        self.total += missing;
        self.pending += missing;
        self
    }

    /// Sets how many of the trials without a folder wait for a retry.
    pub(crate) fn with_retries(mut self, retrying: usize) -> Self {
        self.retrying = (retrying as u64).min(self.pending);
        self
    }
}
