//! What a status means: whether what has it may still change by itself.

/// What a status means for syncing and watching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifecycle {
    /// May still change by itself; a status that no table knows counts as active.
    Active,
    /// Ended.
    Terminal,
}

/// Statuses after which nothing changes by itself, of runs, evaluation runs and trials.
pub const TERMINAL_STATUSES: &[&str] = &[
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
pub fn lifecycle(status: &str) -> Lifecycle {
    if TERMINAL_STATUSES
        .iter()
        .any(|t| t.eq_ignore_ascii_case(status))
    {
        Lifecycle::Terminal
    } else {
        Lifecycle::Active
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_status_is_active() {
        assert_eq!(lifecycle("warming-up"), Lifecycle::Active);
        assert_eq!(lifecycle("Completed"), Lifecycle::Terminal);
    }
}
