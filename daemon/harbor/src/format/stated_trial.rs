//! What the result of a job says about its trials, for those whose folder is not here.

use crate::format::job::JobResult;
use crate::format::task::{AgentKey, TaskRef, last_part};
use crate::format::trial::{Exception, StepResult, TrialConfig, TrialResult};

impl JobResult {
    /// Returns the names of all trials about which it says something.
    pub(crate) fn named_trials(&self) -> impl Iterator<Item = &str> {
        let embedded = self.embedded.keys();
        let others = self.outcomes.by_trial().keys();
        let others = others.filter(|name| !self.embedded.contains_key(*name));
        embedded.chain(others).map(String::as_str)
    }

    /// Returns what it says about a trial. `agents` are those of the job's configuration.
    pub(crate) fn stated_trial(&self, name: &str, agents: &[AgentKey]) -> TrialResult {
        if let Some(result) = self.embedded.get(name) {
            return result.clone();
        }
        let Some(outcome) = self.outcomes.by_trial().get(name) else {
            return TrialResult::default();
        };
        let eval = self
            .metrics
            .get(outcome.eval)
            .map(|(eval, _)| eval.as_str());
        let key = eval
            .map(|eval| EvalKey::read(eval, agents))
            .unwrap_or_default();
        let task = name.rsplit_once("__").map_or(name, |(task, _)| task);
        let mut exceptions = outcome
            .exceptions
            .iter()
            .map(|kind| Exception::of_kind(kind));
        TrialResult {
            task_name: Some(task.to_owned()),
            source: key.dataset,
            agent_name: Some(key.agent.name.clone()),
            agent_model_name: key.model,
            config: TrialConfig {
                agent: key.agent,
                task: TaskRef {
                    path_or_name: task.to_owned(),
                    slug: task.to_owned(),
                    ..TaskRef::default()
                },
                ..TrialConfig::default()
            },
            has_rewards: !outcome.rewards.is_empty(),
            rewards: outcome.rewards.clone(),
            exception: exceptions.next(),
            steps: exceptions.map(StepResult::failed).collect(),
            ..TrialResult::default()
        }
    }
}

/// What an eval is about, read from its key: agent, model if there is one, and dataset.
#[derive(Debug, Default, PartialEq)]
struct EvalKey {
    agent: AgentKey,
    /// The model as Harbor names it there.
    model: Option<String>,
    dataset: Option<String>,
}

impl EvalKey {
    /// Reads a key. Its parts may contain the separator, so they are compared with the agents first.
    fn read(key: &str, agents: &[AgentKey]) -> Self {
        let after =
            |text: &str, part: &str| Some(text.strip_prefix(part)?.strip_prefix("__")?.to_owned());
        let known = agents.iter().find_map(|agent| {
            let rest = after(key, &agent.name)?;
            let Some(model) = &agent.model else {
                return Some((agent.clone(), None, rest));
            };
            // Without the provider, unless Harbor does not know that.
            let mut names = [model.as_str(), last_part(model)].into_iter();
            let (name, dataset) = names.find_map(|name| Some((name, after(&rest, name)?)))?;
            Some((agent.clone(), Some(name.to_owned()), dataset))
        });
        let (agent, model, dataset) = known.unwrap_or_else(|| {
            let parts: Vec<&str> = key.split("__").collect();
            let (name, rest) = parts.split_first().unwrap_or((&"", &[]));
            let (dataset, model) = rest.split_last().unwrap_or((&"", &[]));
            let model = (!model.is_empty()).then(|| model.join("__"));
            let agent = AgentKey {
                name: (*name).to_owned(),
                model: model.clone(),
            };
            (agent, model, (*dataset).to_owned())
        });
        // Trials without a dataset.
        let dataset = Some(dataset).filter(|name| !name.is_empty() && name != "adhoc");
        Self {
            agent,
            model,
            dataset,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_an_evals_key_may_contain_its_separator() {
        let agent = |name: &str, model: Option<&str>| AgentKey {
            name: name.into(),
            model: model.map(str::to_owned),
        };
        let agents = [
            agent("my__agent", Some("prov/m__1")),
            agent("other", Some("odd/m")),
        ];
        for (key, name, model, dataset) in [
            (
                "my__agent__m__1__d__s",
                "my__agent",
                Some("m__1"),
                Some("d__s"),
            ),
            ("other__odd/m__tasks", "other", Some("odd/m"), Some("tasks")),
            ("oracle__tasks", "oracle", None, Some("tasks")),
            ("x__m-1__adhoc", "x", Some("m-1"), None),
        ] {
            let read = EvalKey::read(key, &agents);
            assert_eq!(read.agent.name, name, "{key}");
            assert_eq!(
                (read.model.as_deref(), read.dataset.as_deref()),
                (model, dataset),
                "{key}"
            );
        }
    }
}
