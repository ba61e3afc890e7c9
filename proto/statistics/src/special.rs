//! Distribution functions and their quantiles.
//!
//! All agree with scipy to 1e-9; `.ci/run statistics` compares them.

use statrs::function::beta::{beta_reg, inv_beta_reg};
use statrs::function::erf::{erfc, erfc_inv};
use statrs::function::factorial::ln_factorial;
use statrs::function::gamma::ln_gamma;

/// Returns the quantile of the standard normal distribution for a probability between 0 and 1.
#[must_use]
pub fn normal_quantile(probability: f64) -> f64 {
    -std::f64::consts::SQRT_2 * erfc_inv(2.0 * probability)
}

/// Returns the probability that a standard normal variable is at most `x`.
#[must_use]
pub fn normal_probability(x: f64) -> f64 {
    0.5 * erfc(-x / std::f64::consts::SQRT_2)
}

/// Returns the quantile of the beta distribution with these two parameters for a probability between 0 and 1.
#[must_use]
pub fn beta_quantile(probability: f64, a: f64, b: f64) -> f64 {
    inv_beta_reg(a, b, probability)
}

/// Returns the probability that a variable with Student's t distribution is at most `t`.
#[must_use]
pub fn t_probability(t: f64, degrees: f64) -> f64 {
    if t.is_infinite() {
        return if t > 0.0 { 1.0 } else { 0.0 };
    }
    // Whichever of the two is small is computed, so that it keeps its precision.
    let tail = 0.5 * beta_reg(0.5 * degrees, 0.5, degrees / (degrees + t * t));
    if t > 0.0 { 1.0 - tail } else { tail }
}

/// Returns the probability that a variable with Student's t distribution is at least as far from 0 as `t`.
#[must_use]
pub fn t_two_sided(t: f64, degrees: f64) -> f64 {
    (2.0 * t_probability(-t.abs(), degrees)).min(1.0)
}

/// Returns the quantile of Student's t distribution for a probability between 0 and 1.
#[must_use]
pub fn t_quantile(probability: f64, degrees: f64) -> f64 {
    if probability < 0.5 {
        return -t_quantile(1.0 - probability, degrees);
    }
    if probability == 0.5 {
        return 0.0;
    }
    let share = inv_beta_reg(0.5, 0.5 * degrees, 2.0 * probability - 1.0);
    let mut t = (degrees * share / (1.0 - share)).sqrt();
    // The inverse is good to 1e-11 of the share; two steps of Newton's method make that 1e-9 of `t` and better.
    for _ in 0..2 {
        let step = (t_probability(t, degrees) - probability) / t_density(t, degrees);
        if !step.is_finite() {
            break;
        }
        t -= step;
    }
    t
}

fn t_density(t: f64, degrees: f64) -> f64 {
    let half = 0.5 * degrees;
    let constant =
        ln_gamma(half + 0.5) - ln_gamma(half) - 0.5 * (degrees * std::f64::consts::PI).ln();
    (constant - (half + 0.5) * (t * t / degrees).ln_1p()).exp()
}

/// Returns the probability of at most `successes` among `trials` that each succeed with probability one half.
#[must_use]
pub fn fair_coin_at_most(successes: u64, trials: u64) -> f64 {
    if successes >= trials {
        return 1.0;
    }
    beta_reg((trials - successes) as f64, successes as f64 + 1.0, 0.5)
}

/// Returns the logarithm of the number of ways to choose `k` of `n`.
#[must_use]
pub fn ln_choose(n: u64, k: u64) -> f64 {
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() <= 1e-9 * expected.abs().max(1.0),
            "{found} is not {expected}"
        );
    }

    #[test]
    fn quantiles_and_probabilities_are_those_of_scipy() {
        assert_close(normal_quantile(0.975), 1.959_963_984_540_054);
        assert_close(normal_quantile(0.8), 0.841_621_233_572_914_3);
        assert_close(t_quantile(0.975, 1.0), 12.706_204_736_432_095);
        assert_close(t_quantile(0.975, 9.0), 2.262_157_162_740_992);
        assert_close(t_quantile(0.8, 88.0), 0.845_724_880_348_734);
        assert_close(t_quantile(0.025, 1_999.0), -1.961_151_420_170_561_8);
        assert_close(t_two_sided(2.5, 12.0), 0.027_915_399_571_325_24);
        assert_close(t_two_sided(f64::INFINITY, 12.0), 0.0);
        assert_close(normal_probability(1.0), 0.841_344_746_068_542_9);
        assert_close(beta_quantile(0.3, 2.0, 3.0), 0.27238394207510536);
        assert_close(fair_coin_at_most(2, 10), 0.054_687_5);
        assert_close(fair_coin_at_most(3, 3), 1.0);
        assert_close(ln_choose(40, 20).exp(), 137_846_528_820.0);
    }
}
