//! Figures of a job per agent, model and dataset, computed as in Harbor; pure.
//!
//! Harbor writes mean rewards as trials end, and pass@k when the job finishes. Here both are computed from
//! the trials at any time with Harbor's formulas, so that they agree in the end.

use std::collections::{BTreeMap, BTreeSet};

use docks_statistics::attempts::{self, TaskAttempts, harbors_ks};

use crate::derive::reward_rules::RewardRules;
use crate::derive::trial_counts::TrialCounts;
use crate::derive::trial_facts::{ResultFacts, TrialFacts};
use crate::derive::trial_state::StateKind;
use crate::format::usage::Usage;

/// The figures of one group. Numbers are those of the terms of its trials.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// The trials by their state.
    pub(crate) counts: TrialCounts,
    /// Number of errors by type.
    pub(crate) errors: BTreeMap<u32, u64>,
    /// Number of trials with a valid reward.
    pub(crate) valid: u64,
    /// Mean of each reward over the trials that count; a missing reward counts as 0.
    pub(crate) mean_rewards: MeanRewards,
    /// Probability that at least one of k attempts at a task solves it, by k.
    pub(crate) pass_at_k: BTreeMap<u64, f64>,
    /// Tokens and cost.
    pub(crate) usage: Usage,
    /// Of how many trials the cost is known.
    pub(crate) cost_n: u64,
}

/// Harbor's metric `mean`: named `mean` if there is one reward key, else after each key.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum MeanRewards {
    /// No trial counts.
    #[default]
    None,
    /// There is one key, or none.
    One(f64),
    /// By key.
    ByKey(Vec<(u32, f64)>),
}

/// Adds up the trials of a group, in the order of the list: sums of floating-point numbers depend on it.
#[derive(Debug, Default)]
pub(crate) struct Group {
    figures: Figures,
    /// Trials that count.
    counted: u64,
    /// The sum of the first reward of each trial.
    first: f64,
    by_key: BTreeMap<u32, f64>,
    /// The rank of the task of each attempt, and whether it was solved.
    attempts: Vec<(u32, bool)>,
    /// Whether a reward is other than 0 or 1.
    is_graded: bool,
}

impl Group {
    /// Adds a trial.
    pub(crate) fn add(&mut self, trial: &TrialFacts, rules: RewardRules, task_ranks: &[u32]) {
        let figures = &mut self.figures;
        figures.counts.add(trial.kind);
        for kind in &trial.errors {
            *figures.errors.entry(*kind).or_default() += 1;
        }
        figures.valid += u64::from(trial.is_valid == Some(true));
        let Some(result) = &trial.result else {
            return;
        };
        figures.cost_n += u64::from(result.usage.cost_usd.is_some());
        figures.usage = figures.usage.plus(result.usage);
        if rules.counts(result.is_valid) {
            self.add_counted(result, task_ranks);
        }
    }

    /// Adds a trial that has not started.
    pub(crate) fn add_pending(&mut self) {
        self.figures.counts.add(StateKind::default());
    }

    fn add_counted(&mut self, result: &ResultFacts, task_ranks: &[u32]) {
        self.counted += 1;
        // A verifier can write any number of keys, so they are not compared with each other.
        let mut seen = BTreeSet::new();
        for (at, (key, reward)) in result.rewards.iter().enumerate() {
            if !seen.insert(*key) {
                continue;
            }
            // One that is not finite counts like a missing one, as zero.
            let reward = if reward.is_finite() { *reward } else { 0.0 };
            *self.by_key.entry(*key).or_default() += reward;
            if at == 0 {
                self.first += reward;
            }
        }
        let solved = match result.rewards[..] {
            [] if !result.has_rewards => false,
            [(_, reward)] if reward == 0.0 || reward == 1.0 => reward == 1.0,
            _ => {
                self.is_graded = true;
                return;
            }
        };
        let rank = task_ranks[result.task as usize];
        self.attempts.push((rank, solved));
    }

    /// Returns the figures.
    pub(crate) fn into_figures(mut self) -> Figures {
        let n = self.counted as f64;
        self.figures.mean_rewards = match self.by_key.len() {
            _ if self.counted == 0 => MeanRewards::None,
            0 | 1 => MeanRewards::One(self.first / n),
            _ => MeanRewards::ByKey(self.by_key.iter().map(|(k, sum)| (*k, sum / n)).collect()),
        };
        if !self.is_graded {
            self.figures.pass_at_k = pass_at_k(self.attempts);
        }
        self.figures
    }
}

/// Computes Harbor's pass@k, and pass@1 by the same formula, of attempts by the rank of their task.
fn pass_at_k(mut by_rank: Vec<(u32, bool)>) -> BTreeMap<u64, f64> {
    by_rank.sort_unstable();
    let tasks: Vec<TaskAttempts> = by_rank
        .chunk_by(|a, b| a.0 == b.0)
        .map(|task| TaskAttempts {
            attempts: task.len() as u64,
            solved: task.iter().filter(|(_, solved)| *solved).count() as u64,
        })
        .collect();
    let fewest = tasks.iter().map(|task| task.attempts).min();
    let ks = fewest.map(harbors_ks).unwrap_or_default().into_iter();
    ks.filter_map(|k| Some((k, attempts::pass_at_k(&tasks, k).value?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::derive::trial_facts::Terms;
    use crate::derive::trial_state::ended_state;
    use crate::derive::trial_view::{TrialView, configured_agent};
    use crate::format::trial::TrialResult;
    use crate::snapshot::trial_snapshot::TrialSnapshot;

    fn result(task: &str, rewards: &str) -> TrialResult {
        let text = format!(r#"{{"task_name":"{task}","verifier_result":{rewards}}}"#);
        TrialResult::parse(&text).unwrap()
    }

    fn figures(results: &[TrialResult]) -> (Figures, Terms) {
        let mut terms = Terms::default();
        let snapshot = TrialSnapshot::default();
        let rules = RewardRules::MissingIsZero;
        let facts: Vec<TrialFacts> = results
            .iter()
            .map(|result| {
                let trial = TrialView {
                    id: "",
                    created: None,
                    served: None,
                    snapshot: &snapshot,
                    result: Some(result),
                    state: ended_state(result, rules),
                    started: None,
                    finished: None,
                    agent: configured_agent(&snapshot),
                };
                terms.trial_facts(&trial, rules)
            })
            .collect();
        let mut group = Group::default();
        for facts in &facts {
            group.add(facts, rules, &terms.tasks.ranks());
        }
        (group.into_figures(), terms)
    }

    fn shares(results: &[TrialResult]) -> Vec<(u64, f64)> {
        figures(results).0.pass_at_k.into_iter().collect()
    }

    fn mean_rewards(results: &[&TrialResult]) -> BTreeMap<String, f64> {
        let results: Vec<TrialResult> = results.iter().map(|result| (*result).clone()).collect();
        let (figures, terms) = figures(&results);
        match figures.mean_rewards {
            MeanRewards::None => BTreeMap::new(),
            MeanRewards::One(mean) => BTreeMap::from([("mean".to_owned(), mean)]),
            MeanRewards::ByKey(means) => {
                let means = means.into_iter();
                means
                    .map(|(key, mean)| (terms.texts.value(key).to_owned(), mean))
                    .collect()
            }
        }
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
    fn means_over_very_many_rewards_take_time_in_proportion() {
        // Comparing each key with each other one would take minutes.
        let rewards: Vec<String> = (0..200_000).map(|key| format!("\"k{key}\":1")).collect();
        let rewards = format!(r#"{{"rewards":{{{}}}}}"#, rewards.join(","));
        let results = [result("a", &rewards), result("b", "null")];
        let started = std::time::Instant::now();
        let means = mean_rewards(&results.iter().collect::<Vec<_>>());
        assert_eq!((means.len(), means["k199999"]), (200_000, 0.5));
        let took = started.elapsed();
        assert!(took < std::time::Duration::from_secs(10), "{took:?}");
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
