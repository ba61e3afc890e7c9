//! Counts of the trials of a run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::kind::ObjectKind;
use crate::object::{Lifecycle, RunFields, Scalar, lifecycle};
use crate::run_usage::RunUsage;

/// Counts of the trials of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Kind of the run.
    pub kind: Option<ObjectKind>,
    /// Id of the run.
    pub run_id: String,
    /// Status of the run.
    pub status: String,
    /// Whether the run's status is terminal.
    pub ended: bool,
    /// Whether the run no longer exists at the remote.
    #[serde(default)]
    pub gone: bool,
    /// Number of trials by status, of those that were fetched.
    #[serde(default)]
    pub by_status: BTreeMap<String, u64>,
    /// Number of trials, planned ones included.
    #[serde(default)]
    pub total: u64,
    /// Number of trials with a terminal status.
    #[serde(default)]
    pub finished: u64,
    /// Number of trials that passed.
    #[serde(default)]
    pub passed: u64,
    /// Mean reward of the trials that count in it.
    #[serde(default)]
    pub mean_reward: Option<f64>,
    /// Cost in US dollars, of the trials of which it is known.
    #[serde(default)]
    pub cost_usd: Option<f64>,
    /// The number of these trials, of the finished ones.
    #[serde(default)]
    pub cost_n: u64,
    /// Input and output tokens, of the trials of which both are known.
    #[serde(default)]
    pub tokens: Option<f64>,
    /// The number of these trials, of the finished ones.
    #[serde(default)]
    pub tokens_n: u64,
    /// Whether the trials were fetched after the run ended, so that none of them will change.
    #[serde(default)]
    pub settled: bool,
}

impl Progress {
    /// Adds `trials` trials with the same status.
    pub fn add_trials(&mut self, status: &str, trials: u64) {
        *self.by_status.entry(status.to_owned()).or_default() += trials;
        self.total += trials;
        if lifecycle(status) == Lifecycle::Terminal {
            self.finished += trials;
        }
        if is_pass(status) {
            self.passed += trials;
        }
    }

    /// Raises the counts to those that the run itself reports, where these are higher.
    pub fn raise_to_counts_of(&mut self, run: &RunFields) {
        let number = |scalar: &Scalar| {
            scalar
                .number()
                .filter(|n| *n >= 0.0)
                .map_or(0, |n| n as u64)
        };
        self.total = self.total.max(number(&run.total_trials));
        self.finished = self.finished.max(number(&run.completed_trials));
        self.passed = self.passed.max(number(&run.passed_trials));
    }

    /// Takes over cost and tokens that the run itself states: it may know more than its trials say.
    pub fn take_usage_of(&mut self, run: &RunUsage) {
        if run.cost_usd.is_some() {
            self.cost_usd = run.cost_usd;
            self.cost_n = run.cost_n.unwrap_or(self.cost_n);
        }
        if run.tokens.is_some() {
            self.tokens = run.tokens;
            self.tokens_n = run.tokens_n.unwrap_or(self.tokens_n);
        }
    }
}

/// Whether a trial with this status passed.
#[must_use]
pub fn is_pass(status: &str) -> bool {
    ["passed", "success"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(status))
}

/// Whether a status means that something failed.
#[must_use]
pub fn is_failure(status: &str) -> bool {
    ["failed", "error"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(status))
}
