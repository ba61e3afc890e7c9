//! The trials of a job, counted by their state.

use crate::derive::trial_state::{StateKind, Status};
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
    pub(crate) fn from_kinds(kinds: impl Iterator<Item = StateKind>) -> Self {
        let mut counts = Self::default();
        for kind in kinds {
            counts.add(kind);
        }
        counts
    }

    /// Adds a trial.
    pub(crate) fn add(&mut self, kind: StateKind) {
        let has_ended = kind.has_ended();
        self.total += 1;
        self.ended += u64::from(has_ended);
        self.lost += u64::from(kind.is_lost);
        self.not_built += u64::from(kind.is_not_built);
        self.passed += u64::from(kind.is_solved);
        let has_exception = matches!(kind.status, Status::Error | Status::Cancelled);
        self.passed_with_error += u64::from(kind.is_solved && has_exception);
        let is_unsuccessful = matches!(kind.status, Status::Error | Status::Failed);
        self.unsuccessful += u64::from(is_unsuccessful && has_ended && !kind.is_solved);
        match kind.status {
            Status::Failed => self.failed += 1,
            Status::Error => self.errored += u64::from(has_ended),
            Status::Cancelled => {
                self.cancelled += 1;
                self.errored += 1;
            }
            Status::Running => self.running += 1,
            Status::Pending => self.pending += 1,
            Status::Passed | Status::Completed => {}
        }
    }

    /// Returns the counts of two sets of trials together.
    pub(crate) fn plus(self, other: &Self) -> Self {
        Self {
            total: self.total + other.total,
            ended: self.ended + other.ended,
            passed: self.passed + other.passed,
            passed_with_error: self.passed_with_error + other.passed_with_error,
            unsuccessful: self.unsuccessful + other.unsuccessful,
            failed: self.failed + other.failed,
            errored: self.errored + other.errored,
            cancelled: self.cancelled + other.cancelled,
            running: self.running + other.running,
            pending: self.pending + other.pending,
            lost: self.lost + other.lost,
            not_built: self.not_built + other.not_built,
            retrying: self.retrying + other.retrying,
        }
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
