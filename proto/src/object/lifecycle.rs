//! What a status means: whether it may still change.

/// Where in its lifecycle a run or trial is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifecycle {
    /// The status may still change; an unknown status counts as active.
    Active,
    /// The run or trial has ended.
    Terminal,
}

/// Terminal statuses of runs, evaluation runs and trials.
pub const TERMINAL_STATUSES: &[&str] = &[
    "completed",
    "failed",
    "cancelled",
    "success",
    "passed",
    "error",
    "partial",
];

/// Statuses of runs, documented or observed, for messages and completion.
pub const RUN_STATUSES: &[&str] = &[
    "pending",
    "provisioning",
    "running",
    "completed",
    "failed",
    "cancelled",
];

/// Statuses of evaluation runs, likewise.
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

/// Statuses of trials, likewise.
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

/// Returns the lifecycle of a status; unknown ones are active.
#[must_use]
pub fn lifecycle(status: &str) -> Lifecycle {
    if TERMINAL_STATUSES
        .iter()
        .any(|known| known.eq_ignore_ascii_case(status))
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
