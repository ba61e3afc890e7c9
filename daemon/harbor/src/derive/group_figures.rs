//! Figures of a job per agent, model and dataset, computed as in Harbor; pure.
//!
//! Harbor writes mean rewards as trials end, and pass@k when the job finishes. Here both are computed from
//! the trials at any time with Harbor's formulas, so that they agree in the end.

use std::collections::{BTreeMap, BTreeSet};

use docks_statistics::attempts::{self, TaskAttempts, harbors_ks};

use crate::derive::reward_rules::{RewardRules, is_valid};
use crate::derive::trial_counts::TrialCounts;
use crate::derive::trial_state::TrialState;
use crate::format::trial::TrialResult;
use crate::format::usage::Usage;

/// Dataset name of trials without a dataset.
const ADHOC: &str = "adhoc";

/// The key of a group, as in Harbor's `stats.evals`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GroupKey<'a> {
    /// Agent.
    pub(crate) agent: &'a str,
    /// Model without its provider.
    pub(crate) model: Option<&'a str>,
    /// Dataset.
    pub(crate) dataset: &'a str,
}

impl<'a> GroupKey<'a> {
    /// Creates a key; trials without a dataset form a group of their own.
    pub(crate) fn new(agent: &'a str, model: Option<&'a str>, dataset: Option<&'a str>) -> Self {
        Self {
            agent,
            model,
            dataset: dataset.unwrap_or(ADHOC),
        }
    }
}

/// What the figures need of a trial.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GroupMember<'a> {
    /// Its state.
    pub(crate) state: &'a TrialState,
    /// Its result, once it has one.
    pub(crate) result: Option<&'a TrialResult>,
}

/// The figures of one group.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// The trials by their state.
    pub(crate) counts: TrialCounts,
    /// Number of errors by type.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Number of trials with a valid reward.
    pub(crate) valid: u64,
    /// Mean of each reward over the trials that count; a missing reward counts as 0.
    pub(crate) mean_rewards: BTreeMap<String, f64>,
    /// Probability that at least one of k attempts at a task solves it, by k.
    pub(crate) pass_at_k: BTreeMap<u64, f64>,
    /// Tokens and cost.
    pub(crate) usage: Usage,
    /// Of how many trials the cost is known.
    pub(crate) cost_n: u64,
}

/// Computes the figures of a group.
pub(crate) fn compute_figures(members: &[GroupMember<'_>], rules: RewardRules) -> Figures {
    let mut errors = BTreeMap::new();
    for kind in members.iter().flat_map(|m| m.state.error_kinds()) {
        *errors.entry(kind.to_owned()).or_default() += 1;
    }
    let results: Vec<&TrialResult> = members.iter().filter_map(|m| m.result).collect();
    let counted: Vec<&TrialResult> = results
        .iter()
        .copied()
        .filter(|result| rules.counts(is_valid(rules, result)))
        .collect();
    Figures {
        counts: TrialCounts::from_states(members.iter().map(|m| m.state)),
        errors,
        valid: members
            .iter()
            .filter(|m| m.state.is_valid == Some(true))
            .count() as u64,
        mean_rewards: mean_rewards(&counted),
        pass_at_k: pass_at_k(&counted),
        cost_n: results
            .iter()
            .filter(|r| r.usage.cost_usd.is_some())
            .count() as u64,
        usage: results
            .iter()
            .fold(Usage::default(), |sum, result| sum.plus(result.usage)),
    }
}

/// Computes Harbor's metric `mean`: named `mean` if there is one reward key, else after each key. A reward
/// that is not finite counts like a missing one, as zero.
fn mean_rewards(results: &[&TrialResult]) -> BTreeMap<String, f64> {
    if results.is_empty() {
        return BTreeMap::new();
    }
    let rewards = || results.iter().map(|result| &result.rewards);
    let keys: BTreeSet<&str> = rewards().flatten().map(|(key, _)| key.as_str()).collect();
    let mean = |key: Option<&str>| {
        let is_selected = |(known, _): &&(String, f64)| key.is_none_or(|key| key == known);
        let found = rewards().filter_map(|all| all.iter().find(is_selected));
        let finite = found.map(|(_, reward)| reward).filter(|r| r.is_finite());
        // Adding zero turns the sum of nothing, -0.0, into 0.0.
        (finite.sum::<f64>() + 0.0) / results.len() as f64
    };
    if keys.len() <= 1 {
        return BTreeMap::from([("mean".to_owned(), mean(None))]);
    }
    keys.into_iter()
        .map(|key| (key.to_owned(), mean(Some(key))))
        .collect()
}

/// Computes Harbor's pass@k, and pass@1 by the same formula; empty if a reward is other than 0 or 1.
fn pass_at_k(results: &[&TrialResult]) -> BTreeMap<u64, f64> {
    let mut by_task: BTreeMap<&str, TaskAttempts> = BTreeMap::new();
    for result in results {
        let solved = match result.rewards[..] {
            [] if !result.has_rewards => false,
            [(_, reward)] if reward == 0.0 || reward == 1.0 => reward == 1.0,
            _ => return BTreeMap::new(),
        };
        let task = result.task_name.as_deref().unwrap_or_default();
        let task = by_task.entry(task).or_default();
        task.attempts += 1;
        task.solved += u64::from(solved);
    }
    let tasks: Vec<TaskAttempts> = by_task.into_values().collect();
    let fewest = tasks.iter().map(|task| task.attempts).min();
    let ks = fewest.map(harbors_ks).unwrap_or_default().into_iter();
    ks.filter_map(|k| Some((k, attempts::pass_at_k(&tasks, k).value?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(task: &str, rewards: &str) -> TrialResult {
        let text = format!(r#"{{"task_name":"{task}","verifier_result":{rewards}}}"#);
        TrialResult::parse(&text).unwrap()
    }

    fn shares(results: &[TrialResult]) -> Vec<(u64, f64)> {
        let all: Vec<&TrialResult> = results.iter().collect();
        pass_at_k(&all).into_iter().collect()
    }

    fn attempts(task: &str, solved: usize, all: usize) -> Vec<TrialResult> {
        (0..all)
            .map(|n| {
                let reward = u8::from(n < solved);
                result(task, &format!(r#"{{"rewards":{{"reward":{reward}}}}}"#))
            })
            .collect()
    }

    #[test]
    fn pass_at_k_equals_harbors() {
        // Values of `compute_pass_at_k_by_evals` for 11 attempts of which 3 succeeded, and 10 of 10.
        let mut results = attempts("a", 3, 11);
        results.extend(attempts("b", 10, 10));
        let expected = [
            (1, 0.636_363_636_363_636_4),
            (2, 0.745_454_545_454_545_4),
            (4, 0.893_939_393_939_393_9),
            (5, 0.939_393_939_393_939_3),
            (8, 0.996_969_696_969_697),
            (10, 1.0),
        ];
        let found = shares(&results);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for ((k, share), (expected_k, expected_share)) in found.into_iter().zip(expected) {
            assert_eq!(k, expected_k);
            assert!((share - expected_share).abs() < 1e-12, "{k}: {share}");
        }
    }

    #[test]
    fn pass_at_k_needs_one_reward_of_zero_or_one_and_counts_none_as_a_failure() {
        let one = result("a", r#"{"rewards":{"reward":1}}"#);
        let none = result("a", "null");
        assert_eq!(shares(&[one.clone(), none]), [(1, 0.5), (2, 1.0)]);
        for odd in [
            r#"{"rewards":{"reward":0.5}}"#,
            r#"{"rewards":{"reward":1,"speed":1}}"#,
            r#"{"rewards":{}}"#,
        ] {
            assert_eq!(shares(&[one.clone(), result("a", odd)]), [], "{odd}");
        }
        assert_eq!(shares(&[]), []);
    }

    #[test]
    fn means_count_a_missing_reward_as_zero() {
        let one = result("a", r#"{"rewards":{"score":1}}"#);
        let none = result("b", "null");
        let means = mean_rewards(&[&one, &none]);
        assert_eq!(means, BTreeMap::from([("mean".to_owned(), 0.5)]));
        let two = result("c", r#"{"rewards":{"reward":0.5,"speed":1}}"#);
        let means = mean_rewards(&[&two, &none]);
        let expected = [("reward".to_owned(), 0.25), ("speed".to_owned(), 0.5)];
        assert_eq!(means, BTreeMap::from(expected));
        let odd = result("d", r#"{"rewards":{"score":"NaN"}}"#);
        let means = mean_rewards(&[&one, &odd]);
        assert_eq!(means, BTreeMap::from([("mean".to_owned(), 0.5)]));
        assert!(mean_rewards(&[]).is_empty());
    }
}
