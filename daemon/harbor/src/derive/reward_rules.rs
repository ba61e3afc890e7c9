//! Applies Harbor's rules, which `docks_statistics::harbor` defines, to results as its files have them.

use docks_statistics::harbor::main_reward;

use crate::format::trial::{Exception, TrialResult};

pub(crate) use docks_statistics::harbor::RewardRules;

/// Whether the reward of a trial is valid.
pub(crate) fn is_valid(rules: RewardRules, result: &TrialResult) -> bool {
    let exceptions = result.exceptions();
    rules.is_valid(
        &result.rewards,
        result.reward_valid,
        exceptions.map(|exception| (exception.kind.as_str(), exception.keeps_reward)),
    )
}

/// Whether a trial is solved: its reward is valid and exactly 1, whatever else happened.
pub(crate) fn is_solved(rules: RewardRules, result: &TrialResult) -> bool {
    is_valid(rules, result) && main_reward(&result.rewards) == Some(1.0)
}

/// Returns the exceptions that are the trial's; the first one decides its status.
pub(crate) fn exceptions(rules: RewardRules, result: &TrialResult) -> Vec<&Exception> {
    if rules.has_exceptions_of_steps() {
        result.exceptions().collect()
    } else {
        result.exception.iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(text: &str) -> TrialResult {
        TrialResult::parse(text).unwrap()
    }

    #[test]
    fn a_reward_is_valid_by_its_field_else_by_what_the_policies_say_else_by_type() {
        let rewards = r#""verifier_result":{"rewards":{"reward":1}}"#;
        let raised = |kind: &str, more: &str| {
            let info = format!(r#""exception_info":{{"exception_type":"{kind}"{more}}}"#);
            format!("{{{rewards},{info}}}")
        };
        let valid = |text: &str| is_valid(RewardRules::ValidOnly, &result(text));
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
        assert!(is_valid(RewardRules::MissingIsZero, &result(&text)));
    }

    #[test]
    fn a_trial_may_be_solved_and_have_an_exception() {
        let text = r#"{"verifier_result":{"rewards":{"reward":1.0,"speed":0}},
            "exception_info":{"exception_type":"AgentTimeoutError"}}"#;
        for rules in [RewardRules::MissingIsZero, RewardRules::ValidOnly] {
            assert!(is_solved(rules, &result(text)));
            assert!(!is_solved(rules, &result(&text.replace("1.0", "0.5"))));
        }
    }
}
