//! Intervals of paired differences.

use super::{mean, quantiles};
use crate::interval::Interval;
use crate::rate::effective_attempts;
use crate::special::{beta_quantile, normal_probability};

/// How an interval of a difference was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntervalMethod {
    /// Student's t over the differences of tasks.
    PairedT,
    /// From the Jeffreys intervals of both sides.
    PairedJeffreys,
    /// Student's t over the attempts within tasks.
    AttemptsT,
    /// From the Jeffreys intervals of both sides on these tasks.
    AttemptsJeffreys,
}

impl IntervalMethod {
    /// Returns its name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PairedT => "paired_t",
            Self::PairedJeffreys => "paired_jeffreys",
            Self::AttemptsT => "attempts_t",
            Self::AttemptsJeffreys => "attempts_jeffreys",
        }
    }
}

/// Returns the interval of 95 % of a mean of differences by Student's t; `None` for fewer than two.
#[must_use]
pub fn paired_t(differences: &[f64]) -> Option<Interval> {
    let count = differences.len() as f64;
    if count < 2.0 {
        return None;
    }
    let middle = mean(differences);
    let squares: f64 = differences.iter().map(|d| (d - middle).powi(2)).sum();
    let standard_error = (squares / (count - 1.0) / count).sqrt();
    let (upper, _) = quantiles(count - 1.0);
    Some(Interval::around(middle, upper * standard_error))
}

/// Returns the interval of a difference between two shares over the same tasks from the intervals of both and the
/// correlation of their means, by squaring and adding (Newcombe 1998, "Improved Confidence Intervals for the Difference
/// between Binomial Proportions Based on Paired Data", method 8; Zou and Donner 2008 for intervals of any kind).
///
/// The intervals are Jeffreys' (Brown, Cai and DasGupta 2001), which are shorter near 0 and 1 than Wilson's: with those,
/// differences of rates near 0 and 1 would hold the truth in up to 99 of 100 cases.
///
/// `means` are those of both sides by task, `attempts` all of theirs, and `quantile` is how many standard errors the
/// ends of an interval are away. Several attempts at a task count as many as they are worth, as in
/// [`Rate`](crate::rate::Rate).
#[must_use]
pub fn paired_jeffreys(means: &[(f64, f64)], attempts: (u64, u64), quantile: f64) -> Interval {
    let before = Side::new(
        means.iter().map(|(before, _)| *before),
        attempts.0,
        quantile,
    );
    let after = Side::new(means.iter().map(|(_, after)| *after), attempts.1, quantile);
    let together: f64 = means
        .iter()
        .map(|(a, b)| (a - before.mean) * (b - after.mean))
        .sum();
    let spread = (before.squares * after.squares).sqrt();
    // A few tasks that all go together do not prove that every task does: shrunk by one task.
    let shrunk = 1.0 - 1.0 / means.len() as f64;
    let correlation = match shrunk * together / spread {
        correlation if correlation.is_finite() => correlation.clamp(-1.0, 1.0),
        _ => 0.0,
    };
    let reach = |of_after: f64, of_before: f64| {
        let covariance = 2.0 * correlation * of_after * of_before;
        (of_after * of_after - covariance + of_before * of_before)
            .max(0.0)
            .sqrt()
    };
    let value = after.mean - before.mean;
    Interval {
        low: (value - reach(after.below, before.above)).max(-1.0),
        high: (value + reach(after.above, before.below)).min(1.0),
    }
}

/// Returns the interval of a difference between two shares that are independent, each with its interval, by squaring and
/// adding.
pub(super) fn independent(before: (f64, Interval), after: (f64, Interval)) -> Interval {
    let reach = |of_after: f64, of_before: f64| of_after.hypot(of_before);
    let value = after.0 - before.0;
    Interval {
        low: (value - reach(after.0 - after.1.low, before.1.high - before.0)).max(-1.0),
        high: (value + reach(after.1.high - after.0, before.0 - before.1.low)).min(1.0),
    }
}

/// Returns Jeffreys' interval for a rate that was found in `attempts` independent attempts, which need not be a whole
/// number: the equal-tailed interval of the beta distribution with half an attempt more of either kind. It ends at 0 or 1
/// where no attempt, or each, was solved.
#[must_use]
pub(crate) fn jeffreys(rate: f64, attempts: f64, quantile: f64) -> Interval {
    let (solved, unsolved) = (rate * attempts + 0.5, (1.0 - rate) * attempts + 0.5);
    let upper = normal_probability(quantile);
    let end = |probability, at_end: bool, end| match at_end {
        true => end,
        false => beta_quantile(probability, solved, unsolved),
    };
    Interval {
        low: end(1.0 - upper, rate <= 0.0, 0.0),
        high: end(upper, rate >= 1.0, 1.0),
    }
}

/// One side of a difference.
struct Side {
    mean: f64,
    /// Sum of the squared deviations of tasks.
    squares: f64,
    /// How far the ends of its interval are from its mean.
    below: f64,
    above: f64,
}

impl Side {
    fn new(means: impl Iterator<Item = f64>, attempts: u64, quantile: f64) -> Self {
        let means: Vec<f64> = means.collect();
        let mean = mean(&means);
        let squares: f64 = means.iter().map(|m| (m - mean).powi(2)).sum();
        let tasks = means.len() as f64;
        let variance = (tasks > 1.0).then(|| squares / (tasks * (tasks - 1.0)));
        let effective = effective_attempts(mean, variance, attempts, means.len() as u64);
        let interval = jeffreys(mean, effective, quantile);
        Self {
            mean,
            squares,
            below: mean - interval.low,
            above: interval.high - mean,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::special::normal_quantile;

    #[test]
    fn a_rate_has_jeffreys_interval() {
        // statsmodels.stats.proportion.proportion_confint(3, 10, method="jeffreys")
        let interval = jeffreys(0.3, 10.0, normal_quantile(0.975));
        assert!((interval.low - JEFFREYS.0).abs() < 1e-9, "{interval:?}");
        assert!((interval.high - JEFFREYS.1).abs() < 1e-9, "{interval:?}");
        assert_eq!(jeffreys(0.0, 10.0, 1.96).low, 0.0);
        assert_eq!(jeffreys(1.0, 10.0, 1.96).high, 1.0);
    }

    const JEFFREYS: (f64, f64) = (0.09269459393815316, 0.6058183181486714);

    #[test]
    fn sides_that_go_together_have_a_shorter_interval() {
        let alike: Vec<(f64, f64)> = (0..40)
            .map(|at| (at as f64 / 40.0, at as f64 / 40.0))
            .collect();
        let opposite: Vec<(f64, f64)> = alike.iter().map(|(a, _)| (*a, 39.0 / 40.0 - a)).collect();
        let width = |pairs: &[(f64, f64)]| paired_jeffreys(pairs, (200, 200), 1.96).half_width();
        assert!(width(&alike) < 0.5 * width(&opposite));
        let interval = paired_jeffreys(&alike, (200, 200), 1.96);
        assert!((interval.low + interval.high).abs() < 1e-12 && interval.high > 0.0);
    }

    #[test]
    fn differences_that_do_not_vary_have_an_interval_all_the_same() {
        let interval = paired_jeffreys(&[(0.0, 0.0); 10], (50, 50), 1.96);
        assert!(interval.low < -0.15 && interval.high > 0.15, "{interval:?}");
        assert_eq!(paired_t(&[0.5]), None);
        let same = paired_t(&[0.5, 0.5]).unwrap();
        assert_eq!((same.low, same.high), (0.5, 0.5));
    }
}
