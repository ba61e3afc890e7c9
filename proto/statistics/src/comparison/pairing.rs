//! Which trials of two sides belong together.

use std::collections::{BTreeMap, BTreeSet};

use docks_proto::comparison::MetricName;

use super::Pairs;
use super::metric::value_of;
use super::side::SideTrials;
use crate::difference::PairedTask;
use crate::trial::TrialFacts;

/// A task, and the agent if that distinguishes rows.
pub(super) type Key<'a> = (&'a str, Option<&'a str>);

/// What rows are distinguished by.
pub(super) struct Keys {
    with_agent: bool,
}

impl Keys {
    /// Distinguishes agents if a run has several of which the other sides have one: a task would otherwise look flaky
    /// where two agents differ on it.
    pub(super) fn of(sides: &[SideTrials<'_>]) -> Self {
        let agents: Vec<BTreeSet<&str>> = sides
            .iter()
            .map(|side| side.trials().map(|trial| &*trial.agent).collect())
            .collect();
        let has_several = sides.iter().flat_map(|side| &side.runs).any(|run| {
            let first = run.trials.first().map(|trial| &trial.agent);
            run.trials.iter().any(|trial| Some(&trial.agent) != first)
        });
        let shared = agents
            .split_first()
            .is_some_and(|(first, others)| others.iter().all(|other| !first.is_disjoint(other)));
        Self {
            with_agent: has_several && shared,
        }
    }

    pub(super) fn key<'a>(&self, trial: &'a TrialFacts<'_>) -> Key<'a> {
        (&trial.task, self.with_agent.then_some(&*trial.agent))
    }
}

/// Pairs the tasks of two sides.
pub(super) fn paired_tasks(
    first: &SideTrials<'_>,
    other: &SideTrials<'_>,
    keys: &Keys,
    metric: &MetricName,
) -> Pairs {
    let mut tasks: BTreeMap<Key<'_>, PairedTask> = BTreeMap::new();
    for trial in first.trials() {
        let task = tasks.entry(keys.key(trial)).or_default();
        task.before.extend(value_of(trial, metric));
    }
    for trial in other.trials() {
        let task = tasks.entry(keys.key(trial)).or_default();
        task.after.extend(value_of(trial, metric));
    }
    let only = |one: fn(&PairedTask) -> bool, two: fn(&PairedTask) -> bool| {
        tasks
            .values()
            .filter(|task| !one(task) && two(task))
            .count() as u64
    };
    Pairs {
        only_first: only(|task| task.before.is_empty(), |task| task.after.is_empty()),
        only_other: only(|task| task.after.is_empty(), |task| task.before.is_empty()),
        tasks: tasks.into_values().collect(),
    }
}
