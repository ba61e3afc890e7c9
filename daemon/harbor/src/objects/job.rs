//! A job as a run and as an evaluation run.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use super::artifact::{ArtifactFile, list_artifacts};
use super::figures::{Durations, GroupFigures, durations, group_figures};
use super::maps::{AnyNumber, to_map};
use crate::derive::job_view::{JobView, ServedMark};
use crate::derive::trial_counts::TrialCounts;
use crate::derive::trial_state::Status;
use crate::disk::file_uri::file_uri;
use crate::format::job::HarborCounters;
use crate::format::task::AgentKey;
use crate::snapshot::job_times::JobTimes;
use crate::utc::Utc;

/// A job as a run.
#[derive(Debug, Serialize)]
pub(crate) struct RunObject<'a> {
    id: &'a str,
    name: &'a str,
    template_name: &'a str,
    status: &'static str,
    status_reason: Option<&'a str>,
    /// The path of its folder, or its address at a server.
    remote_ref: &'a str,
    #[serde(flatten)]
    times: Times,
    task_results: Vec<TaskResult>,
    harbor: &'a HarborDetails<'a>,
}

/// A job as an evaluation run.
#[derive(Debug, Serialize)]
pub(crate) struct EvaluationObject<'a> {
    id: &'a str,
    name: &'a str,
    status: &'static str,
    status_reason: Option<&'a str>,
    /// The path of its folder, or its address at a server.
    remote_ref: &'a str,
    dataset_uri: Option<&'a str>,
    #[serde(flatten)]
    times: Times,
    total_trials: u64,
    completed_trials: u64,
    passed_trials: u64,
    failed_trials: u64,
    /// Their process is gone; they count in rates, and are not among the completed ones.
    lost_trials: u64,
    tasks_total: usize,
    leaderboard: Vec<LeaderboardLine>,
    harbor: &'a HarborDetails<'a>,
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
struct LeaderboardLine {
    variant_name: String,
    trial_count: u64,
    // Omitted while no trial has ended: the public Python client compares it with numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    avg_pass_rate: Option<f64>,
    completed_count: u64,
    failed_count: u64,
}

/// What Harbor knows about a job and the Docks API has no field for.
#[derive(Debug, Serialize)]
pub(crate) struct HarborDetails<'a> {
    job: &'a str,
    job_id: Option<&'a str>,
    state: &'static str,
    #[serde(flatten)]
    served: Option<ServedMark>,
    note: Option<String>,
    pid: Option<u32>,
    finished_at: Option<Utc>,
    #[serde(flatten)]
    counts: HarborCounters,
    trials: TrialCounts,
    errors: &'a BTreeMap<String, u64>,
    phases: &'a BTreeMap<&'static str, u64>,
    metrics: BTreeMap<&'a str, BTreeMap<&'a str, AnyNumber>>,
    evals: Option<&'a RawValue>,
    /// With cached tokens, also those that an agent reports beside its input.
    all_input_tokens: Option<u64>,
    input_tokens: Option<u64>,
    cache_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cost_usd: Option<f64>,
    /// Of how many ended trials cost and tokens are known.
    cost_n: Option<u64>,
    tokens_n: Option<u64>,
    agents: Vec<String>,
    models: Vec<String>,
    datasets: &'a [String],
    groups: Vec<GroupFigures>,
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
    fn from_view(view: &JobView<'_>) -> Self {
        let JobTimes {
            started,
            updated,
            finished,
            ..
        } = view.times;
        let is_active = view.state.is_active();
        // A job that was stopped has no end in its result; Harbor's last update is closest to it.
        let last_update = || updated.max(view.figures.last_end);
        Self {
            created_at: view.created.or(started),
            started_at: started,
            updated_at: updated.max(finished),
            completed_at: finished.or_else(|| if is_active { None } else { last_update() }),
        }
    }
}

impl<'a> HarborDetails<'a> {
    /// Collects the details.
    pub(crate) fn from_view(view: &'a JobView<'a>, note: Option<&'a str>) -> Self {
        let snapshot = view.snapshot;
        let result = snapshot.result.content();
        let config = snapshot.config.content();
        let usage = view.usage();
        let metrics = result.into_iter().flat_map(|r| &r.metrics);
        let figures = &view.figures;
        let (agents, agent_names) = (&figures.agents, &figures.agent_names);
        let name = |agent: &AgentKey| agent_names.name(agent).to_owned();
        let mut names: Vec<String> = agents.iter().map(name).collect();
        let model = |agent: &AgentKey| agent_names.model(agent).map(str::to_owned);
        let mut models: Vec<String> = agents.iter().filter_map(model).collect();
        for list in [&mut names, &mut models] {
            list.sort_unstable();
            list.dedup();
        }
        let is_active = view.state.is_active();
        let own_notes = view.notes.iter().map(String::as_str);
        let notes: Vec<&str> = note.into_iter().chain(own_notes).collect();
        Self {
            job: &snapshot.name,
            job_id: view.uuid.as_deref(),
            state: view.state.state,
            served: view.served,
            note: (!notes.is_empty()).then(|| notes.join("; ")),
            pid: snapshot.liveness.pid().filter(|_| is_active),
            finished_at: view.times.finished,
            counts: result.map(|r| r.counts).unwrap_or_default(),
            trials: view.counts,
            errors: &figures.errors,
            phases: &figures.phases,
            metrics: metrics
                .map(|(eval, values)| (eval.as_str(), to_map(values)))
                .collect(),
            evals: result.and_then(|r| r.evals.as_deref()),
            all_input_tokens: figures.all_input_tokens.or(usage.input_tokens),
            input_tokens: usage.input_tokens,
            cache_tokens: usage.cache_tokens,
            output_tokens: usage.output_tokens,
            cost_usd: usage.cost_usd,
            cost_n: figures.known.map(|known| known.cost),
            tokens_n: figures.known.map(|known| known.input_tokens),
            agents: names,
            models,
            datasets: config.map(|c| c.datasets.as_slice()).unwrap_or_default(),
            groups: group_figures(view),
            durations: durations(view),
            environment: config.map(|c| c.environment.as_str()),
            attempts: config.and_then(|c| c.attempts),
            concurrent_trials: config.and_then(|c| c.concurrent_trials),
            harbor_version: snapshot
                .lock
                .content()
                .and_then(|l| l.harbor_version.as_deref()),
            job_uri: view.uri.clone(),
            logs_uri: snapshot.log.map(|_| file_uri(&snapshot.log_path())),
            result_uri: snapshot
                .result
                .version()
                .map(|_| file_uri(&snapshot.dir.join("result.json"))),
            artifacts: list_artifacts(&snapshot.dir, &view.artifacts),
        }
    }
}

impl<'a> RunObject<'a> {
    /// Creates the run of a job.
    pub(crate) fn from_view(
        view: &'a JobView<'a>,
        id: &'a str,
        harbor: &'a HarborDetails<'a>,
    ) -> Self {
        let statuses = &view.figures.statuses;
        let started_statuses = statuses.iter().map(|status| status.as_str());
        let pending = usize::try_from(view.counts.total)
            .unwrap_or(0)
            .saturating_sub(statuses.len());
        // Of these, no more is known than how many ended.
        let to_come = usize::try_from(view.counts.pending)
            .unwrap_or(0)
            .min(pending);
        let pending_statuses = std::iter::repeat_n(Status::Completed.as_str(), pending - to_come)
            .chain(std::iter::repeat_n(Status::Pending.as_str(), to_come));
        Self {
            id,
            name: &view.snapshot.name,
            template_name: &view.snapshot.name,
            status: view.state.status,
            status_reason: view.state.reason.as_deref(),
            remote_ref: &view.location,
            times: Times::from_view(view),
            task_results: started_statuses
                .chain(pending_statuses)
                .map(|status| TaskResult { status })
                .collect(),
            harbor,
        }
    }
}

impl<'a> EvaluationObject<'a> {
    /// Creates the evaluation run of a job.
    pub(crate) fn from_view(
        view: &'a JobView<'a>,
        id: &'a str,
        harbor: &'a HarborDetails<'a>,
    ) -> Self {
        let from_trials = || view.figures.first_source.as_deref();
        let config = view.snapshot.config.content();
        Self {
            id,
            name: &view.snapshot.name,
            status: view.state.status,
            status_reason: view.state.reason.as_deref(),
            remote_ref: &view.location,
            dataset_uri: config
                .and_then(|c| c.dataset_uri.as_deref())
                .or_else(from_trials),
            times: Times::from_view(view),
            total_trials: view.counts.total,
            completed_trials: view.counts.ended,
            passed_trials: view.counts.passed,
            failed_trials: view.counts.unsuccessful,
            lost_trials: view.counts.lost,
            tasks_total: view.figures.tasks,
            leaderboard: leaderboard(view),
            harbor,
        }
    }
}

fn leaderboard(view: &JobView<'_>) -> Vec<LeaderboardLine> {
    // Agents that were configured in different ways may report the same name.
    let mut by_variant: BTreeMap<String, TrialCounts> = BTreeMap::new();
    for (agent, counts) in &view.figures.by_agent {
        let variant = view.figures.agent_names.variant(agent);
        let known = by_variant.entry(variant).or_default();
        *known = known.plus(counts);
    }
    let lines = by_variant
        .into_iter()
        .map(|(variant_name, counts)| LeaderboardLine {
            variant_name,
            trial_count: counts.total,
            // As in Harbor's mean, an ended trial without a reward counts as not passed, and so does a lost one: a
            // job that crashes must not look better for it.
            avg_pass_rate: (counts.ended + counts.lost > 0)
                .then(|| counts.passed as f64 / (counts.ended + counts.lost) as f64),
            completed_count: counts.ended,
            failed_count: counts.unsuccessful,
        });
    lines.collect()
}
