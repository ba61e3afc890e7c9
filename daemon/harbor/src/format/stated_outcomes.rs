//! What the result of a job says about each of its trials by name, read when somebody asks: Harbor writes these lists
//! anew at the end of each trial, and while a job runs they are hardly needed.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::value::RawValue;

use crate::format::json::{Object, Value, count_texts};

/// What a job's result says about one trial.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct StatedOutcome {
    /// Its rewards by key.
    pub(crate) rewards: Vec<(String, f64)>,
    /// The types of its exceptions: since Harbor 0.25, one for each step that failed, too.
    pub(crate) exceptions: Vec<String>,
    /// The eval under which it is named: its position among all.
    pub(crate) eval: usize,
}

/// The members of an eval that name trials.
pub(crate) const NAMING: [&str; 2] = ["reward_stats", "exception_stats"];

/// The lists of trials in a job's result.
#[derive(Debug, Default)]
pub(crate) struct StatedOutcomes {
    /// Of each eval: the trials by reward key and reward, and those by type of exception.
    evals: Vec<[Option<Box<RawValue>>; 2]>,
    all: OnceLock<BTreeMap<String, StatedOutcome>>,
    exceptions: OnceLock<BTreeMap<String, Vec<String>>>,
}

impl StatedOutcomes {
    /// Adds those of the next eval.
    pub(super) fn add_eval(&mut self, eval: &Object<'_>) {
        let lists = NAMING.map(|key| eval.get(key).map(Value::raw));
        self.evals.push(lists);
    }

    /// Returns what is said about each trial, by name.
    pub(crate) fn by_trial(&self) -> &BTreeMap<String, StatedOutcome> {
        self.all.get_or_init(|| {
            let mut outcomes: BTreeMap<String, StatedOutcome> = BTreeMap::new();
            for (at, [rewards, exceptions]) in self.evals.iter().enumerate() {
                for (key, values) in members(rewards).members() {
                    for (reward, trials) in values.object().members() {
                        let Some(reward) = reward.parse::<f64>().ok().filter(|r| r.is_finite())
                        else {
                            continue;
                        };
                        for trial in trials.items().into_iter().filter_map(Value::text) {
                            let outcome = outcomes.entry(trial).or_default();
                            outcome.rewards.push((key.to_owned(), reward));
                            outcome.eval = at;
                        }
                    }
                }
                for (kind, trials) in members(exceptions).members() {
                    for trial in trials.items().into_iter().filter_map(Value::text) {
                        let outcome = outcomes.entry(trial).or_default();
                        outcome.exceptions.push(kind.to_owned());
                        outcome.eval = at;
                    }
                }
            }
            outcomes
        })
    }

    /// Returns the exceptions of the trials that have any, by name: without those that have none, which are most.
    pub(crate) fn exceptions(&self) -> &BTreeMap<String, Vec<String>> {
        self.exceptions.get_or_init(|| {
            let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for [_, exceptions] in &self.evals {
                for (kind, trials) in members(exceptions).members() {
                    for trial in trials.items().into_iter().filter_map(Value::text) {
                        found.entry(trial).or_default().push(kind.to_owned());
                    }
                }
            }
            found
        })
    }

    /// Whether more than a number of trials are named.
    pub(super) fn name_more_than(&self, number: usize) -> bool {
        let lists: Vec<[Object<'_>; 2]> = self
            .evals
            .iter()
            .map(|lists| lists.each_ref().map(members))
            .collect();
        let arrays = lists.iter().flat_map(|[rewards, exceptions]| {
            let finite = |(reward, trials): (&str, _)| {
                let is_finite = reward.parse::<f64>().is_ok_and(f64::is_finite);
                is_finite.then_some(trials)
            };
            let by_reward = rewards.members().flat_map(move |(_, values)| {
                let values = values.object();
                let values: Vec<_> = values.members().filter_map(finite).collect();
                values
            });
            by_reward.chain(exceptions.members().map(|(_, trials)| trials))
        });
        count_texts(arrays, number + 1) > number
    }
}

fn members(lists: &Option<Box<RawValue>>) -> Object<'_> {
    let lists = lists.as_deref();
    lists
        .map(Value::from_raw)
        .map(Value::object)
        .unwrap_or_default()
}
