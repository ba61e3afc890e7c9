//! The difference between two sides that tried the same tasks.
//!
//! Tasks are paired, and the attempts at a task are averaged first, so that neither a hard task nor one that was tried
//! more often counts for one side only.

mod contingency;
mod holm;
mod interval;
mod permutation;
mod stratified;
mod these_tasks;
mod verdict;

pub use contingency::{fisher_exact, mcnemar_exact};
pub use holm::holm;
pub use interval::{IntervalMethod, paired_jeffreys, paired_t};
pub use permutation::{sign_flip, two_samples, whole_sign_flip};
pub use stratified::stratified;
pub use these_tasks::{attempts_t, difference_on_these_tasks};
pub use verdict::{Claim, Verdict, is_shown};

use crate::interval::{Interval, UPPER};
use crate::special::{normal_quantile, t_quantile};

/// The attempts of both sides at one task.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PairedTask {
    /// The values of the attempts of the first side.
    pub before: Vec<f64>,
    /// Those of the second.
    pub after: Vec<f64>,
}

/// How a difference is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Second mean less first.
    Difference,
    /// Second mean ÷ first: computed from logarithms, for what is never negative and often many times as large.
    Ratio,
}

/// The test that a p-value is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    /// McNemar's exact test, for one attempt at each task that is solved or not.
    McNemarExact,
    /// The sign-flip permutation test over all ways to swap the sides of tasks.
    SignFlipExact,
    /// The same over 10,000 of them.
    SignFlipSampled,
    /// Fisher's exact test of two groups of attempts that are solved or not.
    FisherExact,
    /// The permutation test of two groups of values over all ways to divide them.
    PermutationExact,
    /// The same over 10,000 of them.
    PermutationSampled,
    /// The permutation test of attempts within tasks, over all ways to divide them.
    StratifiedExact,
    /// The same over 10,000 of them.
    StratifiedSampled,
}

impl Test {
    /// Returns its name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::McNemarExact => "mcnemar_exact",
            Self::SignFlipExact => "sign_flip_exact",
            Self::SignFlipSampled => "sign_flip_sampled",
            Self::FisherExact => "fisher_exact",
            Self::PermutationExact => "permutation_exact",
            Self::PermutationSampled => "permutation_sampled",
            Self::StratifiedExact => "stratified_exact",
            Self::StratifiedSampled => "stratified_sampled",
        }
    }
}

/// A p-value with the test that it is from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TestResult {
    /// How probable a difference at least this large would be if there were none, two-sided.
    pub p: f64,
    /// The test.
    pub test: Test,
    /// The smallest difference of means that the test would call one with data like these; `None` where it is not known,
    /// or where none would be.
    pub critical: Option<f64>,
}

/// The probability with which a difference may be claimed that is none.
pub(crate) const LEVEL: f64 = 0.05;

/// The difference between two sides over the tasks that both tried.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairedDifference {
    /// The estimate, on its scale.
    pub value: f64,
    /// Its interval of 95 %; `None` where nothing says how much it varies.
    pub interval: Option<Interval>,
    /// How the interval was made.
    pub method: IntervalMethod,
    /// The test.
    pub test: TestResult,
    /// The smallest difference, on the same scale and in either direction, that data like these show with a
    /// probability of 80 %.
    pub detectable: Option<f64>,
    /// Number of tasks.
    pub tasks: u64,
    /// The scale.
    pub scale: Scale,
}

/// The probability with which a detectable difference is shown.
const POWER: f64 = 0.8;

/// So many tasks, and tasks' worth of successes and failures on both sides, make the means normal enough for t.
const ENOUGH_TASKS: usize = 20;
const ENOUGH_OF_EACH: f64 = 5.0;

/// Compares two sides over tasks that both tried; tasks without an attempt of one side are left out. `None` if none is
/// left.
///
/// The interval is Student's over the tasks' differences. Where there are fewer than 20 tasks, where each has one
/// attempt of each side, or where one side solves nearly all or nearly none, it is built from both sides' Jeffreys intervals
/// instead, see [`paired_jeffreys`]. The test is exact or a permutation test in every case.
#[must_use]
pub fn paired_difference(tasks: &[PairedTask], scale: Scale) -> Option<PairedDifference> {
    let tasks = tried_tasks(tasks);
    if tasks.is_empty() {
        return None;
    }
    let means: Vec<(f64, f64)> = tasks
        .iter()
        .map(|task| (mean(&task.before), mean(&task.after)))
        .collect();
    let differences: Vec<f64> = means
        .iter()
        .map(|(before, after)| on_scale(*after, scale) - on_scale(*before, scale))
        .collect();
    let value = mean(&differences);
    let values = || {
        tasks
            .iter()
            .flat_map(|task| task.before.iter().chain(&task.after))
    };
    let is_binary = scale == Scale::Difference && values().all(|v| *v == 0.0 || *v == 1.0);
    let is_share = scale == Scale::Difference && values().all(|v| (0.0..=1.0).contains(v));
    let is_single = tasks
        .iter()
        .all(|task| task.before.len() == 1 && task.after.len() == 1);
    let test = if is_binary && is_single {
        let changed = |way: f64| differences.iter().filter(|d| **d == way).count() as u64;
        mcnemar_exact(changed(1.0), changed(-1.0), differences.len() as u64)
    } else if is_binary {
        let sizes = tasks
            .iter()
            .map(|task| (task.before.len() as u64, task.after.len() as u64));
        whole_sign_flip(&differences, sizes).unwrap_or_else(|| sign_flip(&differences))
    } else {
        sign_flip(&differences)
    };
    let method = if is_share && (is_binary && is_single || is_sparse(&means)) {
        IntervalMethod::PairedJeffreys
    } else {
        IntervalMethod::PairedT
    };
    let (interval, quantiles) = match method {
        IntervalMethod::PairedT => {
            let degrees = differences.len() as f64 - 1.0;
            (paired_t(&differences), quantiles(degrees))
        }
        _ => {
            let attempts = |side: fn(&PairedTask) -> usize| {
                tasks.iter().map(|task| side(task) as u64).sum::<u64>()
            };
            let attempts = (attempts(|t| t.before.len()), attempts(|t| t.after.len()));
            // The normal quantile: Student's would make intervals near 0 and 1 hold the truth too often.
            let quantiles = quantiles(f64::INFINITY);
            (
                Some(paired_jeffreys(&means, attempts, quantiles.0)),
                quantiles,
            )
        }
    };
    let detectable = interval.map(|interval| {
        let (upper, power) = quantiles;
        let half = interval.half_width();
        // Interval and test must both agree.
        half.max(critical_at_itself(&differences, test.critical)) + half / upper * power
    });
    Some(PairedDifference {
        value: back(value, scale),
        interval: interval.map(|interval| Interval {
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

/// Returns the difference that a test would just call one, if it were the one that was found; 0 where that is not known.
///
/// What a permutation test calls one grows with the difference itself, since each task's is part of what it permutes: its
/// square is z² Σd² ÷ T² with Σd² = T (s² + difference²).
fn critical_at_itself(differences: &[f64], critical: Option<f64>) -> f64 {
    let tasks = differences.len() as f64;
    let found = mean(differences);
    let squares = differences.iter().map(|d| d * d).sum::<f64>() / tasks;
    let (z, _) = quantiles(f64::INFINITY);
    let growth = (squares - found * found) / squares * tasks / (tasks - z * z);
    match critical {
        Some(critical) if growth.is_finite() && growth > 0.0 => critical * growth.sqrt(),
        _ => 0.0,
    }
}

/// Whether there is too little of something for the means to be about normal: tasks, solved ones or unsolved ones.
fn is_sparse(means: &[(f64, f64)]) -> bool {
    let tasks = means.len() as f64;
    let sides = [
        means.iter().map(|(before, _)| before).sum::<f64>(),
        means.iter().map(|(_, after)| after).sum::<f64>(),
    ];
    means.len() < ENOUGH_TASKS
        || sides
            .into_iter()
            .any(|sum| sum < ENOUGH_OF_EACH || tasks - sum < ENOUGH_OF_EACH)
}

/// Returns the quantiles of Student's t distribution at the upper end of an interval of 95 % and at [`POWER`]; those of
/// the normal distribution for degrees of freedom that are not a positive number.
fn quantiles(degrees: f64) -> (f64, f64) {
    if degrees.is_finite() && degrees >= 1.0 {
        (t_quantile(UPPER, degrees), t_quantile(POWER, degrees))
    } else {
        (normal_quantile(UPPER), normal_quantile(POWER))
    }
}

/// Returns the tasks that both sides tried.
fn tried_tasks(tasks: &[PairedTask]) -> Vec<&PairedTask> {
    let tasks = tasks.iter();
    tasks
        .filter(|task| !task.before.is_empty() && !task.after.is_empty())
        .collect()
}

/// Returns a value as it is compared.
fn on_scale(value: f64, scale: Scale) -> f64 {
    match scale {
        Scale::Difference => value,
        Scale::Ratio => value.ln(),
    }
}

/// Undoes [`on_scale`].
fn back(value: f64, scale: Scale) -> f64 {
    match scale {
        Scale::Difference => value,
        Scale::Ratio => value.exp(),
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
