//! Exact tests of counts.

use super::{LEVEL, Test, TestResult};
use crate::special::{fair_coin_at_most, ln_choose};

/// Probabilities that are equal but for rounding count as equal.
const SAME: f64 = 1.0 + 1e-7;

/// Tests whether as many tasks became solved as became unsolved: under no difference, each change of a task is a coin's
/// (McNemar 1947, in its exact form). `tasks` is how many there are, changed or not.
#[must_use]
pub fn mcnemar_exact(better: u64, worse: u64, tasks: u64) -> TestResult {
    let changed = better + worse;
    let p = |fewer: u64| 2.0 * fair_coin_at_most(fewer, changed);
    // How many more in one direction would do.
    let enough = (0..=changed / 2)
        .take_while(|fewer| p(*fewer) <= LEVEL)
        .last();
    let excess = enough.map_or(FEWEST_CHANGES, |fewer| changed - 2 * fewer);
    TestResult {
        p: p(better.min(worse)).min(1.0),
        test: Test::McNemarExact,
        critical: Some(excess as f64 / tasks as f64),
    }
}

/// Fewer changes than that show nothing, whatever their direction: 2 · 0.5⁵ is more than 5 %.
const FEWEST_CHANGES: u64 = 6;

/// Tests whether two groups of attempts have the same chance of success: the probability of all tables with the same
/// margins that are no more probable than this one (Fisher 1934). Each group is its successes and its size.
#[must_use]
pub fn fisher_exact(before: (u64, u64), after: (u64, u64)) -> TestResult {
    let (solved, attempts) = (before.0 + after.0, before.1 + after.1);
    let ln_probability = |of_first: u64| {
        ln_choose(before.1, of_first) + ln_choose(after.1, solved - of_first)
            - ln_choose(attempts, solved)
    };
    let limit = ln_probability(before.0).exp() * SAME;
    let tables = solved.saturating_sub(after.1)..=solved.min(before.1);
    let probabilities = tables.map(|of_first| ln_probability(of_first).exp());
    let p: f64 = probabilities.filter(|p| *p <= limit).sum();
    TestResult {
        p: p.min(1.0),
        test: Test::FisherExact,
        critical: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(found: TestResult, expected: f64) {
        assert!(
            (found.p - expected).abs() < 1e-9,
            "{found:?} is not {expected}"
        );
    }

    #[test]
    fn p_values_are_those_of_counting() {
        // Nine changes, one of them for the worse: (1 + 9) of 512 on either side.
        assert_close(mcnemar_exact(8, 1, 20), 2.0 * 10.0 / 512.0);
        assert_close(mcnemar_exact(0, 0, 20), 1.0);
        assert_close(mcnemar_exact(3, 3, 20), 1.0);
        // Of nine changes, seven more in one direction are enough; of none, six would be.
        assert_eq!(mcnemar_exact(5, 4, 20).critical, Some(0.35));
        assert_eq!(mcnemar_exact(0, 0, 20).critical, Some(0.3));
        // 5 of 5 against 0 of 5: two tables of C(10, 5) = 252.
        assert_close(fisher_exact((0, 5), (5, 5)), 2.0 / 252.0);
        assert_close(fisher_exact((1, 1), (0, 1)), 1.0);
        assert_close(fisher_exact((0, 5), (0, 3)), 1.0);
    }
}
