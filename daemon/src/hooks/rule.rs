//! Which rules apply to the end of a run.

use docks_artifacts::pattern::Pattern;
use docks_proto::event::ObjectState;

use crate::config::OnEndRule;

/// Whether a rule applies to the end of `run`, on a remote of these profiles.
pub(super) fn matches(rule: &OnEndRule, profiles: &[String], run: &ObjectState) -> bool {
    let of_profile = rule.profiles.iter().any(|name| profiles.contains(name));
    let has_status = |status: &String| status.eq_ignore_ascii_case(&run.status);
    let has_name = |pattern: &Pattern| pattern.matches(&run.name, &[&run.run_id]);
    (rule.profiles.is_empty() || of_profile)
        && (rule.statuses.is_empty() || rule.statuses.iter().any(has_status))
        && rule.name.as_ref().is_none_or(has_name)
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
