//! Tests that compare a difference with those of all ways to swap what would be alike if there were none.

use fastrand::Rng;

use super::{LEVEL, Test, TestResult, mean};

/// Ways that are drawn where there are too many to go through; the smallest p-value is then one in 10,001.
pub(super) const DRAWS: u32 = 10_000;

/// The seed of these draws: the same data always give the same answer.
pub(super) const SEED: u64 = 0x646f_636b_735f_7374;

/// With at most so many differences other than 0, all ways to swap them are gone through.
const MOST_ENUMERATED: u32 = 16;

/// Additions for the distribution of a sum, some tens of milliseconds.
pub(super) const MOST_ADDITIONS: u64 = 40_000_000;

/// Divisions of two groups that are gone through.
const MOST_DIVISIONS: f64 = 20_000.0;

/// What rounding may make of two sums that are equal.
pub(super) const SAME: f64 = 1e-9;

/// Tests whether the mean of differences is 0: if the sides are alike, the sign of each difference is a coin's.
///
/// Goes through all ways to swap the sides, or draws 10,000 of them; the p-value then counts the found one among
/// them (Phipson and Smyth 2010, "Permutation P-values Should Never Be Zero").
#[must_use]
pub fn sign_flip(differences: &[f64]) -> TestResult {
    let tasks = differences.len() as f64;
    let differences: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
    let size: f64 = differences.iter().map(|d| d.abs()).sum();
    let found = differences.iter().sum::<f64>().abs() - SAME * size;
    if differences.len() <= MOST_ENUMERATED as usize {
        let sum = |way: u32| {
            let signed = differences.iter().enumerate();
            let sum: f64 = signed
                .map(|(at, d)| if way >> at & 1 == 1 { *d } else { -d })
                .sum();
            sum.abs()
        };
        let sums: Vec<f64> = (0..1_u32 << differences.len()).map(sum).collect();
        let as_far = sums.iter().filter(|sum| **sum >= found).count();
        return TestResult {
            p: as_far as f64 / sums.len() as f64,
            test: Test::SignFlipExact,
            critical: critical(sums, SAME * size).map(|sum| sum / tasks),
        };
    }
    let mut rng = Rng::with_seed(SEED);
    let mut sum = |_| {
        let mut sum = 0.0;
        for portion in differences.chunks(64) {
            let mut signs = rng.u64(..);
            for difference in portion {
                sum += if signs & 1 == 1 {
                    *difference
                } else {
                    -difference
                };
                signs >>= 1;
            }
        }
        sum.abs()
    };
    let sums: Vec<f64> = (0..DRAWS).map(&mut sum).collect();
    let as_far = sums.iter().filter(|sum| **sum >= found).count();
    TestResult {
        critical: critical(sums, SAME * size).map(|sum| sum / tasks),
        ..sampled(as_far, Test::SignFlipSampled)
    }
}

/// Returns the smallest of some sums that at most 5 % of them reach.
pub(super) fn critical(mut sums: Vec<f64>, same: f64) -> Option<f64> {
    sums.sort_unstable_by(|a, b| b.total_cmp(a));
    let most = (LEVEL * sums.len() as f64) as usize;
    let too_many = sums.get(most)? + same;
    sums[..most].iter().copied().rfind(|sum| *sum > too_many)
}

/// Does the same for differences between shares of attempts, given how many of each side each is over: these are whole
/// multiples of one fraction, so that the distribution of their sum over all ways is computed without going through
/// them. `None` where that would take too long.
#[must_use]
pub fn whole_sign_flip(
    differences: &[f64],
    mut sizes: impl Iterator<Item = (u64, u64)>,
) -> Option<TestResult> {
    let common = sizes.try_fold(1_u64, |common, (before, after)| {
        least_common_multiple(least_common_multiple(common, before)?, after)
    })?;
    let whole = differences
        .iter()
        .map(|d| (d * common as f64).round().abs() as u64);
    let whole: Vec<u64> = whole.filter(|d| *d != 0).collect();
    let divisor = whole
        .iter()
        .copied()
        .fold(0, greatest_common_divisor)
        .max(1);
    let most: u64 = whole.iter().map(|d| d / divisor).sum();
    if most.checked_mul(2 * whole.len() as u64)? > MOST_ADDITIONS {
        return None;
    }
    let sum: f64 = differences.iter().sum::<f64>() * common as f64 / divisor as f64;
    let found = sum.round().abs() as u64;
    // The sum of those with a positive sign: the sum of all is twice that less `most`.
    let most = usize::try_from(most).ok()?;
    let mut probabilities = vec![0.0; most + 1];
    probabilities[0] = 1.0;
    let mut reached = 0;
    for difference in whole {
        let step = usize::try_from(difference / divisor).ok()?;
        reached += step;
        for at in (0..=reached).rev() {
            let without = probabilities[at];
            let with = at.checked_sub(step).map_or(0.0, |from| probabilities[from]);
            probabilities[at] = 0.5 * (without + with);
        }
    }
    let is_as_far = |at: &usize| (2 * at).abs_diff(most) as u64 >= found;
    let far = (0..=most).filter(is_as_far);
    // From the far ends on, as long as both together are improbable enough.
    let mut both_ends = 0.0;
    let improbable = (0..=most / 2).take_while(|at| {
        both_ends += 2.0 * probabilities[*at];
        both_ends <= LEVEL
    });
    let reached = improbable.filter(|at| probabilities[*at] > 0.0).last();
    let fraction = divisor as f64 / common as f64 / differences.len() as f64;
    Some(TestResult {
        p: far.map(|at| probabilities[at]).sum::<f64>().min(1.0),
        test: Test::SignFlipExact,
        critical: reached.map(|at| (most - 2 * at) as f64 * fraction),
    })
}

/// Tests whether two groups of values have the same mean: if they are alike, each way to divide them is as probable.
#[must_use]
pub fn two_samples(before: &[f64], after: &[f64]) -> TestResult {
    let all = [before, after].concat();
    let size: f64 = all.iter().map(|value| value.abs()).sum();
    let total: f64 = all.iter().sum();
    let far = |sum_before: f64| {
        let (n, m) = (before.len() as f64, after.len() as f64);
        ((total - sum_before) / m - sum_before / n).abs()
    };
    let found = (mean(after) - mean(before)).abs() - SAME * size;
    let divisions = crate::special::ln_choose(all.len() as u64, before.len() as u64).exp();
    if divisions <= MOST_DIVISIONS {
        let mut counts = (0_u64, 0_u64);
        each_choice(&all, before.len(), 0.0, &mut |sum| {
            counts.0 += u64::from(far(sum) >= found);
            counts.1 += 1;
        });
        return TestResult {
            p: counts.0 as f64 / counts.1 as f64,
            test: Test::PermutationExact,
            critical: None,
        };
    }
    let mut rng = Rng::with_seed(SEED);
    let mut shuffled = all;
    let is_as_far = |_: &u32| {
        rng.shuffle(&mut shuffled);
        far(shuffled[..before.len()].iter().sum()) >= found
    };
    sampled(
        (0..DRAWS).filter(is_as_far).count(),
        Test::PermutationSampled,
    )
}

/// Calls `take` with the sum of each choice of `count` of the values.
fn each_choice(values: &[f64], count: usize, sum: f64, take: &mut impl FnMut(f64)) {
    if count == 0 {
        return take(sum);
    }
    for at in 0..=values.len() - count {
        each_choice(&values[at + 1..], count - 1, sum + values[at], take);
    }
}

pub(super) fn sampled(as_far: usize, test: Test) -> TestResult {
    TestResult {
        p: (as_far as f64 + 1.0) / (f64::from(DRAWS) + 1.0),
        test,
        critical: None,
    }
}

pub(super) fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}

/// Returns the least common multiple, unless it is too large for differences to stay exact.
pub(super) fn least_common_multiple(a: u64, b: u64) -> Option<u64> {
    let multiple = (a / greatest_common_divisor(a, b)).checked_mul(b)?;
    (multiple < 1 << 32).then_some(multiple)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(found: TestResult, expected: f64, test: Test) {
        assert!(
            (found.p - expected).abs() < 1e-12,
            "{found:?} is not {expected}"
        );
        assert_eq!(found.test, test);
    }

    #[test]
    fn all_ways_to_swap_the_sides_are_counted() {
        // Sums of 1, 2, 3 with signs: 6 and -6 are as far as 6; of the eight, four are as far as 4.
        assert_close(sign_flip(&[1.0, 2.0, 3.0]), 0.25, Test::SignFlipExact);
        assert_close(sign_flip(&[-1.0, 2.0, 3.0, 0.0]), 0.5, Test::SignFlipExact);
        assert_close(sign_flip(&[0.0, 0.0]), 1.0, Test::SignFlipExact);
        assert_close(sign_flip(&[]), 1.0, Test::SignFlipExact);
    }

    #[test]
    fn the_distribution_of_a_sum_gives_what_going_through_all_ways_gives() {
        let mut rng = Rng::with_seed(7);
        for _ in 0..50 {
            let sizes: Vec<(u64, u64)> = (0..12).map(|_| (rng.u64(1..6), rng.u64(1..6))).collect();
            let differences: Vec<f64> = sizes
                .iter()
                .map(|(n, m)| {
                    rng.u64(0..=*m) as f64 / *m as f64 - rng.u64(0..=*n) as f64 / *n as f64
                })
                .collect();
            let all = sign_flip(&differences);
            let whole = whole_sign_flip(&differences, sizes.into_iter()).unwrap();
            assert_close(whole, all.p, Test::SignFlipExact);
            let (of_whole, of_all) = (whole.critical.unwrap_or(0.0), all.critical.unwrap_or(0.0));
            assert!((of_whole - of_all).abs() < 1e-9, "{whole:?} {all:?}");
        }
    }

    #[test]
    fn drawn_ways_give_about_the_same_and_always_the_same() {
        let differences: Vec<f64> = (0..40).map(|at| f64::from(at % 5 - 1) / 5.0).collect();
        let exact = whole_sign_flip(&differences, std::iter::repeat_n((5, 5), 40)).unwrap();
        let drawn = sign_flip(&differences);
        assert_eq!(drawn.test, Test::SignFlipSampled);
        assert!((drawn.p - exact.p).abs() < 0.01, "{drawn:?} {exact:?}");
        assert_eq!(sign_flip(&differences), drawn);
    }

    #[test]
    fn two_groups_are_divided_in_all_ways_or_in_many() {
        // Of the 10 ways to choose 2 of 5, only the found one and none other is as far.
        assert_close(
            two_samples(&[0.0, 0.1], &[0.9, 1.0, 0.8]),
            0.1,
            Test::PermutationExact,
        );
        assert_close(two_samples(&[1.0], &[1.0]), 1.0, Test::PermutationExact);
        let (low, high) = (vec![0.25; 30], vec![0.75; 30]);
        let found = two_samples(&low, &high);
        assert_close(found, 1.0 / 10_001.0, Test::PermutationSampled);
    }

    #[test]
    fn what_would_take_too_long_is_not_computed() {
        let primes = [101, 103, 107, 109, 113];
        let sizes = primes.into_iter().map(|n| (n, n));
        assert_eq!(whole_sign_flip(&[0.1; 5], sizes), None);
    }
}
