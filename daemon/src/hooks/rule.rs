//! Which rules apply to a run.

use docks_artifacts::pattern::Pattern;
use docks_proto::event::ObjectState;

use crate::config::OnEndRule;

/// Whether a rule applies to the end of `run`, on a remote of these profiles.
pub(super) fn matches(rule: &OnEndRule, profiles: &[String], run: &ObjectState) -> bool {
    let has_status = |status: &String| status.eq_ignore_ascii_case(&run.status);
    is_of_profile(&rule.profiles, profiles)
        && (rule.statuses.is_empty() || rule.statuses.iter().any(has_status))
        && has_name(rule.name.as_ref(), run)
}

/// Whether a rule for some profiles, or for all if it names none, applies to a remote of these.
pub(super) fn is_of_profile(named: &[String], profiles: &[String]) -> bool {
    named.is_empty() || named.iter().any(|name| profiles.contains(name))
}

/// Whether a run has the name, or the id, that a rule asks for, if it asks for any.
pub(super) fn has_name(pattern: Option<&Pattern>, run: &ObjectState) -> bool {
    pattern.is_none_or(|pattern| pattern.matches(&run.name, &[&run.run_id]))
}

#[cfg(test)]
mod tests {
    use docks_proto::object::RawObject;
    use docks_proto::routes::RunKind;

    use super::*;

    #[test]
    fn a_rule_applies_to_the_ends_that_it_names() {
        let text = r#"{"id":"r-1","name":"nightly-7","status":"FAILED"}"#;
        let object = RawObject::parse(text).unwrap().unwrap();
        let run = ObjectState::from_run(RunKind::Evaluation, &object);
        let profiles = ["bench".to_owned()];
        let applies = |change: fn(&mut OnEndRule)| {
            let mut rule = OnEndRule::default();
            change(&mut rule);
            matches(&rule, &profiles, &run)
        };
        assert!(applies(|_| {}));
        assert!(applies(|rule| rule.name = Pattern::parse("nightly-*").ok()));
        assert!(applies(|rule| rule.name = Pattern::parse("r-?").ok()));
        assert!(!applies(|rule| rule.name = Pattern::parse("nightly").ok()));
        assert!(applies(
            |rule| rule.statuses = vec!["cancelled".into(), "failed".into()]
        ));
        assert!(!applies(|rule| rule.statuses = vec!["completed".into()]));
        assert!(applies(
            |rule| rule.profiles = vec!["other".into(), "bench".into()]
        ));
        assert!(!applies(|rule| rule.profiles = vec!["other".into()]));
    }
}
