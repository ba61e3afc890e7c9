//! A job as it is published: its state, times, trials and counts, derived from its snapshot.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::derive::agent_names::AgentNames;
use crate::derive::job_state::{JobState, derive_job_state};
use crate::derive::reward_rules::{RewardRules, is_valid, rules_of_job};
use crate::derive::trial_counts::TrialCounts;
use crate::derive::trial_state::{JobActivity, TrialEvidence, TrialState, derive_trial_state};
use crate::derive::unstarted_trials::find_unstarted;
use crate::derive::waiting_retries::{WaitingRetry, find_waiting_retries};
use crate::disk::cached_file::FileState;
use crate::disk::file_uri::file_uri;
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
    /// What is odd about its files, for people.
    pub(crate) notes: Vec<String>,
    /// Whether trials ended of which not even the name is known.
    pub(crate) has_ended_without_name: bool,
    /// Which rewards and exceptions count.
    pub(crate) rules: RewardRules,
    /// Where it is, for people: the path of its folder, or its address at a server.
    pub(crate) location: Cow<'a, str>,
    /// The same as URI.
    pub(crate) uri: String,
    /// When it was created, if that is not when it started.
    pub(crate) created: Option<Utc>,
    /// What is said of a job of a server besides.
    pub(crate) served: Option<ServedMark>,
}

/// How much of a job of a server its objects say.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct ServedMark {
    /// Whether everything.
    pub(crate) complete: bool,
    /// The version of the mapping by which they were built.
    pub(crate) mapping: u32,
}

/// What only a server knows of a trial: it keeps every attempt.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(crate) struct ServedAttempts {
    /// A finer state than the status.
    pub(crate) state: &'static str,
    /// Whether it says all that the server has on the attempt.
    #[serde(rename = "complete")]
    pub(crate) is_complete: bool,
    /// The number of the shown attempt, from 1.
    pub(crate) attempt: usize,
    /// The ids of all attempts, newest first.
    pub(crate) attempts: Vec<String>,
    /// The model as the agent reported it, without its provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reported_model: Option<String>,
    /// What the shown attempt has used so far, while it runs and somebody asked the server for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) usage_so_far: Option<UsageSoFar>,
}

/// Tokens and cost of an attempt that has not ended; absent where unknown.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub(crate) struct UsageSoFar {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prompt_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) completion_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cached_tokens: Option<u64>,
    /// In US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cost_usd: Option<f64>,
}

impl ServedAttempts {
    /// Returns the id of the newest attempt, which is the one that is shown.
    pub(crate) fn current(&self) -> Option<&str> {
        self.attempts.first().map(String::as_str)
    }
}

/// A trial that has a folder, or that a server lists.
#[derive(Debug)]
pub(crate) struct TrialView<'a> {
    /// Its id: its name, or that of its first attempt at a server.
    pub(crate) id: &'a str,
    /// When it was created, if that is known.
    pub(crate) created: Option<Utc>,
    /// What only a server knows of it.
    pub(crate) served: Option<&'a ServedAttempts>,
    /// The snapshot.
    pub(crate) snapshot: &'a TrialSnapshot,
    /// Its result, from its own file or from an old job's result.
    pub(crate) result: Option<&'a TrialResult>,
    /// Its state.
    pub(crate) state: TrialState,
    /// When it started.
    pub(crate) started: Option<Utc>,
    /// When it ended.
    pub(crate) finished: Option<Utc>,
    /// Its agent as configured.
    pub(crate) agent: &'a AgentKey,
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
    let job = JobEvidence {
        snapshot,
        activity,
        trust_file_times: !snapshot.is_copy(&times),
        ahead_us: times.ahead_us,
        rules: reward_rules(snapshot),
    };
    let all = snapshot.trials.values();
    let all = all.chain(snapshot.absent_trials.values());
    let mut trials: Vec<TrialView<'_>> = all.map(|trial| trial_view(&job, trial)).collect();
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
    let counts = count_trials(snapshot, &trials, planned, activity).with_retries(retrying.len());
    JobView {
        uuid: snapshot.uuid(),
        state: derive_job_state(
            snapshot
                .result
                .content()
                .filter(|result| result.finished.is_some() || !snapshot.is_merged()),
            snapshot.result.state(),
            &counts,
            snapshot.liveness,
        )
        .with_sent_signal(snapshot.sent_signal, &counts),
        times,
        counts,
        agent_names: AgentNames::from_results(trials.iter().filter_map(|t| t.result)),
        artifacts: job_artifacts(snapshot, activity != JobActivity::Running),
        notes: describe_oddities(snapshot, &times, &trials, &counts),
        has_ended_without_name: counts.ended > ended_with_name(&trials),
        rules: job.rules,
        location: snapshot.dir.to_string_lossy(),
        uri: file_uri(&snapshot.dir),
        created: None,
        served: None,
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
        .map(|version| (ArtifactKind::Logs, PathBuf::from("job.log"), version));
    let result = snapshot.result.version();
    let result =
        result.map(|version| (ArtifactKind::Result, PathBuf::from("result.json"), version));
    let file = |(kind, path, version): (ArtifactKind, _, FileVersion)| Artifact {
        kind,
        path,
        address: None,
        // A running job writes to both all the time.
        size_bytes: ended.then(|| version.size_bytes()),
    };
    log.into_iter().chain(result).map(file).collect()
}

/// A larger total is not plausible as a number of trials.
const MAX_TRIALS: u64 = 100_000;

/// What the state of a trial depends on besides the trial.
struct JobEvidence<'a> {
    snapshot: &'a JobSnapshot,
    activity: JobActivity,
    trust_file_times: bool,
    /// Microseconds that local time was ahead of UTC.
    ahead_us: i64,
    rules: RewardRules,
}

fn reward_rules(snapshot: &JobSnapshot) -> RewardRules {
    let lock = snapshot.lock.content();
    let version = lock.and_then(|lock| lock.harbor_version.as_deref());
    let results = snapshot.trials.values();
    rules_of_job(version, results.filter_map(|trial| trial.result.content()))
}

fn count_trials(
    snapshot: &JobSnapshot,
    trials: &[TrialView<'_>],
    planned: u64,
    activity: JobActivity,
) -> TrialCounts {
    let counts = TrialCounts::from_states(trials.iter().map(|t| &t.state));
    let has_folders = !snapshot.trials.is_empty();
    let harbor = snapshot.result.content().map(|result| result.counts);
    let harbor = harbor.filter(|_| !has_folders && activity != JobActivity::Running);
    let ended = match activity {
        // Harbor writes the end of a job only after those of all trials.
        JobActivity::Finished => u64::MAX,
        _ => harbor
            .and_then(|harbor| harbor.n_completed_trials)
            .map_or(0, |completed| completed.saturating_sub(counts.ended)),
    };
    let counts = counts.with_planned(planned, ended);
    match harbor {
        Some(harbor) => counts.at_least(&harbor),
        None => counts,
    }
}

fn ended_with_name(trials: &[TrialView<'_>]) -> u64 {
    let ended = trials.iter().filter(|trial| trial.state.has_ended());
    ended.count() as u64
}

/// Says for people what is odd about a job's files.
fn describe_oddities(
    snapshot: &JobSnapshot,
    times: &JobTimes,
    trials: &[TrialView<'_>],
    counts: &TrialCounts,
) -> Vec<String> {
    let mut notes = Vec::new();
    let absent = snapshot.absent_trials.len() as u64 + counts.ended - ended_with_name(trials);
    if absent > 0 {
        let whose = match absent {
            1 => "the folder of 1 trial that ended is".to_owned(),
            n => format!("the folders of {n} trials that ended are"),
        };
        notes.push(format!(
            "{whose} not here; what is shown of them is from the job's result.json"
        ));
    }
    let own = [
        ("result.json", snapshot.result.state()),
        ("config.json", snapshot.config.state()),
        ("lock.json", snapshot.lock.state()),
    ];
    let pointers = own
        .iter()
        .filter(|(_, state)| *state == FileState::LfsPointer);
    let names: Vec<&str> = pointers.map(|(name, _)| *name).collect();
    let of_trials = snapshot.trials.values().filter(|t| t.has_lfs_pointer());
    let of_trials = of_trials.count();
    let mut files = Vec::new();
    if !names.is_empty() {
        files.push(names.join(", "));
    }
    if of_trials > 0 {
        files.push(format!("files of {of_trials} of its trials"));
    }
    if !files.is_empty() {
        notes.push(format!(
            "Git LFS pointers instead of files: {}; `git lfs pull` fetches them",
            files.join(" and ")
        ));
    }
    if times.is_zone_assumed {
        notes.push(
            "nothing says which time zone the times in its files are in, so UTC is assumed"
                .to_owned(),
        );
    }
    notes
}

fn trial_view<'a>(job: &JobEvidence<'a>, snapshot: &'a TrialSnapshot) -> TrialView<'a> {
    let job_result = job.snapshot.result.content();
    let embedded = job_result.and_then(|r| r.embedded.get(&snapshot.name));
    let result = snapshot.result.content().or(embedded);
    let state = derive_trial_state(
        TrialEvidence {
            result,
            result_state: snapshot.result.state(),
            configured: snapshot.configured_at.is_some(),
            files: &snapshot.files,
            outcome: job_result.and_then(|r| r.outcomes.get(&snapshot.name)),
            rules: job.rules,
        },
        job.activity,
    );
    let from_file_time = || snapshot.configured_at.filter(|_| job.trust_file_times);
    let in_utc = |time: Option<Utc>, result: &TrialResult| {
        let ahead_us = if result.has_local_times {
            job.ahead_us
        } else {
            0
        };
        time.map(|time| Utc(time.0.saturating_sub(ahead_us)))
    };
    TrialView {
        id: &snapshot.name,
        created: None,
        served: None,
        started: result.map_or_else(from_file_time, |r| in_utc(r.started, r)),
        finished: result.and_then(|r| in_utc(r.finished, r)),
        agent: configured_agent(snapshot),
        snapshot,
        result,
        state,
    }
}

/// Returns the agent of a trial as configured.
pub(crate) fn configured_agent(snapshot: &TrialSnapshot) -> &AgentKey {
    static UNKNOWN: AgentKey = AgentKey {
        name: String::new(),
        model: None,
    };
    snapshot.config().map_or(&UNKNOWN, |config| &config.agent)
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
        (task, trial.agent)
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

    /// Returns of how many trials something is known of their usage; `None` where only Harbor's sums are here.
    pub(crate) fn known_usages(&self, is_known: impl Fn(&Usage) -> bool) -> Option<u64> {
        let mut results = self.trials.iter().filter_map(|t| t.result).peekable();
        results.peek()?;
        Some(results.filter(|result| is_known(&result.usage)).count() as u64)
    }

    /// Returns what a trial counts in the mean reward: nothing if it does not count, and 0 if it has no reward but
    /// does.
    pub(crate) fn counted_reward(&self, trial: &TrialView<'_>) -> Option<f64> {
        let result = trial.result?;
        self.rules
            .counted_reward(&result.rewards, is_valid(self.rules, result))
    }

    /// Returns input tokens with cached ones: some agents report these beside their input.
    pub(crate) fn all_input_tokens(&self) -> Option<u64> {
        let results = self.trials.iter().filter_map(|t| t.result);
        let each = results.filter_map(|result| result.usage.all_input_tokens());
        each.reduce(u64::saturating_add)
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
            .map(|t| t.agent);
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
