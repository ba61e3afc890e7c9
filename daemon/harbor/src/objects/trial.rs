//! A trial, begun or planned.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::derive::job_view::{JobView, TrialView};
use crate::derive::trial_state::{Status, the_reward};
use crate::derive::waiting_retries::Retrying;
use crate::format::times::Utc;
use crate::format::trial::{self, AgentKey, TaskRef};
use crate::objects::artifact::{ArtifactFile, list as list_files};
use crate::objects::map;
use crate::snapshot::trial_artifacts::Kind;
use crate::snapshot::trial_files::file_uri;

/// A trial.
#[derive(Debug, Serialize)]
pub(crate) struct Trial<'a> {
    id: String,
    name: Option<&'a str>,
    run_id: &'a str,
    task_slug: &'a str,
    agent_variant: String,
    /// The same under its older name, which reports of the Python client read.
    variant_name: String,
    status: &'static str,
    error_message: Option<&'a str>,
    duration_seconds: Option<f64>,
    created_at: Option<Utc>,
    started_at: Option<Utc>,
    completed_at: Option<Utc>,
    logs_uri: Option<String>,
    trajectory_uri: Option<String>,
    diff_uri: Option<String>,
    result_uri: Option<String>,
    result_data: Option<ResultData<'a>>,
    harbor: TrialHarbor<'a>,
}

/// The public Python client does sums with some of these and knows how to do without them, but
/// not what to do with a null: those are left out where they are unknown.
#[derive(Debug, Serialize)]
struct ResultData<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    reward: Option<f64>,
    rewards: BTreeMap<&'a str, f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tests_passed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tests_total: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    cached_tokens: Option<u64>,
    cost_usd: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<&'a str>,
}

#[derive(Debug, Default, Serialize)]
struct TrialHarbor<'a> {
    trial_uuid: Option<&'a str>,
    task_name: Option<&'a str>,
    dataset: Option<&'a str>,
    agent: String,
    agent_version: Option<&'a str>,
    model: Option<String>,
    phase: Option<&'static str>,
    phase_seconds: BTreeMap<&'static str, f64>,
    steps: Vec<Step<'a>>,
    artifacts: Vec<ArtifactFile<'a>>,
    planned: Option<usize>,
    /// Exception that ended the attempt before, while the trial waits for the next one.
    retry_of: Option<&'a str>,
    note: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Step<'a> {
    name: &'a str,
    reward: Option<f64>,
    rewards: BTreeMap<&'a str, f64>,
    phase_seconds: BTreeMap<&'static str, f64>,
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    cached_tokens: Option<u64>,
    cost_usd: Option<f64>,
    error_code: Option<&'a str>,
    error_message: Option<&'a str>,
}

impl<'a> Trial<'a> {
    /// Tells a trial that has a folder.
    pub(crate) fn of(view: &'a JobView<'a>, trial: &'a TrialView<'a>, run_id: &'a str) -> Self {
        let result = trial.result;
        let files = &trial.seen.files;
        let setup = trial.seen.setup();
        let task_name = result.and_then(|r| r.task_name.as_deref());
        let slug = task_name.map(trial::last_part);
        let finished = result.and_then(|r| r.finished);
        let duration = finished
            .zip(trial.started)
            .and_then(|(end, start)| end.seconds_since(start));
        let uri = |kind| files.first(kind).map(file_uri);
        Self {
            id: trial.seen.name.clone(),
            name: Some(&trial.seen.name),
            run_id,
            task_slug: slug
                .or_else(|| setup.map(|c| c.task.slug.as_str()))
                .unwrap_or_default(),
            agent_variant: view.labels.variant(&trial.agent),
            variant_name: view.labels.variant(&trial.agent),
            status: trial.state.status.word(),
            error_message: trial.state.message.as_deref(),
            duration_seconds: duration,
            created_at: trial.started.or(view.times.started),
            started_at: trial.started,
            completed_at: finished,
            logs_uri: uri(Kind::Logs),
            trajectory_uri: uri(Kind::Trajectory),
            diff_uri: uri(Kind::Diff),
            result_uri: uri(Kind::Result),
            result_data: (trial.state.ended() || trial.state.lost())
                .then(|| ResultData::of(trial, duration)),
            harbor: TrialHarbor {
                trial_uuid: result.and_then(|r| r.id.as_deref()),
                task_name: task_name.or_else(|| setup.map(|c| c.task.place.as_str())),
                dataset: result
                    .and_then(|r| r.source.as_deref())
                    .or_else(|| setup.and_then(|c| c.task.source.as_deref())),
                agent: view.labels.name(&trial.agent),
                agent_version: result.and_then(|r| r.agent_version.as_deref()),
                model: view.labels.model(&trial.agent),
                phase: trial.state.phase,
                phase_seconds: result
                    .into_iter()
                    .flat_map(|r| r.phases.iter().copied())
                    .collect(),
                steps: result
                    .into_iter()
                    .flat_map(|r| &r.steps)
                    .map(Step::of)
                    .collect(),
                artifacts: list_files(&view.seen.dir.join(&trial.seen.name), &files.all),
                planned: None,
                retry_of: None,
                note: None,
            },
        }
    }

    /// Tells a trial whose attempt was thrown away and that will be run again.
    pub(crate) fn retrying(
        view: &'a JobView<'a>,
        trial: &'a Retrying<'a>,
        run_id: &'a str,
    ) -> Self {
        let task = trial.planned.map(|planned| &planned.task);
        let agent = trial.planned.map(|planned| &planned.agent);
        let variant = agent
            .map(|agent| view.labels.variant(agent))
            .unwrap_or_default();
        Self {
            id: trial.name.to_owned(),
            name: Some(trial.name),
            run_id,
            task_slug: task.map(|task| task.slug.as_str()).unwrap_or_default(),
            agent_variant: variant.clone(),
            variant_name: variant,
            status: Status::Pending.word(),
            error_message: None,
            duration_seconds: None,
            created_at: view.times.started,
            started_at: None,
            completed_at: None,
            logs_uri: None,
            trajectory_uri: None,
            diff_uri: None,
            result_uri: None,
            result_data: None,
            harbor: TrialHarbor {
                task_name: task.map(|task| task.place.as_str()),
                dataset: task.and_then(|task| task.source.as_deref()),
                agent: agent
                    .map(|agent| view.labels.name(agent))
                    .unwrap_or_default(),
                model: agent.and_then(|agent| view.labels.model(agent)),
                phase: Some("waiting_for_retry"),
                retry_of: Some(trial.exception),
                ..TrialHarbor::default()
            },
        }
    }

    /// Tells a planned trial that did not start; it has no name yet.
    pub(crate) fn planned(
        view: &'a JobView<'a>,
        place: usize,
        task: &'a TaskRef,
        agent: &AgentKey,
        run_id: &'a str,
    ) -> Self {
        let over = !matches!(view.state.status, "pending" | "running");
        let note = over.then_some("never started: the job ended first");
        Self {
            id: format!("planned-{:04}", place + 1),
            name: None,
            run_id,
            task_slug: &task.slug,
            agent_variant: view.labels.variant(agent),
            variant_name: view.labels.variant(agent),
            status: Status::Pending.word(),
            error_message: note,
            duration_seconds: None,
            created_at: view.times.started,
            started_at: None,
            completed_at: None,
            logs_uri: None,
            trajectory_uri: None,
            diff_uri: None,
            result_uri: None,
            result_data: None,
            harbor: TrialHarbor {
                task_name: Some(&task.place),
                dataset: task.source.as_deref(),
                agent: view.labels.name(agent),
                model: view.labels.model(agent),
                planned: Some(place + 1),
                note,
                ..TrialHarbor::default()
            },
        }
    }
}

impl<'a> ResultData<'a> {
    fn of(trial: &'a TrialView<'a>, duration_seconds: Option<f64>) -> Self {
        let usage = trial.result.map(|r| r.usage).unwrap_or_default();
        let tests = trial.seen.files.tests;
        Self {
            reward: trial.state.reward,
            rewards: map(&trial.state.rewards),
            tests_passed: tests.map(|(passed, _)| passed),
            tests_total: tests.map(|(_, total)| total),
            duration_seconds,
            prompt_tokens: usage.input_tokens,
            completion_tokens: usage.output_tokens,
            cached_tokens: usage.cache_tokens,
            cost_usd: usage.cost_usd,
            error: trial.state.code.as_deref(),
            error_code: trial.state.code.as_deref(),
            error_message: trial.state.message.as_deref(),
        }
    }
}

impl<'a> Step<'a> {
    fn of(step: &'a trial::Step) -> Self {
        let usage = step.usage;
        Self {
            name: &step.name,
            reward: the_reward(&step.rewards),
            rewards: map(&step.rewards),
            phase_seconds: step.phases.iter().copied().collect(),
            prompt_tokens: usage.input_tokens,
            completion_tokens: usage.output_tokens,
            cached_tokens: usage.cache_tokens,
            cost_usd: usage.cost_usd,
            error_code: step.exception.as_ref().map(|e| e.kind.as_str()),
            error_message: step.exception.as_ref().map(|e| e.message.as_str()),
        }
    }
}
