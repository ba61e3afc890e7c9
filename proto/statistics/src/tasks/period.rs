//! Counts and medians of the attempts at one task, of all runs or of some.

use docks_proto::comparison::Known;
use docks_proto::failures::FailureClass;

use crate::aggregate::median;
use crate::attempts::TaskAttempts;
use crate::failures::RuleSet;
use crate::trial::TrialFacts;

/// How many attempts there are.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) trials: u64,
    pub(super) ended: u64,
    pub(super) errored: u64,
    pub(super) infrastructure: u64,
    /// Those that ended, and of which it is known whether they solved the task.
    pub(super) known: TaskAttempts,
}

/// What attempts add up to.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    pub(super) counts: Counts,
    costs: Vec<f64>,
    durations: Vec<f64>,
}

impl Attempts {
    pub(super) fn add(&mut self, trial: &TrialFacts<'_>, rules: &RuleSet) {
        let counts = &mut self.counts;
        counts.trials += 1;
        counts.errored += u64::from(trial.errored());
        if let Some(solved) = trial.solved {
            counts.known.add(solved);
        }
        if !trial.ended {
            return;
        }
        counts.ended += 1;
        let reason = rules.reason(trial);
        let class = reason.map(|reason| reason.class);
        counts.infrastructure += u64::from(class == Some(FailureClass::Infrastructure));
        self.costs.extend(finite(trial.cost_usd));
        self.durations.extend(finite(trial.duration_s));
    }

    /// Returns the medians of cost and wall time.
    pub(super) fn medians(self) -> (Known, Known) {
        let of = self.counts.ended;
        let known = |values: Vec<f64>| Known {
            n: values.len() as u64,
            value: median(values),
            of,
        };
        (known(self.costs), known(self.durations))
    }
}

fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite())
}
