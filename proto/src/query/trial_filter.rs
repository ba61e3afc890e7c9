//! Filters for trials only: agent, model, task, error, reward.
//!
//! Names are compared without case. The mirror resolves them with the same functions against the
//! words it has stored, so the daemon and a direct query give the same answer.

use super::{ErrorFilter, QueryError, RewardFilter, Row};

/// Conditions on trials; a trial must meet all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct TrialFilter {
    /// Only these agents; empty for all, as in the next three.
    pub agent: Vec<String>,
    /// Only these models.
    pub model: Vec<String>,
    /// Only these tasks.
    pub task: Vec<String>,
    /// Only trials whose error meets one of these.
    pub error: Vec<ErrorFilter>,
    /// Only trials whose reward meets all of these.
    pub reward: Vec<RewardFilter>,
}

impl TrialFilter {
    /// Whether there is no condition.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether an agent variant matches: by its whole name, or by the part before the brackets
    /// with its model.
    #[must_use]
    pub fn matches_agent(&self, variant: &str) -> bool {
        let short = variant.split_once(" (").map_or(variant, |(short, _)| short);
        is_any_of(&self.agent, |name| {
            name.eq_ignore_ascii_case(variant) || name.eq_ignore_ascii_case(short)
        })
    }

    /// Whether a model matches: as `provider/model`, or without the provider.
    #[must_use]
    pub fn matches_model(&self, model: &str) -> bool {
        let bare = model.rsplit_once('/').map_or(model, |(_, bare)| bare);
        is_any_of(&self.model, |name| {
            name.eq_ignore_ascii_case(model) || name.eq_ignore_ascii_case(bare)
        })
    }

    /// Whether a task matches.
    #[must_use]
    pub fn matches_task(&self, task: &str) -> bool {
        is_any_of(&self.task, |name| name.eq_ignore_ascii_case(task))
    }

    /// Whether an error matches; `error` is its type, empty for no error.
    #[must_use]
    pub fn matches_error(&self, error: &str) -> bool {
        self.error.is_empty() || self.error.iter().any(|filter| filter.matches(error))
    }

    /// Whether a trial meets all conditions.
    #[must_use]
    pub fn matches(&self, row: &Row) -> bool {
        self.matches_agent(&row.agent)
            && self.matches_model(&row.model)
            && self.matches_task(&row.task)
            && self.matches_error(&row.error)
            && self.reward.iter().all(|filter| filter.matches(row.reward))
    }

    /// Adds the filter's parameters to those of a query string.
    pub(super) fn add_parameters(&self, pairs: &mut Vec<(&str, String)>) {
        for (name, values) in [
            ("agent", &self.agent),
            ("model", &self.model),
            ("task", &self.task),
        ] {
            pairs.extend(values.iter().map(|value| (name, value.clone())));
        }
        pairs.extend(self.error.iter().map(|error| ("error", error.text())));
        let rewards = self.reward.iter();
        pairs.extend(rewards.map(|reward| ("reward", reward.to_string())));
    }

    /// Sets what one parameter says; unknown and blank ones are ignored.
    pub(super) fn set(&mut self, name: &str, value: String) -> Result<(), QueryError> {
        if value.trim().is_empty() {
            return Ok(());
        }
        match name {
            "agent" => self.agent.push(value),
            "model" => self.model.push(value),
            "task" => self.task.push(value),
            "error" => self.error.push(ErrorFilter::parse(&value)),
            "reward" => self.reward.push(RewardFilter::parse(&value)?),
            _ => {}
        }
        Ok(())
    }
}

/// Whether one of the names matches; no names match everything.
fn is_any_of(names: &[String], matches: impl Fn(&String) -> bool) -> bool {
    names.is_empty() || names.iter().any(matches)
}

#[cfg(test)]
mod tests {
    use super::super::{Comparison, ListKind, ListQuery, RewardFilter, apply_query};
    use super::*;
    use crate::object::RawObject;

    #[test]
    fn a_filter_survives_its_query_string() {
        let query = ListQuery {
            trials: TrialFilter {
                agent: vec!["a b".into(), "c".into()],
                model: vec!["p/m".into()],
                task: vec!["t&u".into()],
                error: vec![ErrorFilter::Any, ErrorFilter::Type("E".into())],
                reward: vec![
                    RewardFilter::Is(Comparison::AtLeast, 0.5),
                    RewardFilter::Is(Comparison::Less, 1.0),
                ],
            },
            ..ListQuery::default()
        };
        for list in [ListKind::Trials, ListKind::AllTrials] {
            let text = query.query_string(list);
            assert_eq!(
                ListQuery::parse(list, &text, 20),
                Ok(query.clone()),
                "{text}"
            );
        }
        let runs = ListQuery::parse(ListKind::Runs, "reward=x&agent=y", 20);
        assert_eq!(runs, Ok(ListQuery::default()));
        assert!(ListQuery::parse(ListKind::Trials, "reward=x", 20).is_err());
    }

    #[test]
    fn trials_of_both_kinds_of_remote_are_filtered_alike() {
        let harbor = r#"{"id":"h","task_slug":"sum","agent_variant":"coder (acme/m-1)","status":"error",
            "harbor":{"model":"acme/m-1"},"result_data":{"reward":0.25,"error_code":"AgentTimeoutError"}}"#;
        let api = r#"{"id":"a","task_slug":"Sum","variant_name":"Coder","status":"success",
            "result_data":"{\"reward\":1,\"model\":\"M-1\"}"}"#;
        let objects: Vec<RawObject> = [harbor, api]
            .iter()
            .map(|text| RawObject::parse(text).unwrap().unwrap())
            .collect();
        for (text, found) in [
            ("agent=coder", "ha"),
            ("agent=coder%20(ACME/m-1)", "h"),
            ("model=m-1", "ha"),
            ("model=acme/M-1", "h"),
            ("task=SUM", "ha"),
            ("error=any", "h"),
            ("error=none", "a"),
            ("error=agenttimeouterror&error=none", "ha"),
            ("error=Agent", ""),
            ("reward=1", "a"),
            ("reward=>0&reward=<1", "h"),
            ("reward=none", ""),
            ("agent=coder&error=none", "a"),
        ] {
            let query = ListQuery::parse(ListKind::Trials, text, 0).unwrap();
            let (rows, total) = apply_query(ListKind::Trials, objects.clone(), &query);
            let ids: String = rows.iter().map(|row| Row::from_trial(row).id).collect();
            assert_eq!((ids.as_str(), total), (found, found.len() as u64), "{text}");
        }
    }
}
