//! The result of an attempt: Harbor's own, or what the server's tables say until it is read.

use std::collections::BTreeMap;

use super::ServedAttempt;
use crate::format::task::{AgentKey, TaskRef, last_part};
use crate::format::trial::{Exception, TrialConfig, TrialResult};
use crate::format::usage::Usage;
use crate::utc::Utc;

/// What the results of a job say about its tasks and agents, for the attempts whose result is not read.
#[derive(Debug, Default)]
pub(super) struct KnownNames<'a> {
    tasks: BTreeMap<(&'a str, Option<&'a str>), &'a str>,
    agents: BTreeMap<(&'a str, Option<&'a str>), &'a TrialResult>,
}

impl<'a> KnownNames<'a> {
    /// Collects the names from the results that were read.
    pub(super) fn new(attempts: impl Iterator<Item = &'a ServedAttempt>) -> Self {
        let mut names = Self::default();
        for attempt in attempts {
            let Some(result) = attempt.result.as_ref().map(|result| &result.0) else {
                continue;
            };
            if let Some(task) = &result.task_name {
                names
                    .tasks
                    .insert((&attempt.task, attempt.source.as_deref()), task);
            }
            if result.agent_name.is_some() {
                names
                    .agents
                    .entry((&attempt.agent, attempt.model.as_deref()))
                    .or_insert(result);
            }
        }
        names
    }

    /// Returns the full name of an attempt's task; the server's own tables have the plan's.
    fn task(&self, attempt: &ServedAttempt) -> String {
        let key = (&*attempt.task, attempt.source.as_deref());
        let known = self.tasks.get(&key).copied();
        known.unwrap_or(&attempt.task).to_owned()
    }

    /// Returns the configuration of an attempt.
    pub(super) fn config(&self, attempt: &ServedAttempt) -> TrialConfig {
        let name = self.task(attempt);
        TrialConfig {
            task: TaskRef {
                slug: last_part(&name).to_owned(),
                path_or_name: name,
                commit: None,
                source: attempt.source.as_deref().map(str::to_owned),
            },
            agent: AgentKey {
                name: attempt.agent.to_string(),
                model: attempt.model.as_deref().map(str::to_owned),
            },
            trial_name: Some(attempt.name.to_string()),
            ..TrialConfig::default()
        }
    }

    /// Returns the result of an attempt that ended.
    pub(super) fn result(&self, attempt: &ServedAttempt) -> TrialResult {
        let mut result = match &attempt.result {
            Some(result) => result.0.clone(),
            None => from_tables(attempt),
        };
        if attempt.result.is_none()
            && let Some(same) = self
                .agents
                .get(&(&*attempt.agent, attempt.model.as_deref()))
        {
            result.agent_name.clone_from(&same.agent_name);
            result.agent_model.clone_from(&same.agent_model);
            result.agent_model_name.clone_from(&same.agent_model_name);
        }
        if result.agent_model_name.is_none() {
            let configured = attempt.model.as_deref();
            result.agent_model_name = configured.map(|model| last_part(model).to_owned());
        }
        if result.exception.is_none()
            && result.steps.iter().all(|step| step.exception.is_none())
            && let Some(kind) = &attempt.error_type
        {
            result.exception = Some(Exception::of_kind(kind));
        }
        result.id = Some(attempt.id.to_string());
        result.task_name = Some(self.task(attempt));
        result.source = attempt.source.as_deref().map(str::to_owned);
        result.config = self.config(attempt);
        result.agent_version = result
            .agent_version
            .or_else(|| attempt.agent_version.as_deref().map(str::to_owned));
        // The server's times include the clean-up, and are the same whether the result was read or not.
        result.started = attempt.started_us.map(Utc);
        result.finished = attempt.finished_us.map(Utc);
        result.has_local_times = false;
        result
    }
}

fn from_tables(attempt: &ServedAttempt) -> TrialResult {
    let rewards = attempt.rewards.iter();
    let valid = rewards.filter_map(|(key, value)| Some((key.to_string(), (*value)?)));
    let rewards: Vec<(String, f64)> = valid.collect();
    TrialResult {
        usage: Usage {
            input_tokens: attempt.input_tokens,
            cache_tokens: attempt.cache_tokens,
            output_tokens: attempt.output_tokens,
            cost_usd: attempt.cost_usd,
        },
        has_rewards: !attempt.rewards.is_empty(),
        reward_valid: (!attempt.rewards.is_empty()).then_some(!rewards.is_empty()),
        rewards,
        ..TrialResult::default()
    }
}
