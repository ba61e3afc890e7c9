//! The fields that are read from objects: those that columns, filters and tables use.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::RawObject;
use crate::repair;

/// A JSON value, as far as a filter or a column can use it.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Scalar {
    /// Absent or null.
    #[default]
    Null,
    /// A string.
    Text(String),
    /// A number.
    Number(f64),
    /// True or false.
    Bool(bool),
    /// An array or an object; its content is not read.
    Nested,
}

impl Scalar {
    /// Returns a non-empty string, or a number or boolean as text.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match self {
            Scalar::Text(text) if !text.is_empty() => Some(text.clone()),
            Scalar::Number(n) => Some(if n.fract() == 0.0 && n.abs() < 9e15 {
                format!("{}", *n as i64)
            } else {
                n.to_string()
            }),
            Scalar::Bool(b) => Some(b.to_string()),
            _ => None,
        }
    }

    /// Returns a number, also one written as a string.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Scalar::Number(n) => Some(*n),
            Scalar::Text(text) => text.trim().parse().ok().filter(|n: &f64| n.is_finite()),
            _ => None,
        }
    }
}

/// Integers below this are exact in a float.
const EXACT: u64 = 1 << 53;

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any JSON value")
            }
            fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(text.to_owned()))
            }
            fn visit_f64<E>(self, n: f64) -> Result<Scalar, E> {
                Ok(Scalar::Number(n))
            }
            // An integer that a float would round stays text: two ids must not become equal.
            fn visit_i64<E>(self, n: i64) -> Result<Scalar, E> {
                Ok(if n.unsigned_abs() < EXACT {
                    Scalar::Number(n as f64)
                } else {
                    Scalar::Text(n.to_string())
                })
            }
            fn visit_u64<E>(self, n: u64) -> Result<Scalar, E> {
                Ok(if n < EXACT {
                    Scalar::Number(n as f64)
                } else {
                    Scalar::Text(n.to_string())
                })
            }
            fn visit_bool<E>(self, b: bool) -> Result<Scalar, E> {
                Ok(Scalar::Bool(b))
            }
            fn visit_unit<E>(self) -> Result<Scalar, E> {
                Ok(Scalar::Null)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Scalar::Nested)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar::Nested)
            }
        }
        deserializer.deserialize_any(V)
    }
}

/// A list of words: its elements as text, without those that have none. Anything but an array has none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Words(pub Vec<String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut words = Vec::new();
        Content::read(deserializer, |_, value| words.extend(value.text()))?;
        Ok(Self(words))
    }
}

/// Numbers by key, in the order of the text, without values that are none. Anything but an object has none.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Numbers(pub Vec<(String, f64)>);

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut numbers = Vec::new();
        Content::read(deserializer, |key, value| {
            numbers.extend(key.zip(value.number()));
        })?;
        Ok(Self(numbers))
    }
}

/// The elements of an array or the members of an object, each passed to a function.
struct Content<F>(F);

impl<F: FnMut(Option<String>, Scalar)> Content<F> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D, take: F) -> Result<(), D::Error> {
        deserializer.deserialize_any(Self(take))
    }
}

impl<'de, F: FnMut(Option<String>, Scalar)> Visitor<'de> for Content<F> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(value) = seq.next_element()? {
            (self.0)(None, value);
        }
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, value)) = map.next_entry()? {
            (self.0)(Some(key), value);
        }
        Ok(())
    }
}

/// A [`Scalar`] unless another type is named.
macro_rules! field_type {
    () => {
        Scalar
    };
    ($type:ty) => {
        $type
    };
}

macro_rules! fields {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident $(: $type:ty)?),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct $name {
            $($(#[$fdoc])* pub $field: field_type!($($type)?),)+
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct V;
                impl<'de> Visitor<'de> for V {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an object")
                    }
                    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<$name, A::Error> {
                        let mut found = $name::default();
                        while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
                            match key.as_ref() {
                                $(stringify!($field) => found.$field = map.next_value()?,)+
                                _ => { map.next_value::<IgnoredAny>()?; }
                            }
                        }
                        Ok(found)
                    }
                }
                deserializer.deserialize_map(V)
            }
        }

        impl $name {
            /// Reads the fields of `object`; missing ones stay `Null`.
            #[must_use]
            pub fn from_object(object: &RawObject) -> Self {
                repair::read(object.text())
            }
        }
    };
}

fields! {
    /// Fields of a run or evaluation run that columns and filters use.
    RunFields {
        /// Opaque id.
        id,
        /// Name of an evaluation run.
        name,
        /// Template of a plain run.
        template_name,
        /// Id of that template.
        template_id,
        /// Status as the remote wrote it.
        status,
        /// Why it has this status.
        status_reason,
        /// When it was created, ISO 8601.
        created_at,
        /// When it started, ISO 8601.
        started_at,
        /// When it last changed, ISO 8601; not every remote sends it.
        updated_at,
        /// When it ended, ISO 8601.
        completed_at,
        /// URI of its dataset.
        dataset_uri,
        /// Number of planned trials.
        total_trials,
        /// Number of trials that have ended.
        completed_trials,
        /// Number of trials that passed.
        passed_trials,
        /// Number of trials that failed.
        failed_trials,
        /// Number of trials whose process was gone before they ended.
        lost_trials,
        /// Host name of a plain run.
        dns_name,
        /// The remote's own reference.
        remote_ref,
    }
}

fields! {
    /// Fields of a trial that columns and filters use; [`Trial`](crate::trial::Trial) adds the nested
    /// ones.
    TrialFields {
        /// Opaque id, unique in its run.
        id,
        /// Name, if the remote has one.
        name,
        /// Task.
        task_slug,
        /// Agent variant, newer name.
        agent_variant,
        /// Agent variant, older name.
        variant_name,
        /// Status as the remote wrote it.
        status,
        /// Error message.
        error_message,
        /// Wall time in seconds.
        duration_seconds,
        /// When it was created, ISO 8601.
        created_at,
        /// When it started, ISO 8601.
        started_at,
        /// When it ended, ISO 8601.
        completed_at,
        /// Model, if the remote names it here.
        model,
        /// Cost in US dollars, if the remote states it here.
        cost_usd,
        /// Artifact of type `logs`.
        logs_uri,
        /// Artifact of type `trajectory`.
        trajectory_uri,
        /// Artifact of type `diff`.
        diff_uri,
        /// Artifact of type `result`.
        result_uri,
    }
}

fields! {
    /// Fields of a trial's `result_data`.
    TrialResult {
        /// The reward.
        reward,
        /// All rewards by key.
        rewards: Numbers,
        /// Number of tests that passed.
        tests_passed,
        /// Number of tests.
        tests_total,
        /// Wall time in seconds.
        duration_seconds,
        /// Number of prompt tokens, cached ones included.
        prompt_tokens,
        /// Number of completion tokens.
        completion_tokens,
        /// Number of prompt tokens that came from a cache.
        cached_tokens,
        /// Cost in US dollars.
        cost_usd,
        /// Model, if the remote names it here.
        model,
        /// The error, in short.
        error,
        /// Type of the error.
        error_code,
        /// Error message.
        error_message,
    }
}

fields! {
    /// Fields of a trial's `harbor` object, which trials of a jobs directory have.
    TrialHarbor {
        /// UUID of the attempt.
        trial_uuid,
        /// Full name of the task.
        task_name,
        /// Dataset.
        dataset,
        /// Agent, without its model.
        agent,
        /// Version that the agent reported.
        agent_version,
        /// Model.
        model,
        /// Whether its reward is valid; null unless it ended.
        valid,
        /// Whether its reward is valid and exactly 1; null unless it ended.
        solved,
        /// What it counts in the mean reward of its job.
        counted_reward,
        /// The types of its exceptions.
        exceptions: Words,
        /// The number of the shown attempt, from 1, where every attempt is kept.
        attempt,
        /// Cost in US dollars, if the remote states it here.
        cost_usd,
        /// Harbor's own figures of the agent, if the remote passes them on.
        agent_result: Numbers,
        /// What a running trial is doing.
        phase,
        /// A remark about the trial.
        note,
    }
}

fields! {
    /// The run of a row in a list over all runs.
    RunReference {
        /// Its id.
        id,
        /// Its name.
        name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_whatever_their_type() {
        let object = RawObject::parse(
            r#"{"id":7,"name":null,"status":{"x":1},"id":"last","created_at":[1]}"#,
        )
        .unwrap()
        .unwrap();
        let fields = RunFields::from_object(&object);
        assert_eq!(fields.id.text().as_deref(), Some("last"));
        assert_eq!(fields.name.text(), None);
        assert_eq!(fields.status, Scalar::Nested);
    }

    #[test]
    fn lists_and_numbers_by_key_are_read_whatever_else_is_there() {
        let read = |text: &str| serde_json::from_str::<TrialHarbor>(text).unwrap();
        let harbor =
            read(r#"{"exceptions":["A",null,{"b":1},2],"agent_result":null,"solved":true}"#);
        assert_eq!(harbor.exceptions.0, ["A", "2"]);
        assert_eq!(harbor.agent_result, Numbers::default());
        assert_eq!(harbor.solved, Scalar::Bool(true));
        let harbor =
            read(r#"{"exceptions":"A","agent_result":{"cost_usd":"0.5","n":"NaN","x":[1]}}"#);
        assert_eq!(harbor.exceptions, Words::default());
        assert_eq!(harbor.agent_result.0, [("cost_usd".to_owned(), 0.5)]);
    }
}
