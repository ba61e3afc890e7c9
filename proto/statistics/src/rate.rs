//! The share of solved attempts, and how well it is known.

use crate::attempts::TaskAttempts;
use crate::interval::{Interval, UPPER};
use crate::special::normal_quantile;

/// A share of attempts, with what it is over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// The share: solved ÷ attempts.
    pub value: f64,
    /// Attempts that solved their task.
    pub solved: u64,
    /// All attempts that count.
    pub attempts: u64,
    /// Number of tasks.
    pub tasks: u64,
    /// The standard error. Attempts at one task are not independent, so they are grouped: see [`clustered_variance`].
    pub standard_error: f64,
    /// The interval for other tasks of the same kind, of which these are a sample.
    pub interval: Interval,
    /// The interval for further attempts at these very tasks.
    pub on_these_tasks: Interval,
}

impl Rate {
    /// Returns the rate over some tasks; `None` without attempts.
    ///
    /// The interval is Wilson's (1927). With several attempts at a task, the number of attempts in it is the effective
    /// one: that of independent attempts with the same standard error (Kish 1965; Dean and Pagano 2015, "Evaluating
    /// Confidence Interval Methods for Binomial Proportions in Clustered Surveys"). Where the tasks do not differ at
    /// all, it is the number of tasks.
    #[must_use]
    pub fn over_tasks(tasks: &[TaskAttempts]) -> Option<Self> {
        let tasks: Vec<&TaskAttempts> = tasks.iter().filter(|task| task.attempts > 0).collect();
        let attempts: u64 = tasks.iter().map(|task| task.attempts).sum();
        if attempts == 0 {
            return None;
        }
        let solved: u64 = tasks.iter().map(|task| task.solved).sum();
        let value = solved as f64 / attempts as f64;
        let clusters = tasks.iter().map(|task| (task.attempts, task.solved as f64));
        let variance = clustered_variance(value, clusters);
        let effective = effective_attempts(value, variance, attempts, tasks.len() as u64);
        // The attempts at a task vary by p (1 − p), estimated without bias from two attempts or more.
        let within: f64 = tasks
            .iter()
            .map(|task| {
                let n = task.attempts as f64;
                n * task
                    .flip_rate()
                    .map_or(value * (1.0 - value), |flips| 0.5 * flips)
            })
            .sum();
        let total = attempts as f64;
        let on_these = match value * (1.0 - value) * total * total / within {
            effective if effective.is_finite() => effective,
            _ => total,
        };
        Some(Self {
            value,
            solved,
            attempts,
            tasks: tasks.len() as u64,
            standard_error: variance.map_or(f64::NAN, f64::sqrt),
            interval: wilson(value, effective),
            on_these_tasks: wilson(value, on_these),
        })
    }
}

/// Returns the variance of a mean over values that come in groups, of which one adds up to the given sum: the sum over
/// groups of the squared sum of deviations, ÷ the squared number of values (Miller 2024, "Adding Error Bars to Evals",
/// section 2.2), times groups ÷ (groups − 1), as statsmodels corrects few groups. `None` for fewer than two groups.
pub fn clustered_variance(mean: f64, groups: impl Iterator<Item = (u64, f64)>) -> Option<f64> {
    let (mut squares, mut values, mut count) = (0.0, 0.0, 0.0);
    for (size, sum) in groups {
        let size = size as f64;
        squares += (sum - size * mean).powi(2);
        values += size;
        count += 1.0;
    }
    (count > 1.0).then(|| squares / (values * values) * count / (count - 1.0))
}

/// Returns how many independent attempts would know a rate as well: p (1 − p) ÷ variance, but not more than there are.
/// With one attempt per task that is their number; where nothing varies, it is the number of tasks.
#[must_use]
pub fn effective_attempts(rate: f64, variance: Option<f64>, attempts: u64, tasks: u64) -> f64 {
    match variance {
        _ if attempts == tasks => attempts as f64,
        Some(variance) if variance > 0.0 => (rate * (1.0 - rate) / variance).min(attempts as f64),
        _ => tasks as f64,
    }
}

/// Returns Wilson's interval of 95 % for a rate that was found in `attempts` independent attempts, which need not be
/// a whole number (Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference").
#[must_use]
pub fn wilson(rate: f64, attempts: f64) -> Interval {
    let z = normal_quantile(UPPER);
    let z2 = z * z / attempts;
    let middle = (rate + 0.5 * z2) / (1.0 + z2);
    let half = z / (1.0 + z2)
        * (rate * (1.0 - rate) / attempts + 0.25 * z2 / attempts)
            .max(0.0)
            .sqrt();
    Interval {
        low: (middle - half).max(0.0),
        high: (middle + half).min(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks(counts: &[(u64, u64)]) -> Vec<TaskAttempts> {
        let counts = counts.iter();
        counts
            .map(|&(attempts, solved)| TaskAttempts { attempts, solved })
            .collect()
    }

    fn assert_close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }

    #[test]
    fn with_one_attempt_per_task_the_interval_is_wilsons() {
        // statsmodels.stats.proportion.proportion_confint(3, 10, method="wilson")
        let mut counts = vec![(1, 1); 3];
        counts.extend([(1, 0); 7]);
        let rate = Rate::over_tasks(&tasks(&counts)).unwrap();
        assert_close(rate.interval.low, 0.107_791_267_406_301_04);
        assert_close(rate.interval.high, 0.603_221_852_538_854_6);
        assert_eq!((rate.solved, rate.attempts, rate.tasks), (3, 10, 10));
        assert_close(rate.value, 0.3);
    }

    #[test]
    fn attempts_at_the_same_task_know_less_than_as_many_at_others() {
        // Each task is always solved or never: five attempts know no more than one.
        let always = Rate::over_tasks(&tasks(&[(5, 5), (5, 0), (5, 5), (5, 0)])).unwrap();
        let once = Rate::over_tasks(&tasks(&[(1, 1), (1, 0), (1, 1), (1, 0)])).unwrap();
        assert!(always.interval.half_width() >= once.interval.half_width());
        // At these very tasks, further attempts will be the same.
        assert!(always.on_these_tasks.half_width() < 0.22);
        // Every task is solved half of the time: they are as good as attempts at other tasks.
        let even = Rate::over_tasks(&tasks(&[(4, 2); 5])).unwrap();
        assert_close(even.standard_error, 0.0);
        assert!(even.on_these_tasks.half_width() < even.interval.half_width());
    }

    #[test]
    fn none_and_all_have_an_interval_too() {
        let none = Rate::over_tasks(&tasks(&[(5, 0); 10])).unwrap();
        assert_close(none.interval.low, 0.0);
        assert!(none.interval.high > 0.2);
        let all = Rate::over_tasks(&tasks(&[(1, 1)])).unwrap();
        assert_close(all.interval.high, 1.0);
        assert!(all.interval.low < 0.3 && all.standard_error.is_nan());
        assert_eq!(Rate::over_tasks(&tasks(&[(0, 0)])), None);
    }
}
