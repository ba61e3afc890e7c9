//! The figures of some trials: of a run, or of an agent, a model, a task.

use std::collections::{BTreeMap, BTreeSet};

use crate::aggregate::{Aggregate, median};
use crate::attempts::{TaskAttempts, flip_rate, harbors_ks, pass_at_k, pass_hat_k};
use crate::rate::Rate;
use crate::trial::TrialFacts;

/// How many trials there are, by what became of them. A trial may be in several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TrialCounts {
    /// All.
    pub trials: u64,
    /// Those with a final status, also errored, cancelled and lost ones.
    pub ended: u64,
    /// Of those, the ones of which it is known whether they are solved.
    pub known: u64,
    /// Solved.
    pub solved: u64,
    /// Solved ones that have an exception.
    pub solved_with_error: u64,
    /// With at least one reward.
    pub graded: u64,
    /// Graded, and nothing makes the reward worthless.
    pub valid: u64,
    /// With an exception.
    pub errored: u64,
    /// Cancelled.
    pub cancelled: u64,
    /// Whose process was gone before they ended.
    pub lost: u64,
    /// Running.
    pub running: u64,
    /// Neither ended nor running.
    pub pending: u64,
    /// Whose status and reward contradict each other.
    pub contradictory: u64,
}

impl TrialCounts {
    /// Counts one more trial.
    pub fn add(&mut self, trial: &TrialFacts<'_>) {
        let is_running = !trial.ended && trial.status.eq_ignore_ascii_case("running");
        for (count, is_one) in [
            (&mut self.trials, true),
            (&mut self.ended, trial.ended),
            (&mut self.known, trial.solved.is_some()),
            (&mut self.solved, trial.solved == Some(true)),
            (
                &mut self.solved_with_error,
                trial.solved == Some(true) && trial.errored(),
            ),
            (&mut self.graded, trial.graded),
            (&mut self.valid, trial.valid),
            (&mut self.errored, trial.errored()),
            (&mut self.cancelled, trial.cancelled),
            (&mut self.lost, trial.lost),
            (&mut self.running, is_running),
            (&mut self.pending, !trial.ended && !is_running),
            (&mut self.contradictory, trial.contradictory),
        ] {
            *count += u64::from(is_one);
        }
    }
}

/// The figures of some trials.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Figures {
    /// The trials by what became of them.
    pub counts: TrialCounts,
    /// Attempts at each task that ended and of which it is known whether they solved it, by the task's name.
    pub attempts: BTreeMap<String, TaskAttempts>,
    /// Those of them that count in pass@k, see [`TrialFacts::counts`].
    pub counted_attempts: BTreeMap<String, TaskAttempts>,
    /// Solved ÷ ended, as far as that is known; `None` as long as none has ended.
    pub rate: Option<Rate>,
    /// Solved ÷ valid: without the trials that failed for no fault of the agent's.
    pub rate_of_valid: Option<Rate>,
    /// Mean of *the* reward over the trials that count, of those that ended.
    pub mean_reward: Aggregate,
    /// Mean of each reward over the trials that have it, of those that ended; only where there are several keys.
    pub mean_rewards: BTreeMap<String, Aggregate>,
    /// Cost in US dollars, of all trials that ended.
    pub cost_usd: Aggregate,
    /// Trials that solved their task, of those whose cost is known.
    pub solved_at_known_cost: u64,
    /// Input tokens, with cached ones.
    pub input_tokens: Aggregate,
    /// Those of them that came from a cache.
    pub cached_tokens: Aggregate,
    /// Output tokens.
    pub output_tokens: Aggregate,
    /// Input and output tokens together, of trials of which both are known.
    pub tokens: Aggregate,
    /// Mean wall time in seconds.
    pub mean_duration_s: Aggregate,
    /// Median wall time in seconds, over the same trials.
    pub median_duration_s: Option<f64>,
    /// Median cost in US dollars, over the trials of which it is known.
    pub median_cost_usd: Option<f64>,
}

impl Figures {
    /// Computes the figures of some trials.
    #[must_use]
    pub fn from_trials<'a, 'b: 'a>(trials: impl Iterator<Item = &'a TrialFacts<'b>>) -> Self {
        let mut figures = Self::default();
        let mut valid: BTreeMap<&str, TaskAttempts> = BTreeMap::new();
        let mut attempts: BTreeMap<&str, TaskAttempts> = BTreeMap::new();
        let mut counted: BTreeMap<&str, TaskAttempts> = BTreeMap::new();
        let (mut durations, mut costs) = (Vec::new(), Vec::new());
        for trial in trials {
            figures.counts.add(trial);
            if let Some(solved) = trial.solved {
                attempts.entry(&trial.task).or_default().add(solved);
                if trial.valid {
                    valid.entry(&trial.task).or_default().add(solved);
                }
                if trial.counts {
                    counted.entry(&trial.task).or_default().add(solved);
                }
            }
            if !trial.ended {
                continue;
            }
            figures.mean_reward.add(trial.counted_reward);
            for (key, reward) in &trial.rewards {
                let known = figures.mean_rewards.entry(key.to_string());
                known.or_default().add(Some(*reward));
            }
            let count = |count: Option<u64>| count.map(|count| count as f64);
            let both = trial.input_tokens.zip(trial.output_tokens);
            figures.cost_usd.add(trial.cost_usd);
            let is_solved_at_cost = trial.solved == Some(true) && trial.cost_usd.is_some();
            figures.solved_at_known_cost += u64::from(is_solved_at_cost);
            figures.input_tokens.add(count(trial.input_tokens));
            figures.cached_tokens.add(count(trial.cached_tokens));
            figures.output_tokens.add(count(trial.output_tokens));
            figures.tokens.add(count(both.and(trial.tokens())));
            figures.mean_duration_s.add(trial.duration_s);
            durations.extend(trial.duration_s);
            costs.extend(trial.cost_usd);
        }
        let ended = figures.counts.ended;
        for mean in figures.mean_rewards.values_mut() {
            *mean = Aggregate { of: ended, ..*mean }.per_known();
        }
        figures.mean_reward = figures.mean_reward.per_known();
        figures.mean_duration_s = figures.mean_duration_s.per_known();
        figures.median_duration_s = median(durations);
        figures.median_cost_usd = median(costs);
        figures.rate = Rate::over_tasks(&attempts.values().copied().collect::<Vec<_>>());
        figures.rate_of_valid = Rate::over_tasks(&valid.values().copied().collect::<Vec<_>>());
        let named = |tasks: BTreeMap<&str, TaskAttempts>| {
            let tasks = tasks.into_iter();
            tasks
                .map(|(task, attempts)| (task.to_owned(), attempts))
                .collect()
        };
        figures.attempts = named(attempts);
        figures.counted_attempts = named(counted);
        figures
    }

    /// Returns pass@k for the values of k that Harbor reports, up to the most attempts at a task; each with how many
    /// tasks have enough attempts.
    #[must_use]
    pub fn pass_at_k(&self) -> BTreeMap<u64, Aggregate> {
        self.by_k(pass_at_k)
    }

    /// Returns pass^k likewise.
    #[must_use]
    pub fn pass_hat_k(&self) -> BTreeMap<u64, Aggregate> {
        self.by_k(pass_hat_k)
    }

    /// Returns the mean chance that two attempts at a task differ.
    #[must_use]
    pub fn flip_rate(&self) -> Aggregate {
        flip_rate(&self.attempts.values().copied().collect::<Vec<_>>())
    }

    /// Returns the cost of all trials for each solved one, over the trials whose cost is known; without a solved one
    /// among them, there is no value.
    #[must_use]
    pub fn cost_per_solved_usd(&self) -> Aggregate {
        let solved = self.solved_at_known_cost;
        let per_solved = |cost: f64| (solved > 0).then(|| cost / solved as f64);
        Aggregate {
            value: self.cost_usd.value.and_then(per_solved),
            ..self.cost_usd
        }
    }

    fn by_k(&self, figure: impl Fn(&[TaskAttempts], u64) -> Aggregate) -> BTreeMap<u64, Aggregate> {
        let tasks: Vec<TaskAttempts> = self.counted_attempts.values().copied().collect();
        let most = tasks.iter().map(|task| task.attempts).max().unwrap_or(0);
        let ks: BTreeSet<u64> = harbors_ks(most);
        ks.into_iter().map(|k| (k, figure(&tasks, k))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(task: &'static str, solved: Option<bool>) -> TrialFacts<'static> {
        TrialFacts {
            task: task.into(),
            ended: true,
            solved,
            ..TrialFacts::default()
        }
    }

    #[test]
    fn each_figure_says_over_how_many_trials_it_is() {
        let solved = TrialFacts {
            valid: true,
            graded: true,
            counts: true,
            counted_reward: Some(1.0),
            cost_usd: Some(0.5),
            input_tokens: Some(10),
            output_tokens: Some(5),
            duration_s: Some(60.0),
            exceptions: vec!["AgentTimeoutError".into()],
            ..ended("a", Some(true))
        };
        let lost = TrialFacts {
            lost: true,
            input_tokens: Some(7),
            ..ended("a", Some(false))
        };
        let absent = ended("b", None);
        let running = TrialFacts {
            task: "b".into(),
            status: "running".into(),
            ..TrialFacts::default()
        };
        let waiting = TrialFacts::default();
        let figures = Figures::from_trials([solved, lost, absent, running, waiting].iter());
        let expected = TrialCounts {
            trials: 5,
            ended: 3,
            known: 2,
            solved: 1,
            solved_with_error: 1,
            graded: 1,
            valid: 1,
            errored: 1,
            lost: 1,
            running: 1,
            pending: 1,
            ..TrialCounts::default()
        };
        assert_eq!(figures.counts, expected);
        let rate = figures.rate.unwrap();
        assert_eq!((rate.solved, rate.attempts, rate.tasks), (1, 2, 1));
        assert_eq!(figures.rate_of_valid.unwrap().value, 1.0);
        let known = |a: Aggregate| (a.value, a.n, a.of);
        assert_eq!(known(figures.mean_reward), (Some(1.0), 1, 3));
        assert_eq!(known(figures.cost_usd), (Some(0.5), 1, 3));
        assert_eq!(known(figures.input_tokens), (Some(17.0), 2, 3));
        assert_eq!(known(figures.tokens), (Some(15.0), 1, 3));
        // The lost one may have cost something, too.
        assert_eq!(known(figures.cost_per_solved_usd()), (Some(0.5), 1, 3));
        assert_eq!(figures.median_duration_s, Some(60.0));
        // The lost one does not count in it.
        assert_eq!(known(figures.pass_at_k()[&1]), (Some(1.0), 1, 1));
        assert_eq!(figures.pass_at_k().len(), 1);
        assert_eq!(known(figures.flip_rate()), (Some(1.0), 1, 1));
    }

    #[test]
    fn nothing_has_no_figures() {
        let figures = Figures::from_trials(std::iter::empty());
        assert_eq!((figures.rate, figures.cost_usd.value), (None, None));
        assert!(figures.pass_hat_k().is_empty());
    }
}
