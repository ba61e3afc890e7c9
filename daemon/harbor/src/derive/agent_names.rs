//! The names of agents within a job.

use std::collections::BTreeMap;

use crate::derive::trial_facts::{ResultFacts, Terms};
use crate::format::task::AgentKey;

/// The names and models that agents reported, by their configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct AgentNames(BTreeMap<AgentKey, Reported>);

#[derive(Debug, Clone, Default, PartialEq)]
struct Reported {
    name: Option<String>,
    /// With its provider, if Harbor knows that.
    model: Option<String>,
}

/// The same by the numbers of the terms of trials: for each agent as configured that has a result, its name, its model and
/// the model's name.
pub(crate) struct ReportedNames(Vec<Option<[Option<u32>; 3]>>);

impl ReportedNames {
    /// Creates names of which none is reported yet.
    pub(crate) fn new(terms: &Terms) -> Self {
        Self(vec![None; terms.agents.len()])
    }

    /// Adds what the agent of a trial reported; of each agent, what it reported first counts.
    pub(crate) fn add(&mut self, result: &ResultFacts) {
        let known = self.0[result.agent as usize].get_or_insert_default();
        let reported = [
            result.agent_name,
            result.agent_model,
            result.agent_model_name,
        ];
        for (known, reported) in known.iter_mut().zip(reported) {
            *known = known.or(reported);
        }
    }

    /// Returns the name that an agent reported.
    pub(crate) fn name(&self, agent: u32) -> Option<u32> {
        self.0[agent as usize]?[0]
    }

    /// Returns the name of the model that an agent reported.
    pub(crate) fn model_name(&self, agent: u32) -> Option<u32> {
        self.0[agent as usize]?[2]
    }
}

impl AgentNames {
    /// Creates the names in words.
    pub(crate) fn new(terms: &Terms, reported: &ReportedNames) -> Self {
        let text = |number: Option<u32>| number.map(|n| terms.texts.value(n).to_owned());
        let named = (0..).zip(&reported.0).filter_map(|(agent, reported)| {
            let [name, model, _] = reported.as_ref()?.map(text);
            let agent = terms.agents.value(agent).clone();
            Some((agent, Reported { name, model }))
        });
        Self(named.collect())
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

    /// Returns an agent's variant: its name, with the model in brackets if there is one.
    pub(crate) fn variant(&self, agent: &AgentKey) -> String {
        let name = self.name(agent);
        match self.model(agent) {
            Some(model) => format!("{name} ({model})"),
            None => name.to_owned(),
        }
    }
}
