//! The difference on exactly these tasks: what further attempts at them would show, not other tasks.
//!
//! For a benchmark that is fixed and was run whole. Only the attempts within each task vary, so that intervals are
//! shorter, and say less.

use super::interval::{IntervalMethod, independent, jeffreys};
use super::stratified::stratified;
use super::{
    PairedDifference, PairedTask, Scale, back, is_sparse, mean, on_scale, quantiles, tried_tasks,
};
use crate::interval::Interval;

/// Compares two sides over the tasks that both tried, as [`paired_difference`](super::paired_difference) with the same
/// estimate, but resamples attempts only. `None` if no task was tried by both.
///
/// The variance is Σ over tasks and sides of s² ÷ n, divided by the square of the number of tasks, with s² the variance of the
/// n attempts of a side at a task. Where there is one attempt, s² is the mean of all others, or, of what is solved or
/// not, rate (1 − rate) of the side, which is too large rather than too small. The interval is Student's with the degrees of
/// freedom of Satterthwaite (1946); of what is solved or not, it is built from both sides' Jeffreys intervals with effective
/// numbers of attempts (Newcombe 1998, "Interval Estimation for the Difference between Independent Proportions", method
/// 10, with other intervals). There is none if no task was tried twice by a side: nothing then says how much attempts
/// vary.
///
/// The test permutes attempts within tasks, see [`stratified`].
#[must_use]
pub fn difference_on_these_tasks(tasks: &[PairedTask], scale: Scale) -> Option<PairedDifference> {
    let tasks = tried_tasks(tasks);
    if tasks.is_empty() {
        return None;
    }
    let means: Vec<(f64, f64)> = tasks
        .iter()
        .map(|task| (mean(&task.before), mean(&task.after)))
        .collect();
    let value = mean_difference(&tasks, scale);
    let values = || {
        tasks
            .iter()
            .flat_map(|task| task.before.iter().chain(&task.after))
    };
    let is_binary = scale == Scale::Difference && values().all(|v| *v == 0.0 || *v == 1.0);
    let is_share = scale == Scale::Difference && values().all(|v| (0.0..=1.0).contains(v));
    let method = if is_binary || is_share && is_sparse(&means) {
        IntervalMethod::AttemptsJeffreys
    } else {
        IntervalMethod::AttemptsT
    };
    let is_repeated = |task: &&PairedTask| task.before.len() > 1 || task.after.len() > 1;
    let found = tasks.iter().any(is_repeated).then(|| match method {
        IntervalMethod::AttemptsJeffreys => {
            let quantiles = quantiles(f64::INFINITY);
            let before: Vec<&[f64]> = tasks.iter().map(|task| &*task.before).collect();
            let after: Vec<&[f64]> = tasks.iter().map(|task| &*task.after).collect();
            let sides = (side(&before, quantiles.0), side(&after, quantiles.0));
            (independent(sides.0, sides.1), quantiles)
        }
        _ => attempts_t(&tasks, scale),
    });
    let test = stratified(&tasks, scale);
    let detectable = found.map(|(interval, (upper, power))| {
        let half = interval.half_width();
        half.max(test.critical.unwrap_or(0.0)) + half / upper * power
    });
    Some(PairedDifference {
        value: back(value, scale),
        interval: found.map(|(interval, _)| Interval {
            low: back(interval.low, scale),
            high: back(interval.high, scale),
        }),
        method,
        test,
        detectable: detectable.map(|detectable| back(detectable, scale)),
        tasks: tasks.len() as u64,
        scale,
    })
}

/// Returns the interval of 95 % of the mean difference on these tasks by Student's t, on its scale, and the quantiles of t
/// at its upper end and at a power of 80 %. A side must have tried a task twice.
#[must_use]
pub fn attempts_t(tasks: &[&PairedTask], scale: Scale) -> (Interval, (f64, f64)) {
    let cells: Vec<&[f64]> = tasks
        .iter()
        .flat_map(|task| [&*task.before, &*task.after])
        .collect();
    let spread = Spread::of(&cells, scale);
    let quantiles = quantiles(spread.degrees);
    let half = quantiles.0 * spread.sum.sqrt() / tasks.len() as f64;
    let interval = Interval::around(mean_difference(tasks, scale), half);
    (interval, quantiles)
}

/// Returns the mean of the tasks' differences, on the scale.
fn mean_difference(tasks: &[&PairedTask], scale: Scale) -> f64 {
    let differences = tasks
        .iter()
        .map(|task| on_scale(mean(&task.after), scale) - on_scale(mean(&task.before), scale));
    mean(&differences.collect::<Vec<f64>>())
}

/// How much the means of tasks vary by their attempts.
struct Spread {
    /// The sum of the variances of all means, on the scale.
    sum: f64,
    /// The degrees of freedom of that sum; not a number if no attempts differ.
    degrees: f64,
}

impl Spread {
    /// `cells` are the attempts of one side at one task each.
    fn of(cells: &[&[f64]], scale: Scale) -> Self {
        // Of a logarithm, by the delta method.
        let variance = |cell: &[f64]| match scale {
            Scale::Difference => sample_variance(cell),
            Scale::Ratio => sample_variance(cell) / mean(cell).powi(2),
        };
        let repeated: Vec<&&[f64]> = cells.iter().filter(|cell| cell.len() > 1).collect();
        let single = (cells.len() - repeated.len()) as f64;
        // The sum is one of the variances of repeated cells, each with a weight.
        let parts = repeated.iter().map(|cell| {
            let weight = 1.0 / cell.len() as f64 + single / repeated.len() as f64;
            (weight * variance(cell), cell.len() as f64 - 1.0)
        });
        let parts: Vec<(f64, f64)> = parts.collect();
        let sum: f64 = parts.iter().map(|(part, _)| part).sum();
        let squares: f64 = parts.iter().map(|(part, free)| part * part / free).sum();
        Self {
            sum,
            degrees: sum * sum / squares,
        }
    }
}

/// Returns a side's mean with its Jeffreys interval on these tasks.
///
/// The effective number of attempts is that of independent ones with the same variance. To the tasks one is added whose
/// attempts vary as much as all of the side's do: where a few attempts at a task are alike, it does not follow that all
/// would be.
fn side(cells: &[&[f64]], quantile: f64) -> (f64, Interval) {
    let rate = mean(&cells.iter().map(|cell| mean(cell)).collect::<Vec<f64>>());
    let tasks = cells.len() as f64;
    let attempts: usize = cells.iter().map(|cell| cell.len()).sum();
    let attempts = attempts as f64;
    let most = rate * (1.0 - rate);
    let variances = cells.iter().map(|cell| match cell.len() {
        1 => most,
        count => sample_variance(cell) / count as f64,
    });
    let added = most * tasks / attempts;
    let variance = (variances.sum::<f64>() + added) / (tasks + 1.0) / tasks;
    let effective = match most / variance {
        effective if effective.is_finite() => effective,
        _ => attempts,
    };
    (rate, jeffreys(rate, effective, quantile))
}

fn sample_variance(values: &[f64]) -> f64 {
    let middle = mean(values);
    let squares: f64 = values.iter().map(|value| (value - middle).powi(2)).sum();
    squares / (values.len() as f64 - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::difference::{Claim, Verdict, paired_difference};

    fn task(before: &[f64], after: &[f64]) -> PairedTask {
        PairedTask {
            before: before.to_vec(),
            after: after.to_vec(),
        }
    }

    #[test]
    fn tasks_that_differ_widely_do_not_count_but_their_attempts_do() {
        // Better at half of the tasks and worse at the others, always: certain here, and nothing for other tasks.
        let mut tasks = vec![task(&[0.0; 5], &[1.0; 5]); 12];
        tasks.extend(vec![task(&[1.0; 5], &[0.0; 5]); 8]);
        let claim = Claim {
            margin: 0.02,
            less_is_better: false,
        };
        let here = difference_on_these_tasks(&tasks, Scale::Difference).unwrap();
        let elsewhere = paired_difference(&tasks, Scale::Difference).unwrap();
        assert_eq!(here.value, elsewhere.value);
        assert_eq!(claim.judge(&here, here.test.p), Verdict::Better);
        assert_eq!(claim.judge(&elsewhere, elsewhere.test.p), Verdict::Unclear);
    }

    #[test]
    fn one_attempt_at_each_task_says_nothing_about_attempts() {
        let tasks = vec![task(&[0.0], &[1.0]); 30];
        let found = difference_on_these_tasks(&tasks, Scale::Difference).unwrap();
        assert_eq!((found.value, found.interval), (1.0, None));
        assert_eq!(found.detectable, None);
        let mut tasks = tasks;
        tasks[0].after.push(1.0);
        let found = difference_on_these_tasks(&tasks, Scale::Difference).unwrap();
        assert!(found.interval.is_some());
        assert_eq!(difference_on_these_tasks(&[], Scale::Ratio), None);
    }

    #[test]
    fn what_is_spent_is_a_ratio_with_the_same_estimate() {
        let tasks: Vec<PairedTask> = (1..=20)
            .map(|size| {
                let size = f64::from(size);
                task(&[size, 1.2 * size], &[2.0 * size, 2.2 * size])
            })
            .collect();
        let found = difference_on_these_tasks(&tasks, Scale::Ratio).unwrap();
        let interval = found.interval.unwrap();
        let expected = paired_difference(&tasks, Scale::Ratio).unwrap().value;
        assert!((found.value - expected).abs() < 1e-12);
        assert!(interval.low > 1.7 && interval.low < expected && interval.high < 2.1);
        assert!(found.test.p < 0.001);
    }
}
