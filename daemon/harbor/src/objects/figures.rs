//! The figures of a job: per agent, model and dataset, and how long things took.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::derive::group_figures::{Figures, GroupKey, GroupMember, compute_figures};
use crate::derive::job_view::{JobView, TrialView};
use crate::derive::trial_counts::TrialCounts;
use crate::derive::trial_state::TrialState;
use crate::format::task::AgentKey;
use crate::utc::Utc;

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

/// Computes the figures of all groups.
pub(super) fn group_figures(view: &JobView<'_>) -> Vec<GroupFigures> {
    let mut members: BTreeMap<GroupKey<'_>, Vec<GroupMember<'_>>> = BTreeMap::new();
    let pending = TrialState::default();
    for trial in &view.trials {
        let member = GroupMember {
            state: &trial.state,
            result: trial.result,
        };
        members
            .entry(group_key(view, trial))
            .or_default()
            .push(member);
    }
    for (_, planned) in &view.unstarted {
        let key = expected_key(view, &planned.agent, planned.task.source.as_deref());
        let member = GroupMember {
            state: &pending,
            result: None,
        };
        members.entry(key).or_default().push(member);
    }
    let groups = members.into_iter().map(|(key, members)| {
        let mut figures = compute_figures(&members, view.rules);
        // What is not known of each trial cannot be computed, but Harbor wrote the result.
        if view.has_ended_without_name
            && let Some(means) = harbor_means(view, &key)
        {
            figures.mean_rewards = means;
            figures.pass_at_k.clear();
        }
        GroupFigures::from_figures(key, figures)
    });
    groups.collect()
}

/// Returns the means that Harbor wrote for a group.
fn harbor_means(view: &JobView<'_>, key: &GroupKey<'_>) -> Option<BTreeMap<String, f64>> {
    let parts = [Some(key.agent), key.model, Some(key.dataset)];
    let name = parts.into_iter().flatten().collect::<Vec<_>>().join("__");
    let mut evals = view.snapshot.result.content()?.metrics.iter();
    let (_, means) = evals.find(|(eval, _)| *eval == name)?;
    Some(means.iter().cloned().collect())
}

/// Returns Harbor's key if there is a result; before that, the key that is expected.
fn group_key<'a>(view: &'a JobView<'_>, trial: &'a TrialView<'_>) -> GroupKey<'a> {
    match trial.result {
        Some(result) => GroupKey::new(
            result
                .agent_name
                .as_deref()
                .unwrap_or_else(|| view.agent_names.name(trial.agent)),
            result.agent_model_name.as_deref(),
            result.source.as_deref(),
        ),
        None => {
            let source = trial.snapshot.config();
            let source = source.and_then(|config| config.task.source.as_deref());
            expected_key(view, trial.agent, source)
        }
    }
}

fn expected_key<'a>(
    view: &'a JobView<'_>,
    agent: &'a AgentKey,
    dataset: Option<&'a str>,
) -> GroupKey<'a> {
    let model = view.agent_names.model_name(agent);
    GroupKey::new(view.agent_names.name(agent), model, dataset)
}

impl GroupFigures {
    fn from_figures(key: GroupKey<'_>, figures: Figures) -> Self {
        let means = &figures.mean_rewards;
        Self {
            agent: key.agent.to_owned(),
            model: key.model.map(str::to_owned),
            dataset: key.dataset.to_owned(),
            trials: figures.counts,
            valid: figures.valid,
            errors: figures.errors,
            mean_reward: means.get("mean").or_else(|| means.get("reward")).copied(),
            pass_at_k: figures.pass_at_k,
            input_tokens: figures.usage.input_tokens,
            cache_tokens: figures.usage.cache_tokens,
            output_tokens: figures.usage.output_tokens,
            cost_usd: figures.usage.cost_usd,
            cost_n: figures.cost_n,
            mean_rewards: figures.mean_rewards,
        }
    }
}

/// Computes how long the job, its trials and their phases took.
pub(super) fn compute_durations(view: &JobView<'_>) -> Durations {
    let is_active = view.state.is_active();
    let last_trial = view.trials.iter().filter_map(|t| t.finished).max();
    let end = view.times.finished.or_else(|| {
        if is_active {
            None
        } else {
            view.times.updated.max(last_trial)
        }
    });
    let trials: Vec<f64> = view
        .trials
        .iter()
        .filter_map(|trial| trial.finished?.seconds_since(trial.started?))
        .collect();
    let mut phases: BTreeMap<&'static str, (f64, u32)> = BTreeMap::new();
    let results = view.trials.iter().filter_map(|trial| trial.result);
    for (name, seconds) in results.flat_map(|result| &result.phases) {
        let (sum, count) = phases.entry(name).or_default();
        *sum += seconds;
        *count += 1;
    }
    Durations {
        job_seconds: end
            .zip(view.times.started)
            .and_then(|(end, start)| end.seconds_since(start)),
        trials_active_seconds: active_seconds(view),
        trial_seconds_mean: (!trials.is_empty())
            .then(|| trials.iter().sum::<f64>() / trials.len() as f64),
        trial_seconds_max: trials.iter().copied().reduce(f64::max),
        phase_seconds_mean: phases
            .into_iter()
            .map(|(name, (sum, count))| (name, sum / f64::from(count)))
            .collect(),
    }
}

/// Returns how long at least one trial ran, of those that ended.
fn active_seconds(view: &JobView<'_>) -> Option<f64> {
    let spans = view.trials.iter();
    let mut spans: Vec<(Utc, Utc)> = spans
        .filter_map(|t| Some((t.started?, t.finished?)))
        .collect();
    spans.sort_unstable();
    let mut until = spans.first()?.0;
    let mut seconds = 0.0;
    for (start, end) in spans {
        seconds += end.seconds_since(start.max(until)).unwrap_or(0.0);
        until = until.max(end);
    }
    Some(seconds)
}
