//! Which rewards and exceptions count: Harbor changed that with 0.25.

use crate::format::trial::{Exception, TrialResult};

/// The rules by which Harbor makes the figures of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum RewardRules {
    /// Until 0.24: every trial that ended counts, a missing reward as 0, and exceptions of steps do not count.
    #[default]
    MissingIsZero,
    /// Since 0.25: only trials with a valid reward count, and exceptions of steps are the trial's.
    ValidOnly,
}

/// The first release with the newer rules.
const VALID_ONLY_SINCE: (u64, u64) = (0, 25);

/// Exceptions that make a reward worthless, in Harbor 0.26. Of others, also unknown ones, the reward is valid.
const WORTHLESS: [&str; 50] = [
    // Retried, not graded.
    "EnvironmentStartTimeoutError",
    "SandboxBuildFailedError",
    "AgentSetupTimeoutError",
    "HealthcheckError",
    "SandboxLikelyOutOfMemoryError",
    "MemoryLimitExceededError",
    "SSHAccessError",
    "GKEExecStreamClosedError",
    "GKEPodNotFoundError",
    "RuntimeRequestError",
    "AddTestsDirError",
    "DownloadVerifierDirError",
    // Retried and graded.
    "ApiError",
    "ApiRateLimitError",
    "ApiInternalServerError",
    "ApiOverloadedError",
    "ApiConnectionClosedError",
    "ApiResponseStalledError",
    "UnknownApiError",
    "NetworkConnectionError",
    "ApiConnectionError",
    "ApiUsageLimitError",
    "RateLimitError",
    "InternalServerError",
    "ServiceUnavailableError",
    "APIConnectionError",
    "APIError",
    "Timeout",
    // Graded, not retried.
    "UnsupportedModelParametersError",
    "BadRequestError",
    "UnprocessableEntityError",
    "UnsupportedParamsError",
    "APIResponseValidationError",
    "BudgetExceededError",
    "VerifierTimeoutError",
    "RewardFileNotFoundError",
    "RewardFileEmptyError",
    "VerifierOutputParseError",
    // Neither.
    "AgentAuthenticationError",
    "ModelNotFoundError",
    "ApiProviderResourceNotFoundError",
    "AuthenticationError",
    "PermissionDeniedError",
    "NotFoundError",
    "ServiceOperationsUnsupportedError",
    "VercelScopeError",
    "DspyImportError",
    "MissingExtraError",
    "RegradeError",
    "CancelledError",
];

impl RewardRules {
    /// Returns the rules of the release that wrote a job; where no file names it, of the form of its results.
    pub(crate) fn of_job<'a>(
        harbor_version: Option<&str>,
        mut results: impl Iterator<Item = &'a TrialResult>,
    ) -> Self {
        let is_new = match harbor_version.and_then(release) {
            Some(release) => release >= VALID_ONLY_SINCE,
            None => results.any(|result| result.reward_valid.is_some()),
        };
        if is_new {
            Self::ValidOnly
        } else {
            Self::MissingIsZero
        }
    }

    /// Whether the reward of a trial is valid.
    pub(crate) fn is_valid(self, result: &TrialResult) -> bool {
        let is_graded = result.rewards.iter().any(|(_, reward)| !reward.is_nan());
        match self {
            Self::MissingIsZero => is_graded,
            Self::ValidOnly => result
                .reward_valid
                .unwrap_or_else(|| is_graded && result.exceptions().all(keeps_reward)),
        }
    }

    /// Whether a trial is solved: its reward is valid and exactly 1, whatever else happened.
    pub(crate) fn is_solved(self, result: &TrialResult) -> bool {
        self.is_valid(result) && main_reward(&result.rewards) == Some(1.0)
    }

    /// Whether a trial that ended counts in means and pass@k.
    pub(crate) fn counts(self, result: &TrialResult) -> bool {
        self == Self::MissingIsZero || self.is_valid(result)
    }

    /// Returns the exceptions that are the trial's; the first one decides its status.
    pub(crate) fn exceptions(self, result: &TrialResult) -> Vec<&Exception> {
        match self {
            Self::MissingIsZero => result.exception.iter().collect(),
            Self::ValidOnly => result.exceptions().collect(),
        }
    }
}

/// Returns the reward called `reward`, or else the only one.
pub(crate) fn main_reward(rewards: &[(String, f64)]) -> Option<f64> {
    let named = rewards.iter().find(|(key, _)| key == "reward");
    match (named, rewards) {
        (Some((_, reward)), _) | (None, [(_, reward)]) => Some(*reward),
        _ => None,
    }
}

fn keeps_reward(exception: &Exception) -> bool {
    exception
        .keeps_reward
        .unwrap_or_else(|| !WORTHLESS.contains(&exception.kind.as_str()))
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

    fn result(text: &str) -> TrialResult {
        TrialResult::parse(text).unwrap()
    }

    #[test]
    fn the_version_decides_before_the_form_of_the_results() {
        let new = result(r#"{"reward_valid":false}"#);
        let old = result("{}");
        let rules = |version, result| RewardRules::of_job(version, std::iter::once(result));
        assert_eq!(rules(Some("0.24.0"), &new), RewardRules::MissingIsZero);
        assert_eq!(rules(Some("0.9.1"), &new), RewardRules::MissingIsZero);
        assert_eq!(rules(Some("0.25.0rc1"), &old), RewardRules::ValidOnly);
        assert_eq!(rules(Some("1.0"), &old), RewardRules::ValidOnly);
        assert_eq!(rules(Some("dev"), &new), RewardRules::ValidOnly);
        assert_eq!(rules(None, &new), RewardRules::ValidOnly);
        assert_eq!(rules(None, &old), RewardRules::MissingIsZero);
    }

    #[test]
    fn a_reward_is_valid_by_its_field_else_by_what_the_policies_say_else_by_type() {
        let rewards = r#""verifier_result":{"rewards":{"reward":1}}"#;
        let raised = |kind: &str, more: &str| {
            let info = format!(r#""exception_info":{{"exception_type":"{kind}"{more}}}"#);
            format!("{{{rewards},{info}}}")
        };
        let valid = |text: &str| RewardRules::ValidOnly.is_valid(&result(text));
        assert!(valid(&raised("AgentTimeoutError", "")));
        assert!(valid(&raised("SomethingNew", "")));
        assert!(!valid(&raised("ApiRateLimitError", "")));
        assert!(!valid("{}"));
        let policy = r#","policy":{"has_valid_reward":false}"#;
        assert!(!valid(&raised("AgentTimeoutError", policy)));
        let changed = format!(r#"{policy},"policy_override":{{"has_valid_reward":true}}"#);
        assert!(valid(&raised("AgentTimeoutError", &changed)));
        assert!(!valid(&format!(r#"{{{rewards},"reward_valid":false}}"#)));
        let step = r#""step_results":[{"exception_info":{"exception_type":"HealthcheckError"}}]"#;
        let text = format!("{{{rewards},{step}}}");
        assert!(!valid(&text));
        assert!(RewardRules::MissingIsZero.is_valid(&result(&text)));
    }

    #[test]
    fn a_trial_may_be_solved_and_have_an_exception() {
        let text = r#"{"verifier_result":{"rewards":{"reward":1.0,"speed":0}},
            "exception_info":{"exception_type":"AgentTimeoutError"}}"#;
        for rules in [RewardRules::MissingIsZero, RewardRules::ValidOnly] {
            assert!(rules.is_solved(&result(text)));
            assert!(!rules.is_solved(&result(&text.replace("1.0", "0.5"))));
        }
    }
}
