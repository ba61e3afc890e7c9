//! The names of agents within a job.

use std::collections::BTreeMap;

use crate::format::task::AgentKey;
use crate::format::trial::TrialResult;

/// The names and models that agents reported, by their configuration.
#[derive(Debug, Default)]
pub(crate) struct AgentNames(BTreeMap<AgentKey, (Option<String>, Option<String>)>);

impl AgentNames {
    /// Collects what agents reported.
    pub(crate) fn from_results<'a>(results: impl Iterator<Item = &'a TrialResult>) -> Self {
        let mut names = BTreeMap::new();
        for result in results {
            let (name, model): &mut (Option<String>, Option<String>) =
                names.entry(result.config.agent.clone()).or_default();
            *name = name.take().or_else(|| result.agent_name.clone());
            *model = model.take().or_else(|| result.agent_model.clone());
        }
        Self(names)
    }

    /// Returns an agent's name: as it reported it in this job, else as configured.
    pub(crate) fn name(&self, agent: &AgentKey) -> String {
        let known = self.0.get(agent).and_then(|(name, _)| name.clone());
        known.unwrap_or_else(|| agent.name.clone())
    }

    /// Returns an agent's model.
    pub(crate) fn model(&self, agent: &AgentKey) -> Option<String> {
        let known = || self.0.get(agent).and_then(|(_, model)| model.clone());
        agent.model.clone().or_else(known)
    }

    /// Returns an agent's variant: its name, with the model in brackets if there is one.
    pub(crate) fn variant(&self, agent: &AgentKey) -> String {
        let name = self.name(agent);
        match self.model(agent) {
            Some(model) => format!("{name} ({model})"),
            None => name,
        }
    }
}
