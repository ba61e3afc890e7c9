//! Figures of several attempts at the same tasks: pass@k, pass^k and flip rate.

use std::collections::BTreeSet;

use crate::aggregate::Aggregate;

/// The attempts at one task that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TaskAttempts {
    /// How many there are.
    pub attempts: u64,
    /// How many of them solved it.
    pub solved: u64,
}

impl TaskAttempts {
    /// Counts one more attempt.
    pub fn add(&mut self, solved: bool) {
        self.attempts += 1;
        self.solved += u64::from(solved);
    }

    /// Returns the chance that at least one of `k` attempts solves the task: 1 − C(n − c, k) / C(n, k), an estimate
    /// without bias (Chen et al. 2021, "Evaluating Large Language Models Trained on Code", equation 1). `None` if there
    /// are fewer attempts.
    #[must_use]
    pub fn pass_at_k(self, k: u64) -> Option<f64> {
        let (n, failed) = (self.attempts, self.attempts - self.solved);
        if n < k {
            return None;
        }
        if failed < k {
            return Some(1.0);
        }
        let none = (0..k).map(|i| (failed - i) as f64 / (n - i) as f64);
        Some(1.0 - none.product::<f64>())
    }

    /// Returns the chance that all of `k` attempts solve the task: C(c, k) / C(n, k) (Yao et al. 2024, "τ-bench",
    /// section 5.1). `None` if there are fewer attempts.
    #[must_use]
    pub fn pass_hat_k(self, k: u64) -> Option<f64> {
        let (n, c) = (self.attempts, self.solved);
        if n < k {
            return None;
        }
        if c < k {
            return Some(0.0);
        }
        Some((0..k).map(|i| (c - i) as f64 / (n - i) as f64).product())
    }

    /// Returns the chance that two attempts differ: c (n − c) / (n (n − 1) / 2), an estimate of 2 p (1 − p) without bias.
    /// `None` if there are fewer than two.
    #[must_use]
    pub fn flip_rate(self) -> Option<f64> {
        if self.attempts < 2 {
            return None;
        }
        let (n, c) = (self.attempts as f64, self.solved as f64);
        Some(c * (n - c) / (n * (n - 1.0) / 2.0))
    }
}

/// Returns the mean of pass@k over the tasks with at least `k` attempts, with how many these are.
#[must_use]
pub fn pass_at_k(tasks: &[TaskAttempts], k: u64) -> Aggregate {
    Aggregate::mean(tasks.iter().map(|task| task.pass_at_k(k)))
}

/// Returns the mean of pass^k over the tasks with at least `k` attempts, with how many these are.
#[must_use]
pub fn pass_hat_k(tasks: &[TaskAttempts], k: u64) -> Aggregate {
    Aggregate::mean(tasks.iter().map(|task| task.pass_hat_k(k)))
}

/// Returns the mean flip rate over the tasks with at least two attempts, with how many these are.
#[must_use]
pub fn flip_rate(tasks: &[TaskAttempts]) -> Aggregate {
    Aggregate::mean(tasks.iter().map(|task| task.flip_rate()))
}

/// Returns the values of k that Harbor reports up to `most`: powers of two and multiples of five; and 1.
#[must_use]
pub fn harbors_ks(most: u64) -> BTreeSet<u64> {
    let powers = std::iter::successors(Some(1_u64), |k| k.checked_mul(2));
    let fives = std::iter::successors(Some(5_u64), |k| k.checked_add(5));
    powers
        .take_while(|k| *k <= most)
        .chain(fives.take_while(|k| *k <= most))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(attempts: u64, solved: u64) -> TaskAttempts {
        TaskAttempts { attempts, solved }
    }

    #[test]
    fn chances_are_those_of_counting_all_choices() {
        // Of 5 attempts, 2 solved: of the 10 pairs, 3 have no success, 1 has two, and 6 differ.
        let five = task(5, 2);
        assert_eq!(five.pass_at_k(1), Some(0.4));
        assert!((five.pass_at_k(2).unwrap() - 0.7).abs() < 1e-15);
        assert!((five.pass_hat_k(2).unwrap() - 0.1).abs() < 1e-15);
        assert!((five.flip_rate().unwrap() - 0.6).abs() < 1e-15);
        assert_eq!(
            (five.pass_at_k(4), five.pass_hat_k(3)),
            (Some(1.0), Some(0.0))
        );
        assert_eq!((five.pass_at_k(6), five.pass_hat_k(6)), (None, None));
        assert_eq!(
            (task(1, 1).flip_rate(), task(4, 4).flip_rate()),
            (None, Some(0.0))
        );
    }

    #[test]
    fn tasks_with_too_few_attempts_are_left_out_and_counted() {
        let tasks = [task(5, 5), task(2, 0), task(1, 1)];
        let at_two = pass_at_k(&tasks, 2);
        assert_eq!((at_two.value, at_two.n, at_two.of), (Some(0.5), 2, 3));
        assert_eq!(pass_hat_k(&tasks, 5).n, 1);
        assert_eq!(flip_rate(&tasks).value, Some(0.0));
        assert_eq!(pass_at_k(&[], 1).value, None);
        assert_eq!(
            harbors_ks(11).into_iter().collect::<Vec<_>>(),
            [1, 2, 4, 5, 8, 10]
        );
    }
}
