//! A job as a run and as an evaluation run.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::derive::job_state::Tally;
use crate::derive::job_view::JobView;
use crate::derive::trial_state::{State, Status};
use crate::format::job::Counts;
use crate::format::times::{JobTimes, Utc};
use crate::objects::artifact::{ArtifactFile, list as list_files};
use crate::objects::figures::{Durations, Group, durations, groups};
use crate::objects::{count, map};
use crate::snapshot::trial_files::file_uri;

/// A job as a run.
#[derive(Debug, Serialize)]
pub(crate) struct Run<'a> {
    id: &'a str,
    name: &'a str,
    template_name: &'a str,
    status: &'static str,
    status_reason: Option<&'a str>,
    /// Its folder.
    remote_ref: Cow<'a, str>,
    #[serde(flatten)]
    times: Times,
    task_results: Vec<TaskResult>,
    harbor: &'a Harbor<'a>,
}

/// A job as an evaluation run.
#[derive(Debug, Serialize)]
pub(crate) struct Evaluation<'a> {
    id: &'a str,
    name: &'a str,
    status: &'static str,
    status_reason: Option<&'a str>,
    /// Its folder.
    remote_ref: Cow<'a, str>,
    dataset_uri: Option<&'a str>,
    #[serde(flatten)]
    times: Times,
    total_trials: u64,
    completed_trials: u64,
    passed_trials: u64,
    failed_trials: u64,
    tasks_total: usize,
    leaderboard: Vec<Variant>,
    harbor: &'a Harbor<'a>,
}

#[derive(Debug, Serialize)]
struct TaskResult {
    status: &'static str,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Times {
    created_at: Option<Utc>,
    started_at: Option<Utc>,
    updated_at: Option<Utc>,
    completed_at: Option<Utc>,
}

/// One line of the leaderboard.
#[derive(Debug, Default, Serialize)]
struct Variant {
    variant_name: String,
    trial_count: u64,
    // Left out where nothing has ended: the public Python client compares it with numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    avg_pass_rate: Option<f64>,
    completed_count: u64,
    failed_count: u64,
}

/// What Harbor knows of a job and the Docks API has no field for.
#[derive(Debug, Serialize)]
pub(crate) struct Harbor<'a> {
    job: &'a str,
    job_id: Option<&'a str>,
    state: &'static str,
    note: Option<&'a str>,
    pid: Option<u32>,
    finished_at: Option<Utc>,
    #[serde(flatten)]
    counts: Counts,
    trials: Tally,
    errors: BTreeMap<&'a str, u64>,
    phases: BTreeMap<&'static str, u64>,
    metrics: BTreeMap<&'a str, BTreeMap<&'a str, f64>>,
    evals: Option<&'a RawValue>,
    input_tokens: Option<u64>,
    cache_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cost_usd: Option<f64>,
    agents: Vec<String>,
    models: Vec<String>,
    datasets: &'a [String],
    groups: Vec<Group>,
    durations: Durations,
    environment: Option<&'a str>,
    attempts: Option<u64>,
    concurrent_trials: Option<u64>,
    harbor_version: Option<&'a str>,
    job_uri: String,
    logs_uri: Option<String>,
    result_uri: Option<String>,
    artifacts: Vec<ArtifactFile<'a>>,
}

impl Times {
    fn of(view: &JobView<'_>) -> Self {
        let JobTimes {
            started,
            updated,
            finished,
        } = view.times;
        let active = matches!(view.state.status, "pending" | "running");
        // A job that was stopped has no end of its own; Harbor's last word is the nearest.
        let last_trial = view.trials.iter().filter_map(|t| t.result?.finished).max();
        let last_word = || updated.max(last_trial);
        Self {
            created_at: started,
            started_at: started,
            updated_at: updated.max(finished),
            completed_at: finished.or_else(|| if active { None } else { last_word() }),
        }
    }
}

impl<'a> Harbor<'a> {
    /// Gathers it.
    pub(crate) fn of(view: &'a JobView<'a>, note: Option<&'a str>) -> Self {
        let seen = view.seen;
        let result = seen.result.get();
        let config = seen.config.get();
        let usage = view.usage();
        let metrics = result.into_iter().flat_map(|r| &r.metrics);
        let agents = view.agents();
        let mut names: Vec<String> = agents.iter().map(|a| view.labels.name(a)).collect();
        let mut models: Vec<String> = agents.iter().filter_map(|a| view.labels.model(a)).collect();
        for list in [&mut names, &mut models] {
            list.sort_unstable();
            list.dedup();
        }
        let active = matches!(view.state.status, "pending" | "running");
        Self {
            job: &seen.folder,
            job_id: view.uuid.as_deref(),
            state: view.state.state,
            note,
            pid: seen.life.pid().filter(|_| active),
            finished_at: view.times.finished,
            counts: result.map(|r| r.counts).unwrap_or_default(),
            trials: view.tally,
            errors: count(view.trials.iter().filter_map(|t| t.state.code.as_deref())),
            phases: count(view.trials.iter().filter_map(|t| t.state.phase)),
            metrics: metrics
                .map(|(eval, values)| (eval.as_str(), map(values)))
                .collect(),
            evals: result.and_then(|r| r.evals.as_deref()),
            input_tokens: usage.input_tokens,
            cache_tokens: usage.cache_tokens,
            output_tokens: usage.output_tokens,
            cost_usd: usage.cost_usd,
            agents: names,
            models,
            datasets: config.map(|c| c.datasets.as_slice()).unwrap_or_default(),
            groups: groups(view),
            durations: durations(view),
            environment: config.map(|c| c.environment.as_str()),
            attempts: config.and_then(|c| c.attempts),
            concurrent_trials: config.and_then(|c| c.concurrent),
            harbor_version: seen.lock.get().and_then(|l| l.harbor_version.as_deref()),
            job_uri: file_uri(&seen.dir),
            logs_uri: seen.log.map(|_| file_uri(&seen.log_path())),
            result_uri: seen
                .result
                .stamp()
                .map(|_| file_uri(&seen.dir.join("result.json"))),
            artifacts: list_files(&seen.dir, &view.files),
        }
    }
}

impl<'a> Run<'a> {
    /// Tells a job as a run.
    pub(crate) fn of(view: &'a JobView<'a>, id: &'a str, harbor: &'a Harbor<'a>) -> Self {
        let begun = view.trials.iter().map(|trial| trial.state.status.word());
        let pending = usize::try_from(view.tally.total)
            .unwrap_or(0)
            .saturating_sub(view.trials.len());
        let to_come = std::iter::repeat_n(Status::Pending.word(), pending);
        Self {
            id,
            name: &view.seen.folder,
            template_name: &view.seen.folder,
            status: view.state.status,
            status_reason: view.state.reason.as_deref(),
            remote_ref: view.seen.dir.to_string_lossy(),
            times: Times::of(view),
            task_results: begun
                .chain(to_come)
                .map(|status| TaskResult { status })
                .collect(),
            harbor,
        }
    }
}

impl<'a> Evaluation<'a> {
    /// Tells a job as an evaluation run.
    pub(crate) fn of(view: &'a JobView<'a>, id: &'a str, harbor: &'a Harbor<'a>) -> Self {
        let from_trials = || {
            view.trials
                .iter()
                .find_map(|t| t.seen.setup()?.task.source.as_deref())
        };
        let config = view.seen.config.get();
        Self {
            id,
            name: &view.seen.folder,
            status: view.state.status,
            status_reason: view.state.reason.as_deref(),
            remote_ref: view.seen.dir.to_string_lossy(),
            dataset_uri: config
                .and_then(|c| c.dataset_uri.as_deref())
                .or_else(from_trials),
            times: Times::of(view),
            total_trials: view.tally.total,
            completed_trials: view.tally.ended,
            passed_trials: view.tally.passed,
            failed_trials: view.tally.failed + view.tally.errored - view.tally.cancelled,
            tasks_total: view.tasks().len(),
            leaderboard: leaderboard(view),
            harbor,
        }
    }
}

fn leaderboard(view: &JobView<'_>) -> Vec<Variant> {
    let mut by_variant: BTreeMap<String, Vec<&State>> = BTreeMap::new();
    let nothing = State::default();
    for trial in &view.trials {
        by_variant
            .entry(view.labels.variant(&trial.agent))
            .or_default()
            .push(&trial.state);
    }
    for planned in view.to_come() {
        by_variant
            .entry(view.labels.variant(&planned.agent))
            .or_default()
            .push(&nothing);
    }
    let lines = by_variant.into_iter().map(|(variant_name, states)| {
        let tally = Tally::of(states.into_iter());
        Variant {
            variant_name,
            trial_count: tally.total,
            // As in Harbor's mean, an ended trial without reward counts as not passed.
            avg_pass_rate: (tally.ended > 0).then(|| tally.passed as f64 / tally.ended as f64),
            completed_count: tally.ended,
            failed_count: tally.failed + tally.errored - tally.cancelled,
        }
    });
    lines.collect()
}
