//! What the figures of a job need of each of its trials, in a form that is cheap to keep and to add up.

use crate::derive::numbers::Numbers;
use crate::derive::reward_rules::{RewardRules, is_valid};
use crate::derive::trial_state::StateKind;
use crate::derive::trial_view::TrialView;
use crate::format::job::PlannedTrial;
use crate::format::task::{AgentKey, TaskRef, last_part};
use crate::format::trial::{PHASES, TrialResult};
use crate::format::usage::Usage;
use crate::utc::Utc;

/// The values that recur in the facts of one job's trials.
#[derive(Debug, Default)]
pub(crate) struct Terms {
    /// Names of agents and models, datasets, keys of rewards and types of errors.
    pub(crate) texts: Numbers<str>,
    /// Agents as configured.
    pub(crate) agents: Numbers<AgentKey>,
    /// The texts of each agent.
    pub(crate) agent_texts: Vec<AgentTexts>,
    /// Paths or names of tasks as configured.
    pub(crate) paths: Numbers<str>,
    /// Names of tasks as results have them.
    pub(crate) tasks: Numbers<str>,
    /// Entries of a plan that are equal: task, commit and agent.
    pub(crate) entries: Numbers<(u32, Option<u32>, u32)>,
    /// The same by the short name of the task, without the commit.
    pub(crate) slugs: Numbers<(u32, u32)>,
}

/// The texts of an agent as configured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AgentTexts {
    /// Its name.
    pub(crate) name: u32,
    /// Its model without the provider.
    pub(crate) model_name: Option<u32>,
}

/// By what a trial is matched to the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PlanKeys {
    /// The number of its task, commit and agent.
    pub(crate) entry: u32,
    /// The number of its task's short name and its agent.
    pub(crate) slug: u32,
}

/// What is needed of a planned trial.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlanFacts {
    pub(crate) keys: PlanKeys,
    pub(crate) agent: u32,
    pub(crate) path: u32,
    pub(crate) source: Option<u32>,
}

/// What the figures need of a trial.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TrialFacts {
    pub(crate) kind: StateKind,
    pub(crate) is_valid: Option<bool>,
    pub(crate) phase: Option<&'static str>,
    /// Types of its errors.
    pub(crate) errors: Box<[u32]>,
    pub(crate) started: Option<Utc>,
    pub(crate) finished: Option<Utc>,
    /// Its agent as configured.
    pub(crate) agent: u32,
    pub(crate) keys: PlanKeys,
    /// Its task and dataset as configured, if it has a configuration.
    pub(crate) config: Option<ConfigFacts>,
    pub(crate) result: Option<ResultFacts>,
}

/// What is needed of the configuration of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConfigFacts {
    pub(crate) path: u32,
    pub(crate) source: Option<u32>,
}

/// What is needed of the result of a trial.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ResultFacts {
    /// The agent in the result's configuration.
    pub(crate) agent: u32,
    pub(crate) agent_name: Option<u32>,
    pub(crate) agent_model: Option<u32>,
    pub(crate) agent_model_name: Option<u32>,
    pub(crate) source: Option<u32>,
    pub(crate) task: u32,
    pub(crate) usage: Usage,
    pub(crate) rewards: Box<[(u32, f64)]>,
    pub(crate) has_rewards: bool,
    pub(crate) is_valid: bool,
    /// Seconds of each of [`PHASES`].
    pub(crate) phases: [Option<f64>; PHASES.len()],
}

impl Terms {
    fn text(&mut self, text: &str) -> u32 {
        self.texts.number_of(text)
    }

    fn optional_text(&mut self, text: Option<&str>) -> Option<u32> {
        text.map(|text| self.text(text))
    }

    fn agent(&mut self, agent: &AgentKey) -> u32 {
        let number = self.agents.number_of(agent);
        if number as usize == self.agent_texts.len() {
            let model = agent.model.as_deref().map(last_part);
            let texts = AgentTexts {
                name: self.text(&agent.name),
                model_name: self.optional_text(model),
            };
            self.agent_texts.push(texts);
        }
        number
    }

    fn plan_keys(&mut self, task: &TaskRef, agent: u32) -> PlanKeys {
        let path = self.paths.number_of(&task.path_or_name);
        let commit = self.optional_text(task.commit.as_deref());
        let slug = self.text(&task.slug);
        PlanKeys {
            entry: self.entries.number_of(&(path, commit, agent)),
            slug: self.slugs.number_of(&(slug, agent)),
        }
    }

    /// Returns the facts of a planned trial.
    pub(crate) fn plan_facts(&mut self, planned: &PlannedTrial) -> PlanFacts {
        let agent = self.agent(&planned.agent);
        PlanFacts {
            keys: self.plan_keys(&planned.task, agent),
            agent,
            path: self.paths.number_of(&planned.task.path_or_name),
            source: self.optional_text(planned.task.source.as_deref()),
        }
    }

    /// Returns the facts of a trial.
    pub(crate) fn trial_facts(&mut self, trial: &TrialView<'_>, rules: RewardRules) -> TrialFacts {
        let state = &trial.state;
        let config = trial.snapshot.config();
        let agent = self.agent(trial.agent);
        let keys = match config {
            Some(config) => self.plan_keys(&config.task, agent),
            None => self.plan_keys(&TaskRef::default(), agent),
        };
        TrialFacts {
            kind: state.kind(),
            is_valid: state.is_valid,
            phase: state.phase,
            errors: state.error_kinds().map(|kind| self.text(kind)).collect(),
            started: trial.started,
            finished: trial.finished,
            agent,
            keys,
            config: config.map(|config| ConfigFacts {
                path: self.paths.number_of(&config.task.path_or_name),
                source: self.optional_text(config.task.source.as_deref()),
            }),
            result: trial.result.map(|result| self.result_facts(result, rules)),
        }
    }

    fn result_facts(&mut self, result: &TrialResult, rules: RewardRules) -> ResultFacts {
        let rewards = result.rewards.iter();
        let rewards = rewards.map(|(key, reward)| (self.text(key), *reward));
        let rewards = rewards.collect();
        let seconds = |name| {
            let found = result.phases.iter().find(|(known, _)| *known == name);
            found.map(|(_, seconds)| *seconds)
        };
        ResultFacts {
            agent: self.agent(&result.config.agent),
            agent_name: self.optional_text(result.agent_name.as_deref()),
            agent_model: self.optional_text(result.agent_model.as_deref()),
            agent_model_name: self.optional_text(result.agent_model_name.as_deref()),
            source: self.optional_text(result.source.as_deref()),
            task: self
                .tasks
                .number_of(result.task_name.as_deref().unwrap_or_default()),
            usage: result.usage,
            rewards,
            has_rewards: result.has_rewards,
            is_valid: is_valid(rules, result),
            phases: PHASES.map(seconds),
        }
    }
}
