//! What an exception does to a trial, by its type.

/// What Harbor does with a trial that ended by an exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorPolicy {
    /// Whether a reward that it got is worth something.
    pub has_valid_reward: bool,
    /// Whether it is retried, if retries are configured.
    pub is_retried: bool,
    /// Whether the verifier runs.
    pub is_graded: bool,
}

impl ErrorPolicy {
    const fn new(has_valid_reward: bool, is_retried: bool, is_graded: bool) -> Self {
        Self {
            has_valid_reward,
            is_retried,
            is_graded,
        }
    }

    /// Returns the policy of Harbor 0.26 for a type of exception. One that it does not know is retried and graded, and
    /// its reward is valid.
    #[must_use]
    pub fn of_type(kind: &str) -> Self {
        let row = POLICIES.iter().find(|(_, kinds)| kinds.contains(&kind));
        row.map_or(Self::new(true, true, true), |(policy, _)| *policy)
    }
}

/// Returns all types of exceptions that have a policy.
#[cfg(test)]
pub(crate) fn known_types() -> impl Iterator<Item = &'static str> {
    POLICIES.iter().flat_map(|(_, kinds)| *kinds).copied()
}

/// The policies of Harbor 0.26 with the types that have them.
const POLICIES: [(ErrorPolicy, &[&str]); 5] = [
    // Limits of the agent and of its model: what it did until then counts.
    (
        ErrorPolicy::new(true, false, true),
        &[
            "AgentTimeoutError",
            "NonZeroAgentExitCodeError",
            "ContextWindowExceededError",
            "OutputTokenExceededError",
            "ContextLengthExceededError",
            "OutputLengthExceededError",
            "AgentSafetyRefusalError",
            "ContentPolicyViolationError",
        ],
    ),
    // The machine or the sandbox.
    (
        ErrorPolicy::new(false, true, false),
        &[
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
        ],
    ),
    // The provider of the model, or the network on the way to it.
    (
        ErrorPolicy::new(false, true, true),
        &[
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
        ],
    ),
    // Requests that a model refuses, and verifiers that give no reward.
    (
        ErrorPolicy::new(false, false, true),
        &[
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
        ],
    ),
    // Nothing could begin, or it was cancelled.
    (
        ErrorPolicy::new(false, false, false),
        &[
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
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_has_one_policy_and_an_unknown_one_keeps_its_reward() {
        let mut kinds: Vec<&str> = POLICIES
            .iter()
            .flat_map(|(_, kinds)| *kinds)
            .copied()
            .collect();
        let all = kinds.len();
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!((all, kinds.len()), (58, 58));
        let policy = |kind| {
            let policy = ErrorPolicy::of_type(kind);
            (policy.has_valid_reward, policy.is_retried, policy.is_graded)
        };
        assert_eq!(policy("AgentTimeoutError"), (true, false, true));
        assert_eq!(policy("HealthcheckError"), (false, true, false));
        assert_eq!(policy("ApiRateLimitError"), (false, true, true));
        assert_eq!(policy("VerifierTimeoutError"), (false, false, true));
        assert_eq!(policy("CancelledError"), (false, false, false));
        assert_eq!(policy("SomethingNew"), (true, true, true));
    }
}
