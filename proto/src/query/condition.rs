//! Conditions on one property of a trial: its error and its reward.

use std::fmt;
use std::hash::{Hash, Hasher};

use super::QueryError;

/// A condition on the error of a trial.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ErrorFilter {
    /// There is one.
    Any,
    /// There is none.
    None,
    /// There is one of this type.
    Type(String),
}

/// A condition on the reward of a trial.
#[derive(Debug, Clone, Copy)]
pub enum RewardFilter {
    /// There is one.
    Any,
    /// There is none.
    None,
    /// There is one, and it compares like this with the number.
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
    /// All operators; `<=` comes before `<`, which it starts with.
    const ALL: [(&'static str, Self); 6] = [
        ("!=", Self::Unequal),
        ("<=", Self::AtMost),
        (">=", Self::AtLeast),
        ("=", Self::Equal),
        ("<", Self::Less),
        (">", Self::Greater),
    ];

    /// Returns the operator, which is the same in SQL.
    #[must_use]
    pub fn operator(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, known)| *known == self);
        found.map_or("=", |(operator, _)| operator)
    }

    /// Whether the comparison holds.
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
    /// Parses `none`, `any`, a number, or a comparison with one.
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
        let operators = Comparison::ALL.into_iter();
        let (comparison, number) = operators
            .filter_map(|(operator, comparison)| Some((comparison, plain.strip_prefix(operator)?)))
            .next()
            .unwrap_or((Comparison::Equal, plain));
        match number.trim().parse::<f64>() {
            // Adding zero makes -0 and 0 the same.
            Ok(number) if number.is_finite() => Ok(Self::Is(comparison, number + 0.0)),
            _ => Err(QueryError::Reward {
                value: text.to_owned(),
            }),
        }
    }

    /// Whether a reward meets the condition.
    #[must_use]
    pub fn matches(self, reward: Option<f64>) -> bool {
        match (self, reward) {
            (Self::Any, reward) => reward.is_some(),
            (Self::None, reward) => reward.is_none(),
            (Self::Is(comparison, number), Some(reward)) => comparison.holds(reward, number),
            (Self::Is(..), None) => false,
        }
    }

    /// What equality and hash go by: bits, since the numbers are never NaN.
    fn bits(self) -> (u8, u64) {
        match self {
            Self::Any => (0, 0),
            Self::None => (1, 0),
            Self::Is(comparison, number) => (2 + comparison as u8, number.to_bits()),
        }
    }
}

impl PartialEq for RewardFilter {
    fn eq(&self, other: &Self) -> bool {
        self.bits() == other.bits()
    }
}

impl Eq for RewardFilter {}

impl Hash for RewardFilter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bits().hash(state);
    }
}

impl fmt::Display for RewardFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::None => f.write_str("none"),
            Self::Is(comparison, number) => write!(f, "{}{number}", comparison.operator()),
        }
    }
}

impl ErrorFilter {
    /// Parses `any`, `none` or a type.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.trim() {
            any if any.eq_ignore_ascii_case("any") => Self::Any,
            none if none.eq_ignore_ascii_case("none") => Self::None,
            name => Self::Type(name.to_owned()),
        }
    }

    /// Whether an error meets the condition; `error` is its type, empty for no error.
    #[must_use]
    pub fn matches(&self, error: &str) -> bool {
        match self {
            Self::Any => !error.is_empty(),
            Self::None => error.is_empty(),
            Self::Type(name) => !error.is_empty() && name.eq_ignore_ascii_case(error),
        }
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Any => "any".to_owned(),
            Self::None => "none".to_owned(),
            Self::Type(name) => name.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewards_are_compared_as_written() {
        for (text, matching, other) in [
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
            let filter = RewardFilter::parse(text).unwrap();
            assert!(filter.matches(matching) && !filter.matches(other), "{text}");
            assert_eq!(RewardFilter::parse(&filter.to_string()).unwrap(), filter);
        }
        for text in ["", "x", ">", "=>1", "nan", "inf", "1,2"] {
            assert!(RewardFilter::parse(text).is_err(), "{text}");
        }
    }
}
