//! Which trials count in Harbor's figures.

use super::error_policy::ErrorPolicy;

/// The rules by which a release of Harbor makes the figures of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RewardRules {
    /// Until 0.24: every trial that ended counts, a missing reward as 0, and exceptions of steps do not count.
    #[default]
    MissingIsZero,
    /// Since 0.25: only trials with a valid reward count, and exceptions of steps are the trial's.
    ValidOnly,
}

/// The first release with the newer rules.
const VALID_ONLY_SINCE: (u64, u64) = (0, 25);

impl RewardRules {
    /// Returns the rules of the release that wrote a job; where no file names it, `states_validity` says whether its
    /// results say if their rewards are valid, which they do since 0.25.
    pub fn of_release(
        harbor_version: Option<&str>,
        states_validity: impl FnOnce() -> bool,
    ) -> Self {
        let is_new = match harbor_version.and_then(release) {
            Some(release) => release >= VALID_ONLY_SINCE,
            None => states_validity(),
        };
        if is_new {
            Self::ValidOnly
        } else {
            Self::MissingIsZero
        }
    }

    /// Whether the rewards of a trial are valid. `stated` is what its result says about that, and `exceptions` are
    /// those of the trial and its steps: their type, and whether a reward is valid in spite of them, if that is stated.
    pub fn is_valid<'a>(
        self,
        rewards: &[(String, f64)],
        stated: Option<bool>,
        mut exceptions: impl Iterator<Item = (&'a str, Option<bool>)>,
    ) -> bool {
        let is_graded = rewards.iter().any(|(_, reward)| !reward.is_nan());
        match self {
            Self::MissingIsZero => is_graded,
            Self::ValidOnly => stated.unwrap_or_else(|| {
                is_graded
                    && exceptions.all(|(kind, keeps_reward)| {
                        keeps_reward.unwrap_or_else(|| ErrorPolicy::of_type(kind).has_valid_reward)
                    })
            }),
        }
    }

    /// Whether a trial that ended counts in means and pass@k.
    #[must_use]
    pub fn counts(self, is_valid: bool) -> bool {
        self == Self::MissingIsZero || is_valid
    }

    /// Whether exceptions of steps are the trial's.
    #[must_use]
    pub fn has_exceptions_of_steps(self) -> bool {
        self == Self::ValidOnly
    }

    /// Returns what a trial that ended counts in the mean reward: nothing if it does not count, and 0 if it has no
    /// reward but does.
    #[must_use]
    pub fn counted_reward(self, rewards: &[(String, f64)], is_valid: bool) -> Option<f64> {
        if !self.counts(is_valid) {
            return None;
        }
        match main_reward(rewards) {
            Some(reward) if reward.is_finite() => Some(reward),
            // Several keys, none of which is the reward.
            None if rewards.len() > 1 => None,
            _ => Some(0.0),
        }
    }
}

/// Returns the reward called `reward`, or else the only one.
#[must_use]
pub fn main_reward(rewards: &[(String, f64)]) -> Option<f64> {
    let named = rewards.iter().find(|(key, _)| key == "reward");
    match (named, rewards) {
        (Some((_, reward)), _) | (None, [(_, reward)]) => Some(*reward),
        _ => None,
    }
}

/// Reads the first two numbers of a version.
fn release(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.split('.');
    let mut number = || parts.next()?.trim_start_matches('v').parse().ok();
    Some((number()?, number()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewards(values: &[(&str, f64)]) -> Vec<(String, f64)> {
        let values = values.iter();
        values
            .map(|(key, value)| ((*key).to_owned(), *value))
            .collect()
    }

    #[test]
    fn the_version_decides_before_the_form_of_the_results() {
        let rules = |version, states_validity| RewardRules::of_release(version, || states_validity);
        assert_eq!(rules(Some("0.24.0"), true), RewardRules::MissingIsZero);
        assert_eq!(rules(Some("0.9.1"), true), RewardRules::MissingIsZero);
        assert_eq!(rules(Some("0.25.0rc1"), false), RewardRules::ValidOnly);
        assert_eq!(rules(Some("1.0"), false), RewardRules::ValidOnly);
        assert_eq!(rules(Some("dev"), true), RewardRules::ValidOnly);
        assert_eq!(rules(None, true), RewardRules::ValidOnly);
        assert_eq!(rules(None, false), RewardRules::MissingIsZero);
    }

    #[test]
    fn what_a_trial_counts_is_its_reward_or_zero_or_nothing() {
        let counted = |rules: RewardRules, values: &[(&str, f64)], is_valid| {
            rules.counted_reward(&rewards(values), is_valid)
        };
        let (old, new) = (RewardRules::MissingIsZero, RewardRules::ValidOnly);
        assert_eq!(counted(old, &[], false), Some(0.0));
        assert_eq!(counted(new, &[], false), None);
        assert_eq!(counted(new, &[("score", 0.5)], true), Some(0.5));
        assert_eq!(counted(new, &[("reward", f64::INFINITY)], true), Some(0.0));
        assert_eq!(counted(old, &[("speed", 1.0), ("style", 1.0)], true), None);
        assert_eq!(
            counted(old, &[("speed", 0.0), ("reward", 1.0)], true),
            Some(1.0)
        );
    }

    #[test]
    fn a_reward_is_valid_by_what_is_stated_else_by_policies_else_by_type() {
        let one = rewards(&[("reward", 1.0)]);
        let valid = |stated, exceptions: &[(&'static str, Option<bool>)]| {
            RewardRules::ValidOnly.is_valid(&one, stated, exceptions.iter().copied())
        };
        assert!(valid(None, &[]));
        assert!(!valid(Some(false), &[]));
        assert!(valid(None, &[("AgentTimeoutError", None)]));
        assert!(!valid(
            None,
            &[("AgentTimeoutError", None), ("HealthcheckError", None)]
        ));
        assert!(!valid(None, &[("AgentTimeoutError", Some(false))]));
        assert!(valid(Some(true), &[("HealthcheckError", None)]));
        let none = RewardRules::ValidOnly.is_valid(&[], None, std::iter::empty());
        assert!(!none);
        let nan = rewards(&[("reward", f64::NAN)]);
        assert!(!RewardRules::MissingIsZero.is_valid(&nan, None, std::iter::empty()));
    }
}
