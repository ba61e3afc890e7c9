//! A job as it is published: its state, times, trials and counts, derived from its snapshot.

use std::collections::BTreeSet;

use crate::derive::agent_names::AgentNames;
use crate::derive::job_state::{JobState, derive_job_state};
use crate::derive::trial_counts::TrialCounts;
use crate::derive::trial_state::{JobActivity, TrialEvidence, TrialState, derive_trial_state};
use crate::derive::unstarted_trials::find_unstarted;
use crate::derive::waiting_retries::{WaitingRetry, find_waiting_retries};
use crate::disk::file_version::FileVersion;
use crate::format::job::PlannedTrial;
use crate::format::task::{AgentKey, TaskRef};
use crate::format::trial::TrialResult;
use crate::format::usage::Usage;
use crate::snapshot::artifact::{Artifact, ArtifactKind};
use crate::snapshot::job_snapshot::JobSnapshot;
use crate::snapshot::job_times::JobTimes;
use crate::snapshot::trial_snapshot::TrialSnapshot;
use crate::utc::Utc;

/// One job, derived from its snapshot.
#[derive(Debug)]
pub(crate) struct JobView<'a> {
    /// The snapshot.
    pub(crate) snapshot: &'a JobSnapshot,
    /// Its UUID, if it is known.
    pub(crate) uuid: Option<String>,
    /// Its state.
    pub(crate) state: JobState,
    /// Its times.
    pub(crate) times: JobTimes,
    /// Its trials, counted by their state.
    pub(crate) counts: TrialCounts,
    /// Trials that have a folder, oldest first.
    pub(crate) trials: Vec<TrialView<'a>>,
    /// Trials that did not start, with their index in the plan.
    pub(crate) unstarted: Vec<(usize, &'a PlannedTrial)>,
    /// Trials whose attempt was discarded and that will be retried under the same name.
    pub(crate) retrying: Vec<WaitingRetry<'a>>,
    /// The names of the agents in this job.
    pub(crate) agent_names: AgentNames,
    /// Artifacts of the job itself.
    pub(crate) artifacts: Vec<Artifact>,
}

/// A trial that has a folder.
#[derive(Debug)]
pub(crate) struct TrialView<'a> {
    /// The snapshot.
    pub(crate) snapshot: &'a TrialSnapshot,
    /// Its result, from its own file or from an old job's result.
    pub(crate) result: Option<&'a TrialResult>,
    /// Its state.
    pub(crate) state: TrialState,
    /// When it started.
    pub(crate) started: Option<Utc>,
    /// Its agent as configured.
    pub(crate) agent: AgentKey,
}

/// Derives a job from its snapshot.
pub(crate) fn derive_job_view(snapshot: &JobSnapshot) -> JobView<'_> {
    let times = snapshot.times();
    let activity = if snapshot.is_finished() {
        JobActivity::Finished
    } else if snapshot.liveness.is_alive() {
        JobActivity::Running
    } else {
        JobActivity::Dead
    };
    let trust_file_times = !snapshot.is_copy(times.updated);
    let mut trials: Vec<TrialView<'_>> = snapshot
        .trials
        .values()
        .map(|trial| trial_view(snapshot, trial, activity, trust_file_times))
        .collect();
    trials.sort_by(|a, b| (a.started, &a.snapshot.name).cmp(&(b.started, &b.snapshot.name)));
    let mut unstarted = unstarted_trials(snapshot, &trials);
    let retrying = find_waiting_retries(snapshot, activity, &mut unstarted);
    let lock_plan = snapshot
        .lock
        .content()
        .map_or(0, |lock| lock.plan.len() as u64);
    let stated = snapshot
        .result
        .content()
        .and_then(|r| r.counts.n_total_trials);
    let planned = lock_plan.max(stated.unwrap_or(0).min(MAX_TRIALS));
    let counts = TrialCounts::from_states(trials.iter().map(|t| &t.state))
        .with_planned(planned)
        .with_retries(retrying.len());
    JobView {
        uuid: snapshot.uuid(),
        state: derive_job_state(
            snapshot.result.content(),
            snapshot.result.state(),
            &counts,
            snapshot.liveness,
        )
        .with_sent_signal(snapshot.sent_signal, &counts),
        times,
        counts,
        agent_names: AgentNames::from_results(trials.iter().filter_map(|t| t.result)),
        artifacts: job_artifacts(snapshot, activity != JobActivity::Running),
        trials,
        unstarted,
        retrying,
        snapshot,
    }
}

/// Lists the artifacts of the job itself: its log and its result.
fn job_artifacts(snapshot: &JobSnapshot, ended: bool) -> Vec<Artifact> {
    let log = snapshot
        .log
        .map(|version| (ArtifactKind::Logs, snapshot.log_path(), version));
    let result = snapshot.result.version();
    let result = result.map(|version| {
        (
            ArtifactKind::Result,
            snapshot.dir.join("result.json"),
            version,
        )
    });
    let file = |(kind, path, version): (ArtifactKind, _, FileVersion)| Artifact {
        kind,
        path,
        // A running job writes to both all the time.
        size_bytes: ended.then(|| version.size_bytes()),
    };
    log.into_iter().chain(result).map(file).collect()
}

/// A larger total is not plausible as a number of trials.
const MAX_TRIALS: u64 = 100_000;

fn trial_view<'a>(
    job: &'a JobSnapshot,
    snapshot: &'a TrialSnapshot,
    activity: JobActivity,
    trust_file_times: bool,
) -> TrialView<'a> {
    let job_result = job.result.content();
    let embedded = job_result.and_then(|r| r.embedded.get(&snapshot.name));
    let result = snapshot.result.content().or(embedded);
    let state = derive_trial_state(
        TrialEvidence {
            result,
            result_state: snapshot.result.state(),
            configured: snapshot.configured_at.is_some(),
            files: &snapshot.files,
            outcome: job_result.and_then(|r| r.outcomes.get(&snapshot.name)),
        },
        activity,
    );
    let from_file_time = || snapshot.configured_at.filter(|_| trust_file_times);
    TrialView {
        started: result.map_or_else(from_file_time, |r| r.started),
        agent: snapshot
            .config()
            .map(|c| c.agent.clone())
            .unwrap_or_default(),
        snapshot,
        result,
        state,
    }
}

fn unstarted_trials<'a>(
    snapshot: &'a JobSnapshot,
    trials: &[TrialView<'_>],
) -> Vec<(usize, &'a PlannedTrial)> {
    let Some(lock) = snapshot.lock.content() else {
        return Vec::new();
    };
    let unknown = TaskRef::default();
    let started = trials.iter().map(|trial| {
        let task = trial
            .snapshot
            .config()
            .map_or(&unknown, |config| &config.task);
        (task, &trial.agent)
    });
    find_unstarted(&lock.plan, started)
        .into_iter()
        .filter_map(|index| Some((index, lock.plan.get(index)?)))
        .collect()
}

impl JobView<'_> {
    /// Returns tokens and cost: Harbor's sums, else ours.
    pub(crate) fn usage(&self) -> Usage {
        let own = self
            .trials
            .iter()
            .filter_map(|t| t.result)
            .fold(Usage::default(), |sum, result| sum.plus(result.usage));
        let Some(result) = self.snapshot.result.content() else {
            return own;
        };
        Usage {
            input_tokens: result.input_tokens.or(own.input_tokens),
            cache_tokens: result.cache_tokens.or(own.cache_tokens),
            output_tokens: result.output_tokens.or(own.output_tokens),
            cost_usd: result.cost_usd.or(own.cost_usd),
        }
    }

    /// Returns the plan of all trials without a folder, including those that wait for a retry.
    pub(crate) fn trials_without_folder(&self) -> impl Iterator<Item = &'_ PlannedTrial> {
        let retrying = self.retrying.iter().filter_map(|trial| trial.planned);
        retrying.chain(self.unstarted.iter().map(|(_, planned)| *planned))
    }

    /// Returns all agents, including those of trials to come.
    pub(crate) fn agents(&self) -> BTreeSet<&AgentKey> {
        let started = self
            .trials
            .iter()
            .filter(|t| t.snapshot.config().is_some())
            .map(|t| &t.agent);
        started
            .chain(self.trials_without_folder().map(|planned| &planned.agent))
            .collect()
    }

    /// Returns all tasks, including those of trials to come.
    pub(crate) fn tasks(&self) -> BTreeSet<&str> {
        let started = self.trials.iter().filter_map(|t| t.snapshot.config());
        let to_come = self
            .trials_without_folder()
            .map(|planned| planned.task.path_or_name.as_str());
        started
            .map(|config| config.task.path_or_name.as_str())
            .chain(to_come)
            .collect()
    }
}
