//! The figures of a job: per agent, model and dataset, and how long things took.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::derive::job_figures::{self, GroupKey};
use crate::derive::job_view::JobView;
use crate::derive::trial_counts::TrialCounts;

/// Figures of the trials of one agent with one model on one dataset.
#[derive(Debug, Serialize)]
pub(super) struct GroupFigures {
    agent: String,
    model: Option<String>,
    dataset: String,
    trials: TrialCounts,
    errors: BTreeMap<String, u64>,
    /// Trials with a valid reward; Harbor since 0.25 takes means over these.
    valid: u64,
    mean_reward: Option<f64>,
    mean_rewards: BTreeMap<String, f64>,
    pass_at_k: BTreeMap<u64, f64>,
    input_tokens: Option<u64>,
    cache_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cost_usd: Option<f64>,
    /// Of how many ended trials the cost is known.
    cost_n: u64,
}

/// How long things took, in seconds.
#[derive(Debug, Default, Serialize)]
pub(super) struct Durations {
    job_seconds: Option<f64>,
    /// How long at least one trial ran: without the pauses before a job was resumed.
    trials_active_seconds: Option<f64>,
    trial_seconds_mean: Option<f64>,
    trial_seconds_max: Option<f64>,
    phase_seconds_mean: BTreeMap<&'static str, f64>,
}

/// Returns the figures of all groups.
pub(super) fn group_figures(view: &JobView<'_>) -> Vec<GroupFigures> {
    let groups = view.figures.groups.iter();
    let groups = groups.map(|(key, figures)| {
        // What is not known of each trial cannot be computed, but Harbor wrote the result.
        let stated = view
            .has_ended_without_name
            .then(|| harbor_means(view, key))
            .flatten();
        GroupFigures::new(key, figures, stated)
    });
    groups.collect()
}

/// Returns the means that Harbor wrote for a group.
fn harbor_means(view: &JobView<'_>, key: &GroupKey) -> Option<BTreeMap<String, f64>> {
    let parts = [Some(&key.agent), key.model.as_ref(), Some(&key.dataset)];
    let parts = parts.into_iter().flatten().map(String::as_str);
    let name = parts.collect::<Vec<_>>().join("__");
    let mut evals = view.snapshot.result.content()?.metrics.iter();
    let (_, means) = evals.find(|(eval, _)| *eval == name)?;
    Some(means.iter().cloned().collect())
}

impl GroupFigures {
    fn new(
        key: &GroupKey,
        group: &job_figures::GroupFigures,
        stated: Option<BTreeMap<String, f64>>,
    ) -> Self {
        let figures = &group.figures;
        let pass_at_k = match stated {
            Some(_) => BTreeMap::new(),
            None => figures.pass_at_k.clone(),
        };
        let means = stated.unwrap_or_else(|| group.mean_rewards.clone());
        Self {
            agent: key.agent.clone(),
            model: key.model.clone(),
            dataset: key.dataset.clone(),
            trials: figures.counts,
            valid: figures.valid,
            errors: group.errors.clone(),
            mean_reward: means.get("mean").or_else(|| means.get("reward")).copied(),
            pass_at_k,
            input_tokens: figures.usage.input_tokens,
            cache_tokens: figures.usage.cache_tokens,
            output_tokens: figures.usage.output_tokens,
            cost_usd: figures.usage.cost_usd,
            cost_n: figures.cost_n,
            mean_rewards: means,
        }
    }
}

/// Returns how long the job, its trials and their phases took.
pub(super) fn durations(view: &JobView<'_>) -> Durations {
    let is_active = view.state.is_active();
    let end = view.times.finished.or_else(|| {
        if is_active {
            None
        } else {
            view.times.updated.max(view.figures.last_end)
        }
    });
    let trials = &view.figures.durations;
    Durations {
        job_seconds: end
            .zip(view.times.started)
            .and_then(|(end, start)| end.seconds_since(start)),
        trials_active_seconds: trials.active,
        trial_seconds_mean: trials.mean,
        trial_seconds_max: trials.max,
        phase_seconds_mean: trials.phase_means.clone(),
    }
}
