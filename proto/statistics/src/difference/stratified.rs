//! A test that permutes attempts within tasks.

use fastrand::Rng;

use super::permutation::{
    DRAWS, MOST_ADDITIONS, SAME, SEED, critical, greatest_common_divisor, least_common_multiple,
    sampled,
};
use super::{LEVEL, PairedTask, Scale, Test, TestResult, mean, on_scale};
use crate::special::ln_choose;

/// Tests whether the mean of tasks' differences is 0 on these tasks: if the sides are alike, each way to divide the attempts at a
/// task among them is as probable.
///
/// Of attempts that are solved or not, each task's difference is then a hypergeometric number, and the distribution of
/// their sum is computed (as the exact form of Cochran 1954 and Mantel and Haenszel 1959, with tasks of equal weight).
/// Else, or where that would take too long, 10,000 ways are drawn. Each task must have attempts of both sides.
#[must_use]
pub fn stratified(tasks: &[&PairedTask], scale: Scale) -> TestResult {
    let mut values = tasks
        .iter()
        .flat_map(|task| task.before.iter().chain(&task.after));
    let is_binary = scale == Scale::Difference && values.all(|v| *v == 0.0 || *v == 1.0);
    let exact = is_binary.then(|| exact(tasks)).flatten();
    exact.unwrap_or_else(|| draw(tasks, scale))
}

/// The counts of one task, in fractions of an attempt that all tasks share.
struct Counts {
    before: u64,
    after: u64,
    solved: u64,
    solved_after: u64,
    /// By how much one more solved attempt of the second side, and so one less of the first, moves the sum.
    step: u64,
}

impl Counts {
    /// The fewest attempts of the second side that may be among the solved ones.
    fn fewest(&self) -> u64 {
        self.solved.saturating_sub(self.before)
    }

    fn most(&self) -> u64 {
        self.solved.min(self.after)
    }
}

fn exact(tasks: &[&PairedTask]) -> Option<TestResult> {
    let common = tasks.iter().try_fold(1_u64, |common, task| {
        let common = least_common_multiple(common, task.before.len() as u64)?;
        least_common_multiple(common, task.after.len() as u64)
    })?;
    let counts: Vec<Counts> = tasks
        .iter()
        .map(|task| {
            let solved = |side: &[f64]| side.iter().sum::<f64>() as u64;
            let (before, after) = (task.before.len() as u64, task.after.len() as u64);
            Counts {
                before,
                after,
                solved: solved(&task.before) + solved(&task.after),
                solved_after: solved(&task.after),
                step: common / before + common / after,
            }
        })
        .collect();
    let divisor = counts
        .iter()
        .map(|task| task.step)
        .fold(0, greatest_common_divisor)
        .max(1);
    let reach = |task: &Counts| (task.most() - task.fewest()) * (task.step / divisor);
    let width: u64 = counts.iter().map(reach).sum();
    let ways: u64 = counts.iter().map(|t| t.most() - t.fewest() + 1).sum();
    if width.checked_mul(ways)? > MOST_ADDITIONS {
        return None;
    }
    let mut probabilities = vec![1.0];
    for task in &counts {
        let step = usize::try_from(task.step / divisor).ok()?;
        let all = task.before + task.after;
        let wider = probabilities.len() + usize::try_from(reach(task)).ok()?;
        let mut sums = vec![0.0; wider];
        for (at, of_after) in (task.fewest()..=task.most()).enumerate() {
            let ln_probability = ln_choose(task.after, of_after)
                + ln_choose(task.before, task.solved - of_after)
                - ln_choose(all, task.solved);
            let probability = ln_probability.exp();
            let places = sums[at * step..].iter_mut();
            for (sum, before) in places.zip(&probabilities) {
                *sum += probability * before;
            }
        }
        probabilities = sums;
    }
    // The expected place is where the sum is 0.
    let place = |of_after: fn(&Counts) -> f64| -> f64 {
        let places = counts
            .iter()
            .map(|task| (of_after(task) - task.fewest() as f64) * (task.step / divisor) as f64);
        places.sum()
    };
    let none =
        place(|task| task.solved as f64 * task.after as f64 / (task.before + task.after) as f64);
    let found = (place(|task| task.solved_after as f64) - none).abs();
    let same = 1e-9 * (1.0 + width as f64);
    let mut by_distance: Vec<(f64, f64)> = probabilities
        .into_iter()
        .enumerate()
        .map(|(at, probability)| ((at as f64 - none).abs(), probability))
        .collect();
    let p: f64 = by_distance
        .iter()
        .filter(|(distance, _)| *distance >= found - same)
        .map(|(_, probability)| probability)
        .sum();
    by_distance.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let mut far = 0.0;
    let improbable = by_distance.iter().take_while(|(_, probability)| {
        far += probability;
        far <= LEVEL
    });
    let reached = improbable.last().map(|(distance, _)| *distance);
    let fraction = divisor as f64 / common as f64 / tasks.len() as f64;
    Some(TestResult {
        p: p.min(1.0),
        test: Test::StratifiedExact,
        critical: reached.map(|distance| distance * fraction),
    })
}

fn draw(tasks: &[&PairedTask], scale: Scale) -> TestResult {
    let differences = |after: &[f64], before: &[f64]| {
        on_scale(mean(after), scale) - on_scale(mean(before), scale)
    };
    let found: Vec<f64> = tasks
        .iter()
        .map(|task| differences(&task.after, &task.before))
        .collect();
    let size: f64 = found.iter().map(|d| d.abs()).sum();
    let found = found.iter().sum::<f64>().abs() - SAME * size;
    let mut pools: Vec<(Vec<f64>, usize)> = tasks
        .iter()
        .map(|task| ([&*task.before, &task.after].concat(), task.before.len()))
        .collect();
    let mut rng = Rng::with_seed(SEED);
    let mut sum = |_| -> f64 {
        let drawn = pools.iter_mut().map(|(pool, before)| {
            rng.shuffle(pool);
            differences(&pool[*before..], &pool[..*before])
        });
        drawn.sum::<f64>().abs()
    };
    let sums: Vec<f64> = (0..DRAWS).map(&mut sum).collect();
    let as_far = sums.iter().filter(|sum| **sum >= found).count();
    TestResult {
        critical: critical(sums, SAME * size).map(|sum| sum / tasks.len() as f64),
        ..sampled(as_far, Test::StratifiedSampled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::difference::{fisher_exact, mcnemar_exact};

    fn task(before: (usize, usize), after: (usize, usize)) -> PairedTask {
        let values = |(solved, of): (usize, usize)| {
            (0..of).map(|at| f64::from(u8::from(at < solved))).collect()
        };
        PairedTask {
            before: values(before),
            after: values(after),
        }
    }

    fn test(tasks: &[PairedTask]) -> TestResult {
        stratified(&tasks.iter().collect::<Vec<_>>(), Scale::Difference)
    }

    #[test]
    fn it_is_fishers_test_of_one_task_and_mcnemars_of_single_attempts() {
        let one = test(&[task((0, 5), (5, 5))]);
        assert!((one.p - fisher_exact((0, 5), (5, 5)).p).abs() < 1e-12);
        let mut tasks = vec![task((0, 1), (1, 1)); 8];
        tasks.extend(vec![task((1, 1), (0, 1)); 2]);
        tasks.extend(vec![task((1, 1), (1, 1)); 5]);
        let singles = test(&tasks);
        let expected = mcnemar_exact(8, 2, 15);
        assert!((singles.p - expected.p).abs() < 1e-12, "{singles:?}");
        assert!((singles.critical.unwrap() - 8.0 / 15.0).abs() < 1e-12);
    }

    #[test]
    fn drawn_ways_agree_with_all_ways_and_sizes_may_differ() {
        let tasks = [
            task((1, 3), (3, 4)),
            task((0, 2), (1, 5)),
            task((2, 4), (4, 4)),
            task((1, 5), (2, 3)),
        ];
        let refs: Vec<&PairedTask> = tasks.iter().collect();
        let exact = test(&tasks);
        assert_eq!(exact.test, Test::StratifiedExact);
        let drawn = draw(&refs, Scale::Difference);
        assert!((exact.p - drawn.p).abs() < 0.02, "{exact:?} {drawn:?}");
        assert_eq!(test(&[task((2, 2), (3, 3))]).p, 1.0);
    }
}
