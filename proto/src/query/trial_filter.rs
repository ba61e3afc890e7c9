//! What can be asked of trials only: agent, model, task, error, reward.
//!
//! Names are compared without case. The mirror resolves them against the words it has seen, with
//! the same functions, so an answer does not depend on who gives it.

use std::fmt;
use std::hash::{Hash, Hasher};

use super::{QueryError, Row};

/// Conditions on trials; all that are given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct TrialFilter {
    /// Any of these agents; empty is any at all. So for the next three.
    pub agent: Vec<String>,
    /// Any of these models.
    pub model: Vec<String>,
    /// Any of these tasks.
    pub task: Vec<String>,
    /// Any of these errors.
    pub error: Vec<ErrorFilter>,
    /// All of these hold of the reward.
    pub reward: Vec<RewardFilter>,
}

/// Which error a trial has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ErrorFilter {
    /// Some error.
    Any,
    /// No error.
    None,
    /// One of this type.
    Type(String),
}

/// A condition on the reward.
#[derive(Debug, Clone, Copy)]
pub enum RewardFilter {
    /// There is one.
    Any,
    /// There is none.
    None,
    /// There is one, and it compares so with this number.
    Is(Comparison, f64),
}

/// How two numbers compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`
    Unequal,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
}

impl Comparison {
    /// All, those first that begin like others.
    const ALL: [(&'static str, Self); 6] = [
        ("!=", Self::Unequal),
        ("<=", Self::AtMost),
        (">=", Self::AtLeast),
        ("=", Self::Equal),
        ("<", Self::Less),
        (">", Self::Greater),
    ];

    /// Returns the sign, which SQL shares.
    #[must_use]
    pub fn operator(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, known)| *known == self);
        found.map_or("=", |(sign, _)| sign)
    }

    /// Compares.
    #[must_use]
    pub fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Equal => left == right,
            Self::Unequal => left != right,
            Self::Less => left < right,
            Self::AtMost => left <= right,
            Self::Greater => left > right,
            Self::AtLeast => left >= right,
        }
    }
}

impl RewardFilter {
    /// Reads `none`, `any`, a number, or a comparison with one.
    ///
    /// # Errors
    ///
    /// [`QueryError::Reward`] for anything else.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let plain = text.trim();
        if plain.eq_ignore_ascii_case("none") {
            return Ok(Self::None);
        }
        if plain.eq_ignore_ascii_case("any") {
            return Ok(Self::Any);
        }
        let signs = Comparison::ALL.into_iter();
        let (compared, number) = signs
            .filter_map(|(sign, compared)| Some((compared, plain.strip_prefix(sign)?)))
            .next()
            .unwrap_or((Comparison::Equal, plain));
        match number.trim().parse::<f64>() {
            // Adding zero makes -0 and 0 the same.
            Ok(number) if number.is_finite() => Ok(Self::Is(compared, number + 0.0)),
            _ => Err(QueryError::Reward {
                given: text.to_owned(),
            }),
        }
    }

    /// Tells whether a reward is as wanted.
    #[must_use]
    pub fn matches(self, reward: Option<f64>) -> bool {
        match (self, reward) {
            (Self::Any, reward) => reward.is_some(),
            (Self::None, reward) => reward.is_none(),
            (Self::Is(compared, number), Some(reward)) => compared.holds(reward, number),
            (Self::Is(..), None) => false,
        }
    }

    fn key(self) -> (u8, u64) {
        match self {
            Self::Any => (0, 0),
            Self::None => (1, 0),
            Self::Is(compared, number) => (2 + compared as u8, number.to_bits()),
        }
    }
}

impl PartialEq for RewardFilter {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for RewardFilter {}

impl Hash for RewardFilter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl fmt::Display for RewardFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::None => f.write_str("none"),
            Self::Is(compared, number) => write!(f, "{}{number}", compared.operator()),
        }
    }
}

impl ErrorFilter {
    /// Reads `any`, `none` or a type.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.trim() {
            any if any.eq_ignore_ascii_case("any") => Self::Any,
            none if none.eq_ignore_ascii_case("none") => Self::None,
            kind => Self::Type(kind.to_owned()),
        }
    }

    /// Tells whether an error's type, empty for none, is wanted.
    #[must_use]
    pub fn matches(&self, error: &str) -> bool {
        match self {
            Self::Any => !error.is_empty(),
            Self::None => error.is_empty(),
            Self::Type(kind) => !error.is_empty() && kind.eq_ignore_ascii_case(error),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Any => "any".to_owned(),
            Self::None => "none".to_owned(),
            Self::Type(kind) => kind.clone(),
        }
    }
}

impl TrialFilter {
    /// Tells whether nothing is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Tells whether an agent variant is wanted: by its whole name, or by what stands before the
    /// brackets that hold its model.
    #[must_use]
    pub fn matches_agent(&self, variant: &str) -> bool {
        let name = variant.split_once(" (").map_or(variant, |(name, _)| name);
        any(&self.agent, |wanted| {
            wanted.eq_ignore_ascii_case(variant) || wanted.eq_ignore_ascii_case(name)
        })
    }

    /// Tells whether a model is wanted: `provider/model`, or the model alone.
    #[must_use]
    pub fn matches_model(&self, model: &str) -> bool {
        let bare = model.rsplit_once('/').map_or(model, |(_, bare)| bare);
        any(&self.model, |wanted| {
            wanted.eq_ignore_ascii_case(model) || wanted.eq_ignore_ascii_case(bare)
        })
    }

    /// Tells whether a task is wanted.
    #[must_use]
    pub fn matches_task(&self, task: &str) -> bool {
        any(&self.task, |wanted| wanted.eq_ignore_ascii_case(task))
    }

    /// Tells whether an error's type, empty for none, is wanted.
    #[must_use]
    pub fn matches_error(&self, error: &str) -> bool {
        self.error.is_empty() || self.error.iter().any(|wanted| wanted.matches(error))
    }

    /// Tells whether a trial is wanted.
    #[must_use]
    pub fn matches(&self, row: &Row) -> bool {
        self.matches_agent(&row.agent)
            && self.matches_model(&row.model)
            && self.matches_task(&row.task)
            && self.matches_error(&row.error)
            && self.reward.iter().all(|wanted| wanted.matches(row.reward))
    }

    /// Adds the parameters of a query string.
    pub(super) fn write(&self, pairs: &mut Vec<(&str, String)>) {
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

    /// Reads one parameter; unknown ones are ignored, and so are empty ones.
    pub(super) fn read(&mut self, name: &str, value: String) -> Result<(), QueryError> {
        if value.is_empty() {
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

fn any(wanted: &[String], fits: impl Fn(&String) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(fits)
}

#[cfg(test)]
mod tests {
    use super::super::{ListKind, ListQuery, apply_query};
    use super::*;
    use crate::object::RawObject;

    #[test]
    fn rewards_are_compared_as_written() {
        for (text, fits, fails) in [
            ("1", Some(1.0), Some(0.99)),
            ("=0", Some(-0.0), None),
            ("!=1", Some(0.0), None),
            (">=0.5", Some(0.5), Some(0.49)),
            (" < 1 ", Some(0.0), Some(1.0)),
            (">-1", Some(0.0), Some(-1.0)),
            ("<=1e-3", Some(0.001), Some(0.1)),
            ("none", None, Some(0.0)),
            ("ANY", Some(0.0), None),
        ] {
            let wanted = RewardFilter::parse(text).unwrap();
            assert!(wanted.matches(fits) && !wanted.matches(fails), "{text}");
            assert_eq!(RewardFilter::parse(&wanted.to_string()).unwrap(), wanted);
        }
        for text in ["", "x", ">", "=>1", "nan", "inf", "1,2"] {
            assert!(RewardFilter::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_filter_survives_its_string() {
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
        for (question, found) in [
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
            let query = ListQuery::parse(ListKind::Trials, question, 0).unwrap();
            let (rows, total) = apply_query(ListKind::Trials, objects.clone(), &query);
            let ids: String = rows.iter().map(|row| Row::from_trial(row).id).collect();
            assert_eq!(
                (ids.as_str(), total),
                (found, found.len() as u64),
                "{question}"
            );
        }
    }
}
