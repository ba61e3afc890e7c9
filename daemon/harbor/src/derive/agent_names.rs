//! The names of agents within a job.

use std::collections::BTreeMap;

use crate::format::task::{AgentKey, last_part};
use crate::format::trial::TrialResult;

/// The names and models that agents reported, by their configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct AgentNames(BTreeMap<AgentKey, Reported>);

#[derive(Debug, Clone, Default, PartialEq)]
struct Reported {
    name: Option<String>,
    /// With its provider, if Harbor knows that.
    model: Option<String>,
    /// Without its provider; with one that Harbor does not know.
    model_name: Option<String>,
}

impl AgentNames {
    /// Collects what agents reported.
    pub(crate) fn from_results<'a>(results: impl Iterator<Item = &'a TrialResult>) -> Self {
        let mut names: BTreeMap<AgentKey, Reported> = BTreeMap::new();
        for result in results {
            let agent = &result.config.agent;
            if !names.contains_key(agent) {
                names.insert(agent.clone(), Reported::default());
            }
            let Some(known) = names.get_mut(agent) else {
                continue;
            };
            let set = |known: &mut Option<String>, reported: &Option<String>| {
                if known.is_none() {
                    known.clone_from(reported);
                }
            };
            set(&mut known.name, &result.agent_name);
            set(&mut known.model, &result.agent_model);
            set(&mut known.model_name, &result.agent_model_name);
        }
        Self(names)
    }

    /// Returns an agent's name: as it reported it in this job, else as configured.
    pub(crate) fn name<'a>(&'a self, agent: &'a AgentKey) -> &'a str {
        let known = self.0.get(agent).and_then(|known| known.name.as_deref());
        known.unwrap_or(&agent.name)
    }

    /// Returns an agent's model.
    pub(crate) fn model<'a>(&'a self, agent: &'a AgentKey) -> Option<&'a str> {
        let known = || self.0.get(agent)?.model.as_deref();
        agent.model.as_deref().or_else(known)
    }

    /// Returns an agent's model as Harbor's evals name it: as reported in this job, else without the provider.
    pub(crate) fn model_name<'a>(&'a self, agent: &'a AgentKey) -> Option<&'a str> {
        let known = self
            .0
            .get(agent)
            .and_then(|known| known.model_name.as_deref());
        known.or_else(|| Some(last_part(agent.model.as_deref()?)))
    }

    /// Returns an agent's variant: its name, with the model in brackets if there is one.
    pub(crate) fn variant(&self, agent: &AgentKey) -> String {
        let name = self.name(agent);
        match self.model(agent) {
            Some(model) => format!("{name} ({model})"),
            None => name.to_owned(),
        }
    }
}
