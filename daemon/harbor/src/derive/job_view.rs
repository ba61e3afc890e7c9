//! One job as it is told: its state, times, trials and counts, derived from what was seen.

use std::collections::{BTreeMap, BTreeSet};

use crate::derive::job_state::{self, JobState, Tally};
use crate::derive::trial_state::{self, Around, Seen, State};
use crate::derive::unstarted_trials;
use crate::derive::waiting_retries::{self, Retrying};
use crate::disk::cached_file::Stamp;
use crate::format::job::Planned;
use crate::format::times::{Clues, JobTimes, Utc};
use crate::format::trial::{AgentKey, TrialResult, Usage};
use crate::snapshot::job_snapshot::{JobSeen, TrialSeen};
use crate::snapshot::trial_artifacts::{Artifact, Kind};

/// One job, derived.
#[derive(Debug)]
pub(crate) struct JobView<'a> {
    /// What it rests on.
    pub(crate) seen: &'a JobSeen,
    /// UUID, from wherever it is known.
    pub(crate) uuid: Option<String>,
    /// Its state.
    pub(crate) state: JobState,
    /// Its times.
    pub(crate) times: JobTimes,
    /// Its trials by what became of them.
    pub(crate) tally: Tally,
    /// Trials that have a folder, oldest first.
    pub(crate) trials: Vec<TrialView<'a>>,
    /// Trials that did not start, with their place in the plan.
    pub(crate) unstarted: Vec<(usize, &'a Planned)>,
    /// Trials whose attempt was thrown away and that will be run again under the same name.
    pub(crate) retrying: Vec<Retrying<'a>>,
    /// How agents are called in this job.
    pub(crate) labels: Labels,
    /// Files of the job itself.
    pub(crate) files: Vec<Artifact>,
}

/// One trial that has a folder.
#[derive(Debug)]
pub(crate) struct TrialView<'a> {
    /// What it rests on.
    pub(crate) seen: &'a TrialSeen,
    /// Its result, from its own file or an old job's result.
    pub(crate) result: Option<&'a TrialResult>,
    /// Its state.
    pub(crate) state: State,
    /// When it started.
    pub(crate) started: Option<Utc>,
    /// Its agent as configured.
    pub(crate) agent: AgentKey,
}

/// Names that agents reported, by their configuration.
#[derive(Debug, Default)]
pub(crate) struct Labels(BTreeMap<AgentKey, (Option<String>, Option<String>)>);

impl Labels {
    fn of<'a>(results: impl Iterator<Item = &'a TrialResult>) -> Self {
        let mut labels = BTreeMap::new();
        for result in results {
            let (name, model): &mut (Option<String>, Option<String>) =
                labels.entry(result.config.agent.clone()).or_default();
            *name = name.take().or_else(|| result.agent_name.clone());
            *model = model.take().or_else(|| result.agent_model.clone());
        }
        Self(labels)
    }

    /// Returns an agent's name: as it reported itself in this job, else as configured.
    pub(crate) fn name(&self, agent: &AgentKey) -> String {
        let known = self.0.get(agent).and_then(|(name, _)| name.clone());
        known.unwrap_or_else(|| agent.name.clone())
    }

    /// Returns an agent's model.
    pub(crate) fn model(&self, agent: &AgentKey) -> Option<String> {
        let known = || self.0.get(agent).and_then(|(_, model)| model.clone());
        agent.model.clone().or_else(known)
    }

    /// Returns the variant: name, and model in brackets if there is one.
    pub(crate) fn variant(&self, agent: &AgentKey) -> String {
        let name = self.name(agent);
        match self.model(agent) {
            Some(model) => format!("{name} ({model})"),
            None => name,
        }
    }
}

/// Works out a job's times.
pub(crate) fn times(job: &JobSeen) -> JobTimes {
    let result = job.result.get();
    let trials = || job.trials.values().filter_map(|t| t.result.get());
    let embedded = || result.into_iter().flat_map(|r| r.embedded.values());
    let modified = job
        .result
        .stamp()
        .or(job.log)
        .or(job.config.stamp())
        .map(|stamp| stamp.modified());
    Clues {
        started: result.and_then(|r| r.started),
        updated: result.and_then(|r| r.updated),
        finished: result.and_then(|r| r.finished),
        lock_created: job.lock.get().and_then(|lock| lock.created),
        first_trial: trials().chain(embedded()).filter_map(|t| t.started).min(),
        last_trial: trials().chain(embedded()).filter_map(|t| t.finished).max(),
        modified,
    }
    .solve()
}

/// Derives a job.
pub(crate) fn derive(seen: &JobSeen) -> JobView<'_> {
    let times = times(seen);
    let around = if seen.finished() {
        Around::Finished
    } else if seen.life.alive() {
        Around::Alive
    } else {
        Around::Dead
    };
    let trust_file_times = !seen.copied(times.updated);
    let mut trials: Vec<TrialView<'_>> = seen
        .trials
        .values()
        .map(|trial| trial_view(seen, trial, around, trust_file_times))
        .collect();
    trials.sort_by(|a, b| (a.started, &a.seen.name).cmp(&(b.started, &b.seen.name)));
    let mut unstarted = unstarted(seen, &trials);
    let retrying = waiting_retries::waiting(seen, around, &mut unstarted);
    let lock_plan = seen.lock.get().map_or(0, |lock| lock.plan.len() as u64);
    let stated = seen.result.get().and_then(|r| r.counts.n_total_trials);
    let planned = lock_plan.max(stated.unwrap_or(0).min(MOST_TRIALS));
    let tally = Tally::of(trials.iter().map(|t| &t.state))
        .up_to(planned)
        .with_retries(retrying.len());
    JobView {
        uuid: uuid(seen),
        state: job_state::derive(seen.result.get(), seen.result.standing(), &tally, seen.life)
            .asked(seen.asked_to_stop, &tally),
        times,
        tally,
        labels: Labels::of(trials.iter().filter_map(|t| t.result)),
        files: files(seen, around != Around::Alive),
        trials,
        unstarted,
        retrying,
        seen,
    }
}

/// Lists the files of the job itself: its log, and its result.
fn files(seen: &JobSeen, ended: bool) -> Vec<Artifact> {
    let log = seen.log.map(|stamp| (Kind::Logs, seen.log_path(), stamp));
    let result = seen.result.stamp();
    let result = result.map(|stamp| (Kind::Result, seen.dir.join("result.json"), stamp));
    let file = |(kind, path, stamp): (Kind, _, Stamp)| Artifact {
        kind,
        path,
        // A job that goes on writes both all the time.
        size_bytes: ended.then(|| stamp.size_bytes()),
    };
    log.into_iter().chain(result).map(file).collect()
}

/// A total beyond this is no count of trials.
const MOST_TRIALS: u64 = 100_000;

fn trial_view<'a>(
    job: &'a JobSeen,
    seen: &'a TrialSeen,
    around: Around,
    trust_file_times: bool,
) -> TrialView<'a> {
    let job_result = job.result.get();
    let embedded = job_result.and_then(|r| r.embedded.get(&seen.name));
    let result = seen.result.get().or(embedded);
    let state = trial_state::derive(
        Seen {
            result,
            standing: seen.result.standing(),
            configured: seen.configured.is_some(),
            files: &seen.files,
            outcome: job_result.and_then(|r| r.outcomes.get(&seen.name)),
        },
        around,
    );
    let by_file = || seen.configured.filter(|_| trust_file_times);
    TrialView {
        started: result.map_or_else(by_file, |r| r.started),
        agent: seen.setup().map(|c| c.agent.clone()).unwrap_or_default(),
        seen,
        result,
        state,
    }
}

fn unstarted<'a>(seen: &'a JobSeen, trials: &[TrialView<'_>]) -> Vec<(usize, &'a Planned)> {
    let Some(lock) = seen.lock.get() else {
        return Vec::new();
    };
    let nowhere = crate::format::trial::TaskRef::default();
    let started = trials.iter().map(|trial| {
        let task = trial.seen.setup().map_or(&nowhere, |config| &config.task);
        (task, &trial.agent)
    });
    unstarted_trials::unstarted(&lock.plan, started)
        .into_iter()
        .filter_map(|place| Some((place, lock.plan.get(place)?)))
        .collect()
}

/// Returns the job's UUID, from wherever it is known.
pub(crate) fn uuid(seen: &JobSeen) -> Option<String> {
    let stated = seen.result.get().and_then(|r| r.id.clone());
    stated.or_else(|| {
        seen.trials
            .values()
            .find_map(|trial| trial.setup()?.job_id.clone())
    })
}

/// Tells whether the folder still has the name that the job was started under.
pub(crate) fn in_own_folder(seen: &JobSeen) -> bool {
    let mut names = seen
        .trials
        .values()
        .filter_map(|t| t.setup()?.job_folder.as_ref());
    names.next().is_none_or(|name| *name == seen.folder)
}

impl JobView<'_> {
    /// Returns tokens and cost: Harbor's sums, else ours.
    pub(crate) fn usage(&self) -> Usage {
        let own = self
            .trials
            .iter()
            .filter_map(|t| t.result)
            .fold(Usage::default(), |sum, result| sum.plus(result.usage));
        let Some(result) = self.seen.result.get() else {
            return own;
        };
        Usage {
            input_tokens: result.input_tokens.or(own.input_tokens),
            cache_tokens: result.cache_tokens.or(own.cache_tokens),
            output_tokens: result.output_tokens.or(own.output_tokens),
            cost_usd: result.cost_usd.or(own.cost_usd),
        }
    }

    /// Returns the plan of all trials that have no folder, those that wait for a retry included.
    pub(crate) fn to_come(&self) -> impl Iterator<Item = &'_ Planned> {
        let again = self.retrying.iter().filter_map(|trial| trial.planned);
        again.chain(self.unstarted.iter().map(|(_, planned)| *planned))
    }

    /// Returns all agents, trials to come included.
    pub(crate) fn agents(&self) -> BTreeSet<&AgentKey> {
        let begun = self
            .trials
            .iter()
            .filter(|t| t.seen.setup().is_some())
            .map(|t| &t.agent);
        begun
            .chain(self.to_come().map(|planned| &planned.agent))
            .collect()
    }

    /// Returns all tasks, trials to come included.
    pub(crate) fn tasks(&self) -> BTreeSet<&str> {
        let begun = self.trials.iter().filter_map(|t| t.seen.setup());
        let to_come = self.to_come().map(|planned| planned.task.place.as_str());
        begun
            .map(|config| config.task.place.as_str())
            .chain(to_come)
            .collect()
    }
}
