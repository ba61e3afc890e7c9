//! Trials, started or planned.

use std::collections::BTreeMap;

use docks_statistics::harbor::main_reward;
use serde::Serialize;

use super::artifact::{ArtifactFile, list_artifacts};
use super::maps::{AnyNumber, to_map};
use crate::derive::job_view::JobView;
use crate::derive::trial_state::Status;
use crate::derive::trial_view::{ServedAttempts, TrialView};
use crate::derive::waiting_retries::WaitingRetry;
use crate::format::task::{AgentKey, TaskRef, last_part};
use crate::format::trial::StepResult;
use crate::snapshot::artifact::ArtifactKind;
use crate::utc::Utc;

/// What is said of a trial that ended and whose folder is not here.
const ABSENT: &str = "its folder is not here; this is what the files of its job say";

/// A trial.
#[derive(Debug, Serialize)]
pub(crate) struct TrialObject<'a> {
    id: String,
    name: Option<&'a str>,
    run_id: &'a str,
    task_slug: &'a str,
    agent_variant: String,
    /// The same under its older name, which the Python client's reports read.
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

/// The public Python client calculates with some of these. It handles missing fields but not nulls, so
/// unknown ones are omitted.
#[derive(Debug, Serialize)]
struct ResultData<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    reward: Option<AnyNumber>,
    rewards: BTreeMap<&'a str, AnyNumber>,
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
    cost_usd: Option<AnyNumber>,
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
    /// What a server says about it.
    #[serde(flatten)]
    served: Option<&'a ServedAttempts>,
    task_name: Option<&'a str>,
    dataset: Option<&'a str>,
    agent: &'a str,
    agent_version: Option<&'a str>,
    model: Option<&'a str>,
    /// Whether its reward is valid, if it ended; Harbor since 0.25 takes means over valid ones.
    valid: Option<bool>,
    /// Whether its reward is valid and exactly 1, if it ended; it may have an exception all the same.
    solved: Option<bool>,
    /// What it counts in the mean reward of its job.
    counted_reward: Option<AnyNumber>,
    /// The types of its exceptions, also in steps where Harbor counts these.
    exceptions: &'a [String],
    phase: Option<&'static str>,
    phase_seconds: BTreeMap<&'static str, f64>,
    steps: Vec<StepObject<'a>>,
    artifacts: Vec<ArtifactFile<'a>>,
    planned: Option<usize>,
    /// The exception that ended the previous attempt, while the trial waits for the next one.
    retry_of: Option<&'a str>,
    note: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct StepObject<'a> {
    name: &'a str,
    reward: Option<AnyNumber>,
    rewards: BTreeMap<&'a str, AnyNumber>,
    phase_seconds: BTreeMap<&'static str, f64>,
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    cached_tokens: Option<u64>,
    cost_usd: Option<AnyNumber>,
    error_code: Option<&'a str>,
    error_message: Option<&'a str>,
}

impl<'a> TrialObject<'a> {
    /// Creates the object of a trial that has a folder.
    pub(crate) fn from_view(
        view: &'a JobView<'a>,
        trial: &'a TrialView<'a>,
        run_id: &'a str,
    ) -> Self {
        let result = trial.result;
        let files = &trial.snapshot.files;
        let config = trial.snapshot.config();
        let task_name = result.and_then(|r| r.task_name.as_deref());
        let slug = task_name.map(last_part);
        let finished = trial.finished;
        let duration = finished
            .zip(trial.started)
            .and_then(|(end, start)| end.seconds_since(start));
        let folder = view.snapshot.dir.join(trial.snapshot.folder_name());
        let uri = |kind| Some(files.first_artifact(kind)?.uri(&folder));
        Self {
            id: trial.id.to_owned(),
            name: Some(&trial.snapshot.name),
            run_id,
            task_slug: slug
                .or_else(|| config.map(|c| c.task.slug.as_str()))
                .unwrap_or_default(),
            agent_variant: view.figures.agent_names.variant(trial.agent),
            variant_name: view.figures.agent_names.variant(trial.agent),
            status: trial.state.status.as_str(),
            error_message: trial.state.message.as_deref(),
            duration_seconds: duration,
            created_at: trial.created.or(trial.started).or(view.times.started),
            started_at: trial.started,
            completed_at: finished,
            logs_uri: uri(ArtifactKind::Logs),
            trajectory_uri: uri(ArtifactKind::Trajectory),
            diff_uri: uri(ArtifactKind::Diff),
            result_uri: uri(ArtifactKind::Result),
            result_data: (trial.state.has_ended() || trial.state.is_lost())
                .then(|| ResultData::from_view(trial, duration)),
            harbor: TrialHarbor {
                trial_uuid: match trial.served {
                    Some(served) => served.current(),
                    None => result.and_then(|r| r.id.as_deref()),
                },
                served: trial.served,
                task_name: task_name.or_else(|| config.map(|c| c.task.path_or_name.as_str())),
                dataset: result
                    .and_then(|r| r.source.as_deref())
                    .or_else(|| config.and_then(|c| c.task.source.as_deref())),
                agent: view.figures.agent_names.name(trial.agent),
                agent_version: result.and_then(|r| r.agent_version.as_deref()),
                model: view.figures.agent_names.model(trial.agent),
                valid: trial.state.is_valid,
                solved: trial.state.is_valid.map(|_| trial.state.is_solved),
                counted_reward: view.counted_reward(trial).map(AnyNumber),
                exceptions: &trial.state.exceptions,
                phase: trial.state.phase,
                phase_seconds: result
                    .into_iter()
                    .flat_map(|r| r.phases.iter().copied())
                    .collect(),
                steps: result
                    .into_iter()
                    .flat_map(|r| &r.steps)
                    .map(StepObject::from_result)
                    .collect(),
                artifacts: list_artifacts(&folder, &files.artifacts),
                planned: None,
                retry_of: None,
                note: trial.snapshot.is_absent.then_some(ABSENT),
            },
        }
    }

    /// Creates the object of a trial whose attempt was discarded and that will be retried.
    pub(crate) fn from_retry(
        view: &'a JobView<'a>,
        trial: &'a WaitingRetry<'a>,
        run_id: &'a str,
    ) -> Self {
        let task = trial.planned.map(|(_, planned)| &planned.task);
        let agent = trial.planned.map(|(_, planned)| &planned.agent);
        let mut object = Self::not_started(view, task, agent, run_id);
        object.id = trial.name.to_owned();
        object.name = Some(trial.name);
        object.harbor.phase = Some("waiting_for_retry");
        object.harbor.retry_of = Some(trial.exception);
        object
    }

    /// Creates the object of a planned trial that did not start; it has no name yet.
    pub(crate) fn from_plan(
        view: &'a JobView<'a>,
        index: usize,
        task: &'a TaskRef,
        agent: &'a AgentKey,
        run_id: &'a str,
    ) -> Self {
        // A job finishes only after all of its trials.
        let has_ended = view.snapshot.is_finished();
        let note = if has_ended {
            Some(ABSENT)
        } else {
            (!view.state.is_active()).then_some("never started: the job ended first")
        };
        let mut object = Self::not_started(view, Some(task), Some(agent), run_id);
        object.id = Self::planned_id(index);
        if has_ended {
            object.status = Status::Completed.as_str();
        } else {
            object.error_message = note;
        }
        object.harbor.planned = Some(index + 1);
        object.harbor.note = note;
        object
    }

    /// Returns the id of a planned trial that did not start.
    pub(crate) fn planned_id(index: usize) -> String {
        format!("planned-{:04}", index + 1)
    }

    /// Creates the object of a trial that has no folder yet. The caller sets its id.
    fn not_started(
        view: &'a JobView<'a>,
        task: Option<&'a TaskRef>,
        agent: Option<&'a AgentKey>,
        run_id: &'a str,
    ) -> Self {
        let variant = agent
            .map(|agent| view.figures.agent_names.variant(agent))
            .unwrap_or_default();
        Self {
            id: String::new(),
            name: None,
            run_id,
            task_slug: task.map(|task| task.slug.as_str()).unwrap_or_default(),
            agent_variant: variant.clone(),
            variant_name: variant,
            status: Status::Pending.as_str(),
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
                task_name: task.map(|task| task.path_or_name.as_str()),
                dataset: task.and_then(|task| task.source.as_deref()),
                agent: agent
                    .map(|agent| view.figures.agent_names.name(agent))
                    .unwrap_or_default(),
                model: agent.and_then(|agent| view.figures.agent_names.model(agent)),
                ..TrialHarbor::default()
            },
        }
    }
}

impl<'a> ResultData<'a> {
    fn from_view(trial: &'a TrialView<'a>, duration_seconds: Option<f64>) -> Self {
        let usage = trial.result.map(|r| r.usage).unwrap_or_default();
        let tests = trial.snapshot.files.test_counts;
        Self {
            reward: trial.state.reward.map(AnyNumber),
            rewards: to_map(&trial.state.rewards),
            tests_passed: tests.map(|(passed, _)| passed),
            tests_total: tests.map(|(_, total)| total),
            duration_seconds,
            prompt_tokens: usage.input_tokens,
            completion_tokens: usage.output_tokens,
            cached_tokens: usage.cache_tokens,
            cost_usd: usage.cost_usd.map(AnyNumber),
            error: trial.state.code.as_deref(),
            error_code: trial.state.code.as_deref(),
            error_message: trial.state.message.as_deref(),
        }
    }
}

impl<'a> StepObject<'a> {
    fn from_result(step: &'a StepResult) -> Self {
        let usage = step.usage;
        Self {
            name: &step.name,
            reward: main_reward(&step.rewards).map(AnyNumber),
            rewards: to_map(&step.rewards),
            phase_seconds: step.phases.iter().copied().collect(),
            prompt_tokens: usage.input_tokens,
            completion_tokens: usage.output_tokens,
            cached_tokens: usage.cache_tokens,
            cost_usd: usage.cost_usd.map(AnyNumber),
            error_code: step.exception.as_ref().map(|e| e.kind.as_str()),
            error_message: step.exception.as_ref().map(|e| e.message.as_str()),
        }
    }
}
