//! The trials of a job, counted by their state.

use crate::derive::trial_state::{NOT_STARTED, Status, TrialState};
use crate::format::job::HarborCounters;

/// The trials of a job by their state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct TrialCounts {
    /// All, including those that did not start.
    pub(crate) total: u64,
    /// Ended, including errored and cancelled ones.
    pub(crate) ended: u64,
    /// Solved: ended with the full reward, also those with an exception.
    pub(crate) passed: u64,
    /// Solved ones that have an exception.
    pub(crate) passed_with_error: u64,
    /// Ended with a lower reward or an exception, unless solved or cancelled.
    #[serde(skip)]
    pub(crate) unsuccessful: u64,
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
            counts.passed += u64::from(state.is_solved);
            let has_exception = matches!(state.status, Status::Error | Status::Cancelled);
            counts.passed_with_error += u64::from(state.is_solved && has_exception);
            let is_unsuccessful = matches!(state.status, Status::Error | Status::Failed);
            counts.unsuccessful +=
                u64::from(is_unsuccessful && state.has_ended() && !state.is_solved);
            match state.status {
                Status::Failed => counts.failed += 1,
                Status::Error => counts.errored += u64::from(state.has_ended()),
                Status::Cancelled => {
                    counts.cancelled += 1;
                    counts.errored += 1;
                }
                Status::Running => counts.running += 1,
                Status::Pending => counts.pending += 1,
                Status::Passed | Status::Completed => {}
            }
        }
        counts
    }

    /// Adds trials of which nothing else is known, for a total of at least `planned`: `ended` of them ended, and the
    /// others are pending.
    pub(crate) fn with_planned(mut self, planned: u64, ended: u64) -> Self {
        let missing = planned.saturating_sub(self.total);
        let ended = ended.min(missing);
        self.total += missing;
        self.ended += ended;
        self.pending += missing - ended;
        self
    }

    /// Takes Harbor's own counts where they are higher: of a job without the folders of its trials, not every trial
    /// is named.
    pub(crate) fn at_least(mut self, harbor: &HarborCounters) -> Self {
        let at_most = |count: Option<u64>, limit: u64| count.unwrap_or(0).min(limit);
        self.errored = self
            .errored
            .max(at_most(harbor.n_errored_trials, self.ended));
        self.cancelled = self
            .cancelled
            .max(at_most(harbor.n_cancelled_trials, self.errored));
        let running = at_most(harbor.n_running_trials, self.pending);
        self.lost += running;
        self.pending -= running;
        self
    }

    /// Sets how many of the trials without a folder wait for a retry.
    pub(crate) fn with_retries(mut self, retrying: usize) -> Self {
        self.retrying = (retrying as u64).min(self.pending);
        self
    }
}
