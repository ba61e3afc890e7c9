//! The value of a trial that is compared.

use docks_proto::comparison::MetricName;

use crate::trial::TrialFacts;

/// Returns the value of a trial; `None` if it is not known or does not count.
pub(super) fn value_of(trial: &TrialFacts<'_>, metric: &MetricName) -> Option<f64> {
    if !trial.ended {
        return None;
    }
    let solved = |solved: bool| f64::from(u8::from(solved));
    let both_tokens = trial
        .input_tokens
        .and(trial.output_tokens)
        .and(trial.tokens());
    match metric {
        MetricName::Solved => trial.solved.map(solved),
        MetricName::SolvedOfValid => trial.solved.filter(|_| trial.valid).map(solved),
        MetricName::Reward => trial.counted_reward,
        MetricName::RewardOf(key) => trial.reward_of(key),
        // Their logarithms are compared.
        MetricName::Cost => trial.cost_usd.filter(|cost| *cost > 0.0),
        MetricName::Time => trial.duration_s.filter(|seconds| *seconds > 0.0),
        MetricName::Tokens => both_tokens
            .filter(|tokens| *tokens > 0)
            .map(|tokens| tokens as f64),
    }
}
