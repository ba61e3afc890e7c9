//! A job of a server as run, evaluation run and trials.

use std::borrow::Cow;
use std::path::PathBuf;

use docks_proto::object::RawObject;
use docks_proto::time::UnixMs;

use super::result::KnownNames;
use super::state::{job_state, trial_state};
use super::{MAPPING, ServedAttempt, ServedState};
use crate::derive::job_figures::{JobFigures, JobTrials};
use crate::derive::job_view::{JobView, ServedMark};
use crate::derive::reward_rules::RewardRules;
use crate::derive::trial_counts::TrialCounts;
use crate::derive::trial_facts::{Terms, TrialFacts};
use crate::derive::trial_state::{JobActivity, Status, TrialState};
use crate::derive::trial_view::{
    JobContext, ServedAttempts, TrialView, UsageSoFar, configured_agent,
};
use crate::disk::cached_file::CachedFile;
use crate::format::job::{HarborCounters, JobConfig, JobResult};
use crate::format::trial::TrialResult;
use crate::objects::{EvaluationObject, HarborDetails, RunObject, TrialObject};
use crate::snapshot::artifact::Artifact;
use crate::snapshot::job_snapshot::JobSnapshot;
use crate::snapshot::job_times::JobTimes;
use crate::snapshot::trial_files::TrialFiles;
use crate::snapshot::trial_snapshot::TrialSnapshot;
use crate::utc::Utc;

/// A job as the server has it. Times are in microseconds since 1970.
#[derive(Debug, Clone)]
pub struct ServedJob<'a> {
    /// Its UUID.
    pub id: &'a str,
    /// Its name, which other jobs can have, too.
    pub name: &'a str,
    /// Its address at the server.
    pub url: &'a str,
    /// Its state.
    pub state: ServedState,
    /// Its configuration, as JSON.
    pub config: &'a str,
    /// When it was submitted.
    pub created_us: Option<i64>,
    /// When its first trial started.
    pub started_us: Option<i64>,
    /// When the server last changed it.
    pub updated_us: Option<i64>,
    /// When it ended.
    pub finished_us: Option<i64>,
}

/// The trials of a job.
#[derive(Debug, Clone)]
pub enum ServedTrials<'a> {
    /// All of them: the attempts of each, newest first and at least one.
    Known(Vec<Vec<&'a ServedAttempt>>),
    /// Not read yet; only how many there are of each kind.
    Counted(&'a [ServedCount]),
}

/// How many trials have the same state and outcome, by their newest attempt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ServedCount {
    /// Their state.
    pub state: ServedState,
    /// Whether they are retries.
    pub is_retry: bool,
    /// Whether they have an exception.
    pub has_error: bool,
    /// Whether they have a reward; of several, whether one is called `reward`.
    pub has_reward: bool,
    /// Whether that is 1.
    pub is_solved: bool,
    /// How many there are.
    pub count: u64,
}

/// Returns a job as run and as evaluation run.
///
/// # Errors
///
/// When an object cannot be serialised.
pub fn job_objects(
    job: &ServedJob<'_>,
    trials: &ServedTrials<'_>,
) -> Result<[RawObject; 2], serde_json::Error> {
    let read = read_trials(job, trials, &|_| Vec::new());
    let snapshot = job_snapshot(job, &read);
    let view = job_view(job, &snapshot, &read, &trial_views(&read));
    let note = matches!(trials, ServedTrials::Counted(_))
        .then_some("its trials are still being read from the server");
    let harbor = HarborDetails::from_view(&view, note);
    Ok([
        RawObject::from_serialize(&RunObject::from_view(&view, job.id, &harbor))?,
        RawObject::from_serialize(&EvaluationObject::from_view(&view, job.id, &harbor))?,
    ])
}

/// Returns the trials of a job, oldest first; `download` turns the address of a file into that of the server's
/// route for it.
///
/// # Errors
///
/// When an object cannot be serialised.
pub fn trial_objects(
    job: &ServedJob<'_>,
    trials: &ServedTrials<'_>,
    download: &dyn Fn(&str) -> String,
) -> Result<Vec<RawObject>, serde_json::Error> {
    let list = |read: &ReadTrial<'_>| {
        let steps: Vec<&str> = read
            .result
            .iter()
            .flat_map(|r| &r.steps)
            .map(|s| &*s.name)
            .collect();
        read.attempt
            .artifacts
            .list(&steps, &read.attempt.agent, download)
    };
    let read = read_trials(job, trials, &list);
    let snapshot = job_snapshot(job, &read);
    let trials = trial_views(&read);
    let view = job_view(job, &snapshot, &read, &trials);
    let objects = trials
        .iter()
        .map(|trial| RawObject::from_serialize(&TrialObject::from_view(&view, trial, job.id)));
    objects.collect()
}

/// One trial by its newest attempt.
struct ReadTrial<'a> {
    attempt: &'a ServedAttempt,
    snapshot: TrialSnapshot,
    result: Option<TrialResult>,
    state: TrialState,
    served: ServedAttempts,
}

struct ReadTrials<'a> {
    trials: Vec<ReadTrial<'a>>,
    /// The states of all trials, also of those that are only counted.
    states: Vec<TrialState>,
    attempts: usize,
    /// Whether the results of all that ended are there.
    is_complete: bool,
}

fn read_trials<'a>(
    job: &ServedJob<'_>,
    trials: &ServedTrials<'a>,
    artifacts: &dyn Fn(&ReadTrial<'a>) -> Vec<Artifact>,
) -> ReadTrials<'a> {
    let chains = match trials {
        ServedTrials::Known(chains) => chains,
        ServedTrials::Counted(counts) => {
            let states: Vec<TrialState> = counts.iter().flat_map(counted_states).collect();
            return ReadTrials {
                trials: Vec::new(),
                attempts: states.len(),
                is_complete: false,
                states,
            };
        }
    };
    let names = KnownNames::new(chains.iter().flatten().copied());
    let read = |chain: &Vec<&'a ServedAttempt>| {
        let attempt = *chain.first()?;
        let result = attempt.state.has_ended().then(|| names.result(attempt));
        let (state, word) = trial_state(attempt, chain.len() > 1, result.as_ref());
        let reported_model = result.as_ref().and_then(|r| r.agent_model_name.clone());
        let config = names.config(attempt);
        let mut trial = ReadTrial {
            attempt,
            snapshot: TrialSnapshot::served(&attempt.name, config),
            result,
            state,
            served: ServedAttempts {
                state: word,
                attempt: chain.len(),
                is_complete: attempt.result.is_some(),
                attempts: chain.iter().map(|attempt| attempt.id.to_string()).collect(),
                reported_model,
                usage_so_far: usage_so_far(attempt),
            },
        };
        trial.snapshot.files = TrialFiles {
            artifacts: artifacts(&trial),
            ..TrialFiles::default()
        };
        Some(trial)
    };
    let mut trials: Vec<ReadTrial<'a>> = chains.iter().filter_map(read).collect();
    trials.sort_by(|a, b| {
        let key =
            |trial: &ReadTrial<'a>| (trial.attempt.started_us.is_none(), trial.attempt.started_us);
        key(a)
            .cmp(&key(b))
            .then_with(|| a.attempt.name.cmp(&b.attempt.name))
            .then_with(|| a.served.attempts.last().cmp(&b.served.attempts.last()))
    });
    debug_assert!(
        trials.iter().all(|trial| !trial.served.attempts.is_empty()),
        "{}",
        job.id
    );
    ReadTrials {
        states: trials.iter().map(|trial| trial.state.clone()).collect(),
        attempts: chains.iter().map(Vec::len).sum(),
        is_complete: trials
            .iter()
            .all(|trial| trial.served.is_complete || !trial.attempt.state.has_ended()),
        trials,
    }
}

/// Returns what an attempt that has not ended has used, if anything is known of it.
fn usage_so_far(attempt: &ServedAttempt) -> Option<UsageSoFar> {
    let usage = UsageSoFar {
        prompt_tokens: attempt.input_tokens,
        completion_tokens: attempt.output_tokens,
        cached_tokens: attempt.cache_tokens,
        cost_usd: attempt.cost_usd.filter(|cost| cost.is_finite()),
    };
    let tokens = usage.prompt_tokens.or(usage.completion_tokens);
    let is_known = tokens.is_some() || usage.cost_usd.is_some();
    (is_known && !attempt.state.has_ended()).then_some(usage)
}

/// Returns as many states as are counted.
fn counted_states(counted: &ServedCount) -> impl Iterator<Item = TrialState> + use<> {
    let status = match counted.state {
        ServedState::Queued | ServedState::Paused => Status::Pending,
        ServedState::Running | ServedState::Cancelling => Status::Running,
        ServedState::Cancelled => Status::Cancelled,
        ServedState::Finished if counted.has_error => Status::Error,
        ServedState::Finished if counted.is_solved => Status::Passed,
        ServedState::Finished if counted.has_reward => Status::Failed,
        ServedState::Finished => Status::Completed,
    };
    let phase = match counted.state {
        ServedState::Queued if counted.is_retry => Some("waiting_for_retry"),
        ServedState::Paused => Some("paused"),
        _ => None,
    };
    let has_ended = counted.state.has_ended();
    let state = TrialState {
        status,
        phase,
        is_valid: has_ended.then_some(counted.has_reward),
        is_solved: has_ended && counted.is_solved,
        ..TrialState::default()
    };
    let count = usize::try_from(counted.count).unwrap_or(usize::MAX);
    std::iter::repeat_n(state, count)
}

/// Puts together what the objects take from a job's folder.
fn job_snapshot(job: &ServedJob<'_>, read: &ReadTrials<'_>) -> JobSnapshot {
    let counts = TrialCounts::from_kinds(read.states.iter().map(TrialState::kind));
    let mut snapshot = JobSnapshot::new(PathBuf::new(), UnixMs(0));
    snapshot.name = job.name.to_owned();
    snapshot.config = CachedFile::from_content(JobConfig::parse(job.config).unwrap_or_default());
    let retries = read.attempts.saturating_sub(read.states.len());
    snapshot.result = CachedFile::from_content(JobResult {
        counts: HarborCounters {
            n_total_trials: Some(counts.total),
            n_completed_trials: Some(counts.ended),
            n_errored_trials: Some(counts.errored),
            n_running_trials: Some(counts.running),
            n_pending_trials: Some(counts.pending),
            n_cancelled_trials: Some(counts.cancelled),
            n_retries: Some(retries as u64),
        },
        ..JobResult::default()
    });
    snapshot
}

fn trial_views<'a>(read: &'a ReadTrials<'_>) -> Vec<TrialView<'a>> {
    let view = |trial: &'a ReadTrial<'_>| TrialView {
        id: trial.served.attempts.last().map_or("", String::as_str),
        created: trial.attempt.created_us.map(Utc),
        served: Some(&trial.served),
        snapshot: &trial.snapshot,
        result: trial.result.as_ref(),
        state: trial.state.clone(),
        started: trial.attempt.started_us.map(Utc),
        finished: trial.attempt.finished_us.map(Utc),
        agent: configured_agent(&trial.snapshot),
    };
    read.trials.iter().map(view).collect()
}

/// What the trials of a job of a server depend on: it says how they ended, and when.
const CONTEXT: JobContext = JobContext {
    activity: JobActivity::Running,
    trust_file_times: false,
    ahead_us: 0,
    rules: RewardRules::ValidOnly,
};

fn job_view<'a>(
    job: &ServedJob<'a>,
    snapshot: &'a JobSnapshot,
    read: &ReadTrials<'_>,
    trials: &[TrialView<'_>],
) -> JobView<'a> {
    let retrying = |state: &&TrialState| state.phase == Some("waiting_for_retry");
    let counts = TrialCounts::from_kinds(read.states.iter().map(TrialState::kind))
        .with_retries(read.states.iter().filter(retrying).count());
    let mut terms = Terms::default();
    let facts = trials.iter();
    let facts = facts.map(|trial| terms.trial_facts(trial, CONTEXT.rules));
    let facts: Vec<TrialFacts> = facts.collect();
    let figures = JobFigures::of(&JobTrials {
        terms: &terms,
        started: &facts.iter().collect::<Vec<_>>(),
        retrying: &[],
        unstarted: &[],
        rules: CONTEXT.rules,
    });
    JobView {
        uuid: Some(job.id.to_owned()),
        state: job_state(job.state, job.started_us.is_some(), &counts, &read.states),
        times: JobTimes {
            started: job.started_us.map(Utc),
            updated: job.updated_us.map(Utc),
            finished: job.finished_us.map(Utc),
            ..JobTimes::default()
        },
        counts,
        figures,
        artifacts: Vec::new(),
        notes: Vec::new(),
        has_ended_without_name: false,
        context: CONTEXT,
        location: Cow::Owned(job.url.to_owned()),
        uri: job.url.to_owned(),
        created: job.created_us.map(Utc),
        served: Some(ServedMark {
            complete: read.is_complete,
            mapping: MAPPING,
        }),
        unstarted: Vec::new(),
        retrying: Vec::new(),
        snapshot,
    }
}
