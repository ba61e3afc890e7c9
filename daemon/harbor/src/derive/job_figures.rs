//! The figures of a job, added up from the facts of its trials.

use std::collections::{BTreeMap, BTreeSet};

use crate::derive::agent_names::{AgentNames, ReportedNames};
use crate::derive::group_figures::{Figures, Group, MeanRewards};
use crate::derive::reward_rules::RewardRules;
use crate::derive::trial_counts::TrialCounts;
use crate::derive::trial_facts::{PlanFacts, ResultFacts, Terms, TrialFacts};
use crate::derive::trial_state::{StateKind, Status};
use crate::format::task::AgentKey;
use crate::format::trial::PHASES;
use crate::format::usage::Usage;
use crate::utc::Utc;

/// Dataset name of trials without a dataset.
const ADHOC: &str = "adhoc";

/// The figures of a job.
#[derive(Debug)]
pub(crate) struct JobFigures {
    /// The status of each trial in the list.
    pub(crate) statuses: Vec<Status>,
    /// How many errors there are of each type.
    pub(crate) errors: BTreeMap<String, u64>,
    /// How many trials are in each phase.
    pub(crate) phases: BTreeMap<&'static str, u64>,
    /// Tokens and cost of all trials.
    pub(crate) usage: Usage,
    /// Input tokens with cached ones: some agents report these beside their input.
    pub(crate) all_input_tokens: Option<u64>,
    /// Of how many trials cost and input tokens are known; `None` where no trial has a result.
    pub(crate) known: Option<KnownUsage>,
    /// What agents reported.
    pub(crate) agent_names: AgentNames,
    /// Agents as configured, including those of trials to come.
    pub(crate) agents: BTreeSet<AgentKey>,
    /// Number of tasks, including those of trials to come.
    pub(crate) tasks: usize,
    /// Dataset of the first trial that states one.
    pub(crate) first_source: Option<String>,
    /// Per agent, model and dataset.
    pub(crate) groups: BTreeMap<GroupKey, GroupFigures>,
    /// Trials by agent as configured, including those to come.
    pub(crate) by_agent: BTreeMap<AgentKey, TrialCounts>,
    /// Latest end of a trial.
    pub(crate) last_end: Option<Utc>,
    /// How long trials took.
    pub(crate) durations: TrialDurations,
}

/// Of how many trials something is known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct KnownUsage {
    pub(crate) cost: u64,
    pub(crate) input_tokens: u64,
}

/// The key of a group, as in Harbor's `stats.evals`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GroupKey {
    /// Agent.
    pub(crate) agent: String,
    /// Model without its provider.
    pub(crate) model: Option<String>,
    /// Dataset.
    pub(crate) dataset: String,
}

/// The figures of a group, in words.
#[derive(Debug)]
pub(crate) struct GroupFigures {
    /// All but these.
    pub(crate) figures: Figures,
    /// Number of errors by type.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Means by name.
    pub(crate) mean_rewards: BTreeMap<String, f64>,
}

/// How long trials took, in seconds.
#[derive(Debug, Default)]
pub(crate) struct TrialDurations {
    /// How long at least one trial ran, of those that ended.
    pub(crate) active: Option<f64>,
    /// Mean of all.
    pub(crate) mean: Option<f64>,
    /// The longest.
    pub(crate) max: Option<f64>,
    /// Mean of each phase.
    pub(crate) phase_means: BTreeMap<&'static str, f64>,
}

/// The trials of a job, in the order of the list.
pub(crate) struct JobTrials<'a> {
    /// The terms of their facts.
    pub(crate) terms: &'a Terms,
    /// Those that have a folder or that a server lists.
    pub(crate) started: &'a [&'a TrialFacts],
    /// Those that wait for a retry.
    pub(crate) retrying: &'a [PlanFacts],
    /// Those that did not start.
    pub(crate) unstarted: &'a [PlanFacts],
    /// Which rewards and exceptions count.
    pub(crate) rules: RewardRules,
}

/// What is added up of trials, one after the other: of thousands, the sums are a small part of the time that reading them
/// takes, so each is read once.
struct Sums {
    statuses: Vec<Status>,
    errors: BTreeMap<u32, u64>,
    phases: BTreeMap<&'static str, u64>,
    usage: Usage,
    all_input_tokens: Option<u64>,
    known: Option<KnownUsage>,
    reported: ReportedNames,
    /// By number of an agent: whether a trial is configured with it, and the trials that have it.
    is_agent_configured: Vec<bool>,
    by_agent: Vec<TrialCounts>,
    /// By number of a path.
    is_task_used: Vec<bool>,
    first_source: Option<u32>,
    last_end: Option<Utc>,
    durations: DurationSums,
}

impl Sums {
    fn new(terms: &Terms) -> Self {
        Self {
            statuses: Vec::new(),
            errors: BTreeMap::new(),
            phases: BTreeMap::new(),
            usage: Usage::default(),
            all_input_tokens: None,
            known: None,
            reported: ReportedNames::new(terms),
            is_agent_configured: vec![false; terms.agents.len()],
            by_agent: vec![TrialCounts::default(); terms.agents.len()],
            is_task_used: vec![false; terms.paths.len()],
            first_source: None,
            last_end: None,
            durations: DurationSums::default(),
        }
    }

    fn add(&mut self, trial: &TrialFacts) {
        self.statuses.push(trial.kind.status);
        for kind in &trial.errors {
            *self.errors.entry(*kind).or_default() += 1;
        }
        if let Some(phase) = trial.phase {
            *self.phases.entry(phase).or_default() += 1;
        }
        self.by_agent[trial.agent as usize].add(trial.kind);
        if let Some(config) = trial.config {
            self.is_agent_configured[trial.agent as usize] = true;
            self.is_task_used[config.path as usize] = true;
            self.first_source = self.first_source.or(config.source);
        }
        self.last_end = self.last_end.max(trial.finished);
        self.durations.add(trial);
        let Some(result) = &trial.result else {
            return;
        };
        self.reported.add(result);
        self.usage = self.usage.plus(result.usage);
        let known = self.known.get_or_insert_default();
        known.cost += u64::from(result.usage.cost_usd.is_some());
        known.input_tokens += u64::from(result.usage.input_tokens.is_some());
        if let Some(input) = result.usage.all_input_tokens() {
            let sum = self.all_input_tokens.unwrap_or(0).saturating_add(input);
            self.all_input_tokens = Some(sum);
        }
    }

    /// Adds a trial that has no folder.
    fn add_planned(&mut self, planned: &PlanFacts) {
        self.by_agent[planned.agent as usize].add(StateKind::default());
        self.is_agent_configured[planned.agent as usize] = true;
        self.is_task_used[planned.path as usize] = true;
    }
}

impl JobFigures {
    /// Adds everything up.
    pub(crate) fn of(trials: &JobTrials<'_>) -> Self {
        let terms = trials.terms;
        let mut sums = Sums::new(terms);
        let mut groups = Groups::new(trials);
        let mut without_result = Vec::new();
        let mut are_named = true;
        for trial in trials.started {
            sums.add(trial);
            match &trial.result {
                None => without_result.push(*trial),
                Some(result) => match result.agent_name {
                    Some(name) => groups.add_named(trial, name, result),
                    None => are_named = false,
                },
            }
        }
        if !are_named {
            // These have the name that others report, so all are added again in their order.
            groups = Groups::new(trials);
            let with_result = trials.started.iter().filter(|trial| trial.result.is_some());
            with_result.for_each(|trial| groups.add(trial, &sums.reported));
        }
        for planned in trials.retrying.iter().chain(trials.unstarted) {
            sums.add_planned(planned);
        }
        let text = |number: u32| terms.texts.value(number).to_owned();
        let agent = |number: u32| terms.agents.value(number).clone();
        let agents = (0..).zip(sums.is_agent_configured);
        let by_agent = (0..).zip(sums.by_agent);
        Self {
            statuses: sums.statuses,
            errors: sums
                .errors
                .into_iter()
                .map(|(kind, n)| (text(kind), n))
                .collect(),
            phases: sums.phases,
            usage: sums.usage,
            all_input_tokens: sums.all_input_tokens,
            known: sums.known,
            agents: agents
                .filter(|(_, is_configured)| *is_configured)
                .map(|(number, _)| agent(number))
                .collect(),
            tasks: sums.is_task_used.into_iter().filter(|used| *used).count(),
            first_source: sums.first_source.map(text),
            groups: groups.into_figures(&without_result, &sums.reported),
            by_agent: by_agent
                .filter(|(_, counts)| counts.total > 0)
                .map(|(number, counts)| (agent(number), counts))
                .collect(),
            last_end: sums.last_end,
            durations: sums.durations.into_durations(),
            agent_names: AgentNames::new(terms, &sums.reported),
        }
    }
}

/// The trials of a job by Harbor's key if there is a result; before that, by the key that is expected.
struct Groups<'a> {
    trials: &'a JobTrials<'a>,
    /// The number of [`ADHOC`].
    adhoc: Option<u32>,
    task_ranks: Vec<u32>,
    by_key: BTreeMap<(u32, Option<u32>, Option<u32>), Group>,
}

impl<'a> Groups<'a> {
    fn new(trials: &'a JobTrials<'a>) -> Self {
        Self {
            trials,
            adhoc: trials.terms.texts.find(ADHOC),
            task_ranks: trials.terms.tasks.ranks(),
            by_key: BTreeMap::new(),
        }
    }

    fn dataset(&self, source: Option<u32>) -> Option<u32> {
        source.filter(|source| Some(*source) != self.adhoc)
    }

    /// Adds a trial whose result names its agent. Trials with a result must be added in the order of the list.
    fn add_named(&mut self, trial: &TrialFacts, name: u32, result: &ResultFacts) {
        let dataset = self.dataset(result.source);
        let key = (name, result.agent_model_name, dataset);
        let group = self.by_key.entry(key).or_default();
        group.add(trial, self.trials.rules, &self.task_ranks);
    }

    fn expected_key(
        &self,
        reported: &ReportedNames,
        agent: u32,
        source: Option<u32>,
    ) -> (u32, Option<u32>, Option<u32>) {
        let texts = self.trials.terms.agent_texts[agent as usize];
        let name = reported.name(agent).unwrap_or(texts.name);
        let model = reported.model_name(agent).or(texts.model_name);
        (name, model, self.dataset(source))
    }

    /// Adds any trial.
    fn add(&mut self, trial: &TrialFacts, reported: &ReportedNames) {
        let source = trial.config.and_then(|config| config.source);
        let key = self.expected_key(reported, trial.agent, source);
        if let Some(result) = &trial.result {
            return self.add_named(trial, result.agent_name.unwrap_or(key.0), result);
        }
        let group = self.by_key.entry(key).or_default();
        group.add(trial, self.trials.rules, &self.task_ranks);
    }

    /// Adds what is left when the names that agents reported are known, and returns the figures. Trials without a result
    /// only count, so they may come last.
    fn into_figures(
        mut self,
        without_result: &[&TrialFacts],
        reported: &ReportedNames,
    ) -> BTreeMap<GroupKey, GroupFigures> {
        for trial in without_result {
            self.add(trial, reported);
        }
        for planned in self.trials.unstarted {
            let key = self.expected_key(reported, planned.agent, planned.source);
            self.by_key.entry(key).or_default().add_pending();
        }
        in_words(self.trials.terms, self.by_key)
    }
}

fn in_words(
    terms: &Terms,
    groups: BTreeMap<(u32, Option<u32>, Option<u32>), Group>,
) -> BTreeMap<GroupKey, GroupFigures> {
    let text = |number: u32| terms.texts.value(number).to_owned();
    let in_words = |((agent, model, dataset), group): ((u32, _, Option<u32>), Group)| {
        let figures = group.into_figures();
        let key = GroupKey {
            agent: text(agent),
            model: Option::map(model, text),
            dataset: dataset.map_or_else(|| ADHOC.to_owned(), text),
        };
        let errors = figures.errors.iter();
        let mean_rewards = match &figures.mean_rewards {
            MeanRewards::None => BTreeMap::new(),
            MeanRewards::One(mean) => BTreeMap::from([("mean".to_owned(), *mean)]),
            MeanRewards::ByKey(means) => {
                let means = means.iter();
                means.map(|(key, mean)| (text(*key), *mean)).collect()
            }
        };
        let figures = GroupFigures {
            errors: errors.map(|(kind, n)| (text(*kind), *n)).collect(),
            mean_rewards,
            figures,
        };
        (key, figures)
    };
    groups.into_iter().map(in_words).collect()
}

/// How long trials took, added up.
#[derive(Default)]
struct DurationSums {
    /// From start to end of each trial that ended.
    spans: Vec<(Utc, Utc)>,
    seconds: f64,
    count: u32,
    max: Option<f64>,
    phases: [(f64, u32); PHASES.len()],
}

impl DurationSums {
    fn add(&mut self, trial: &TrialFacts) {
        if let (Some(start), Some(end)) = (trial.started, trial.finished) {
            self.spans.push((start, end));
            if let Some(seconds) = end.seconds_since(start) {
                self.seconds += seconds;
                self.count += 1;
                self.max = Some(self.max.map_or(seconds, |max| max.max(seconds)));
            }
        }
        let phases = trial.result.iter().flat_map(|result| result.phases);
        for ((sum, count), seconds) in self.phases.iter_mut().zip(phases) {
            if let Some(seconds) = seconds {
                *sum += seconds;
                *count += 1;
            }
        }
    }

    fn into_durations(self) -> TrialDurations {
        let phases = PHASES.into_iter().zip(self.phases);
        TrialDurations {
            active: active_seconds(self.spans),
            mean: (self.count > 0).then(|| self.seconds / f64::from(self.count)),
            max: self.max,
            phase_means: phases
                .filter(|(_, (_, count))| *count > 0)
                .map(|(name, (sum, count))| (name, sum / f64::from(count)))
                .collect(),
        }
    }
}

/// Returns how long at least one trial ran, of those that ended.
fn active_seconds(mut spans: Vec<(Utc, Utc)>) -> Option<f64> {
    spans.sort_unstable();
    let mut until = spans.first()?.0;
    let mut seconds = 0.0;
    for (start, end) in spans {
        seconds += end.seconds_since(start.max(until)).unwrap_or(0.0);
        until = until.max(end);
    }
    Some(seconds)
}
