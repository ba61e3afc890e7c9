//! What a status means: whether what has it may still change by itself.

/// What a status means for syncing and watching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// May still change by itself; a status that no table knows counts as active.
    Active,
    /// Ended.
    Terminal,
}

/// Statuses after which nothing changes by itself, of runs, evaluation runs and trials.
pub const TERMINAL: &[&str] = &[
    "completed",
    "failed",
    "cancelled",
    "success",
    "passed",
    "error",
    "partial",
];

/// Statuses of runs that `runs.md` documents or that were seen, for messages and completion.
pub const RUN_STATUSES: &[&str] = &[
    "pending",
    "provisioning",
    "running",
    "completed",
    "failed",
    "cancelled",
];

/// The same for evaluation runs.
pub const EVALUATION_STATUSES: &[&str] = &[
    "queued",
    "pending",
    "provisioning",
    "running",
    "completed",
    "failed",
    "cancelled",
    "partial",
];

/// The same for trials.
pub const TRIAL_STATUSES: &[&str] = &[
    "pending",
    "running",
    "success",
    "completed",
    "passed",
    "failed",
    "error",
    "cancelled",
    "partial",
];

/// Tells whether a status is the end; unknown ones are active.
#[must_use]
pub fn phase(status: &str) -> Phase {
    if TERMINAL.iter().any(|t| t.eq_ignore_ascii_case(status)) {
        Phase::Terminal
    } else {
        Phase::Active
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_status_is_active() {
        assert_eq!(phase("warming-up"), Phase::Active);
        assert_eq!(phase("Completed"), Phase::Terminal);
    }
}
