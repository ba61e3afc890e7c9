//! A job as it is published: its state, times, trials and counts, derived from its snapshot.

use std::borrow::Cow;
use std::path::PathBuf;

use crate::derive::job_figures::{JobFigures, JobTrials};
use crate::derive::job_state::{JobState, derive_job_state};
use crate::derive::reward_rules::{RewardRules, is_valid};
use crate::derive::trial_counts::TrialCounts;
use crate::derive::trial_state::JobActivity;
use crate::derive::trial_table::TrialTable;
use crate::derive::trial_view::{JobContext, TrialView};
use crate::derive::waiting_retries::{WaitingRetry, find_waiting_retries};
use crate::disk::cached_file::FileState;
use crate::disk::file_uri::file_uri;
use crate::disk::file_version::FileVersion;
use crate::format::job::PlannedTrial;
use crate::format::usage::Usage;
use crate::snapshot::artifact::{Artifact, ArtifactKind};
use crate::snapshot::job_snapshot::JobSnapshot;
use crate::snapshot::job_times::JobTimes;
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
    /// What its trials add up to.
    pub(crate) figures: JobFigures,
    /// Trials that did not start, with their index in the plan.
    pub(crate) unstarted: Vec<(usize, &'a PlannedTrial)>,
    /// Trials whose attempt was discarded and that will be retried under the same name.
    pub(crate) retrying: Vec<WaitingRetry<'a>>,
    /// Artifacts of the job itself.
    pub(crate) artifacts: Vec<Artifact>,
    /// What is odd about its files, for people.
    pub(crate) notes: Vec<String>,
    /// Whether trials ended of which not even the name is known.
    pub(crate) has_ended_without_name: bool,
    /// What its trials depend on besides their own files.
    pub(crate) context: JobContext,
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

/// Derives a job from its snapshot. The table holds what is known of its trials; an empty one will do.
pub(crate) fn derive_job_view<'a>(
    snapshot: &'a JobSnapshot,
    table: &mut TrialTable,
) -> JobView<'a> {
    let times = snapshot.times();
    let activity = if snapshot.is_finished() {
        JobActivity::Finished
    } else if snapshot.liveness.is_alive() {
        JobActivity::Running
    } else {
        JobActivity::Dead
    };
    let context = JobContext {
        activity,
        trust_file_times: !snapshot.is_copy(&times),
        ahead_us: times.ahead_us,
        rules: reward_rules(snapshot),
    };
    table.update(snapshot, context);
    let plan = snapshot.lock.content().map(|lock| lock.plan.as_slice());
    let plan = plan.unwrap_or_default();
    let unstarted = table.unstarted().into_iter();
    let mut unstarted = unstarted
        .filter_map(|index| Some((index, plan.get(index)?)))
        .collect();
    let retrying = find_waiting_retries(snapshot, activity, &mut unstarted);
    let facts = table.facts();
    let planned_facts = |(index, _): (usize, &PlannedTrial)| table.plan().get(index).copied();
    let retrying_facts = retrying.iter().filter_map(|retry| retry.planned);
    let figures = JobFigures::of(&JobTrials {
        terms: table.terms(),
        started: &facts,
        retrying: &retrying_facts.filter_map(planned_facts).collect::<Vec<_>>(),
        unstarted: &unstarted
            .iter()
            .copied()
            .filter_map(planned_facts)
            .collect::<Vec<_>>(),
        rules: context.rules,
    });
    let stated = snapshot
        .result
        .content()
        .and_then(|r| r.counts.n_total_trials);
    let planned = (plan.len() as u64).max(stated.unwrap_or(0).min(MAX_TRIALS));
    let named = TrialCounts::from_kinds(facts.iter().map(|trial| trial.kind));
    let counts = count_trials(snapshot, named, planned, activity).with_retries(retrying.len());
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
        artifacts: job_artifacts(snapshot, activity != JobActivity::Running),
        notes: describe_oddities(snapshot, &times, named.ended, &counts),
        has_ended_without_name: counts.ended > named.ended,
        context,
        location: snapshot.dir.to_string_lossy(),
        uri: file_uri(&snapshot.dir),
        created: None,
        served: None,
        figures,
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

fn reward_rules(snapshot: &JobSnapshot) -> RewardRules {
    let lock = snapshot.lock.content();
    let version = lock.and_then(|lock| lock.harbor_version.as_deref());
    RewardRules::of_release(version, || snapshot.trials.state_validity())
}

fn count_trials(
    snapshot: &JobSnapshot,
    counts: TrialCounts,
    planned: u64,
    activity: JobActivity,
) -> TrialCounts {
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

/// Says for people what is odd about a job's files.
fn describe_oddities(
    snapshot: &JobSnapshot,
    times: &JobTimes,
    ended_with_name: u64,
    counts: &TrialCounts,
) -> Vec<String> {
    let mut notes = Vec::new();
    let absent = snapshot.absent_trials.len() as u64 + counts.ended - ended_with_name;
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
    let of_trials = snapshot.trials.lfs_pointers();
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

impl JobView<'_> {
    /// Returns tokens and cost: Harbor's sums, else ours.
    pub(crate) fn usage(&self) -> Usage {
        let own = self.figures.usage;
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

    /// Returns what a trial counts in the mean reward: nothing if it does not count, and 0 if it has no reward but
    /// does.
    pub(crate) fn counted_reward(&self, trial: &TrialView<'_>) -> Option<f64> {
        let rules = self.context.rules;
        let result = trial.result?;
        rules.counted_reward(&result.rewards, is_valid(rules, result))
    }
}
