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

/// The same by the numbers of the terms of trials, for each agent as configured; `None` without a result.
pub(crate) struct ReportedNames(Vec<Option<ReportedNumbers>>);

#[derive(Clone, Copy, Default)]
struct ReportedNumbers {
    name: Option<u32>,
    model: Option<u32>,
    model_name: Option<u32>,
}

impl ReportedNames {
    /// Creates names of which none is reported yet.
    pub(crate) fn new(terms: &Terms) -> Self {
        Self(vec![None; terms.agents.len()])
    }

    /// Adds what the agent of a trial reported; of each agent, what it reported first counts.
    pub(crate) fn add(&mut self, result: &ResultFacts) {
        if let Some(known) = self.0.get_mut(result.agent as usize) {
            let known = known.get_or_insert_default();
            known.name = known.name.or(result.agent_name);
            known.model = known.model.or(result.agent_model);
            known.model_name = known.model_name.or(result.agent_model_name);
        }
    }

    /// Returns the name that an agent reported.
    pub(crate) fn name(&self, agent: u32) -> Option<u32> {
        self.of(agent)?.name
    }

    /// Returns the name of the model that an agent reported.
    pub(crate) fn model_name(&self, agent: u32) -> Option<u32> {
        self.of(agent)?.model_name
    }

    fn of(&self, agent: u32) -> Option<ReportedNumbers> {
        *self.0.get(agent as usize)?
    }
}

impl AgentNames {
    /// Creates the names in words.
    pub(crate) fn new(terms: &Terms, reported: &ReportedNames) -> Self {
        let text = |number: Option<u32>| number.map(|n| terms.texts.value(n).to_owned());
        let named = (0..).zip(&reported.0).filter_map(|(agent, reported)| {
            let reported = reported.as_ref()?;
            let (name, model) = (text(reported.name), text(reported.model));
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
