//! A trial with its nested objects, and the values of its columns.
//!
//! A Docks API and a jobs directory put the same values in different fields. They are unified here,
//! so the mirror, a list without a daemon and a table agree.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::object::{RawObject, RunReference, Scalar, TrialFields, TrialHarbor, TrialResult};
use crate::repair;

/// The type of an error that has none.
pub const UNKNOWN_ERROR: &str = "unknown";

/// Member that a list over all runs adds to each trial: `{"id":…,"name":…}` of its run.
pub const RUN_REFERENCE: &str = "docks_run";

/// A trial's fields and those of its nested objects.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trial {
    /// Its own fields.
    pub fields: TrialFields,
    /// Its `result_data`, whether an object or the same object in a JSON string.
    pub result: TrialResult,
    /// Its `harbor` object.
    pub harbor: TrialHarbor,
    /// The run it belongs to; set only in a list over all runs.
    pub run: RunReference,
}

/// The nested objects of a trial; of a repeated one the last counts, as of all fields.
#[derive(Default)]
struct Nested<'a> {
    result_data: Option<&'a RawValue>,
    harbor: Option<&'a RawValue>,
    docks_run: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum NestedKey {
    ResultData,
    Harbor,
    DocksRun,
    #[serde(other)]
    Other,
}

impl<'de> Deserialize<'de> for Nested<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Nested<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Nested<'de>, A::Error> {
                let mut nested = Nested::default();
                while let Some(key) = map.next_key()? {
                    match key {
                        NestedKey::ResultData => nested.result_data = map.next_value()?,
                        NestedKey::Harbor => nested.harbor = map.next_value()?,
                        NestedKey::DocksRun => nested.docks_run = map.next_value()?,
                        NestedKey::Other => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(nested)
            }
        }
        deserializer.deserialize_map(V)
    }
}

impl Trial {
    /// Reads a trial; a field that is missing or has another type stays `Null`.
    #[must_use]
    pub fn from_object(object: &RawObject) -> Self {
        let text = object.text();
        let mended;
        let nested: Nested<'_> = match serde_json::from_str(text) {
            Ok(nested) => nested,
            Err(_) => {
                mended = repair::repaired(text);
                serde_json::from_str(&mended).unwrap_or_default()
            }
        };
        Self {
            fields: TrialFields::from_object(object),
            result: nested.result_data.map(result).unwrap_or_default(),
            harbor: nested.harbor.map(read).unwrap_or_default(),
            run: nested.docks_run.map(read).unwrap_or_default(),
        }
    }

    /// Returns the agent variant under its newer or older name.
    #[must_use]
    pub fn agent(&self) -> Option<String> {
        first([&self.fields.agent_variant, &self.fields.variant_name])
    }

    /// Returns the model.
    #[must_use]
    pub fn model(&self) -> Option<String> {
        first([&self.harbor.model, &self.fields.model, &self.result.model])
    }

    /// Returns the type of the error; [`UNKNOWN_ERROR`] if there is only a message.
    ///
    /// The message of a pending trial says why it has not started, which is not an error.
    #[must_use]
    pub fn error_type(&self) -> Option<String> {
        let typed = first([&self.result.error_code, &self.result.error]);
        typed.or_else(|| {
            let status = self.fields.status.text().unwrap_or_default();
            let failed = self.error_message().is_some() && !status.eq_ignore_ascii_case("pending");
            failed.then(|| UNKNOWN_ERROR.to_owned())
        })
    }

    /// Returns the error message, from whichever field has it.
    #[must_use]
    pub fn error_message(&self) -> Option<String> {
        first([&self.fields.error_message, &self.result.error_message])
    }

    /// Returns the reward.
    #[must_use]
    pub fn reward(&self) -> Option<f64> {
        self.result.reward.number()
    }

    /// Returns the wall time in seconds.
    #[must_use]
    pub fn duration_s(&self) -> Option<f64> {
        let own = self.fields.duration_seconds.number();
        own.or_else(|| self.result.duration_seconds.number())
    }

    /// Returns the cost in US dollars, from the first field that has it.
    #[must_use]
    pub fn cost_usd(&self) -> Option<f64> {
        let fields = [
            &self.result.cost_usd,
            &self.fields.cost_usd,
            &self.harbor.cost_usd,
        ];
        let of_agent = || {
            let mut figures = self.harbor.agent_result.0.iter();
            figures
                .find(|(key, _)| key == "cost_usd")
                .map(|(_, cost)| *cost)
        };
        fields
            .into_iter()
            .find_map(Scalar::number)
            .or_else(of_agent)
    }

    /// Returns the number of prompt tokens with cached ones.
    #[must_use]
    pub fn input_tokens(&self) -> Option<f64> {
        let cached = self.result.cached_tokens.number();
        let input = self.result.prompt_tokens.number()?;
        Some(with_cached(input, cached.unwrap_or(0.0)))
    }

    /// Returns the number of prompt and completion tokens, as far as they are known.
    #[must_use]
    pub fn tokens(&self) -> Option<f64> {
        let prompt = self.input_tokens();
        match (prompt, self.result.completion_tokens.number()) {
            (Some(prompt), Some(completion)) => Some(prompt + completion),
            (prompt, completion) => prompt.or(completion),
        }
    }

    /// Returns for how many types there is an artifact.
    #[must_use]
    pub fn artifacts(&self) -> usize {
        let f = &self.fields;
        let uris = [&f.logs_uri, &f.trajectory_uri, &f.diff_uri, &f.result_uri];
        uris.iter().filter(|uri| uri.text().is_some()).count()
    }
}

/// Adds the run to a trial's text, in front of its own members, which are unchanged.
///
/// # Errors
///
/// When the id or the name cannot be serialised; no text is known that cannot.
pub fn add_run_reference(
    trial: &str,
    run_id: &str,
    run_name: &str,
) -> Result<String, serde_json::Error> {
    let (id, name) = (
        serde_json::to_string(run_id)?,
        serde_json::to_string(run_name)?,
    );
    let members = trial.strip_prefix('{').unwrap_or(trial);
    let comma = if members.trim_start().starts_with('}') {
        ""
    } else {
        ","
    };
    Ok(format!(
        "{{\"{RUN_REFERENCE}\":{{\"id\":{id},\"name\":{name}}}{comma}{members}"
    ))
}

fn first<const N: usize>(fields: [&Scalar; N]) -> Option<String> {
    fields.into_iter().find_map(Scalar::text)
}

fn read<T: DeserializeOwned + Default>(raw: &RawValue) -> T {
    repair::read(raw.get())
}

fn result(raw: &RawValue) -> TrialResult {
    if raw.get().starts_with('"') {
        return repair::read(&read::<String>(raw));
    }
    read(raw)
}

/// Returns input tokens with cached ones. Most agents count these among their input; more cached tokens than input tokens
/// were not counted among them.
#[must_use]
pub fn with_cached(input: f64, cached: f64) -> f64 {
    if cached > input {
        input + cached
    } else {
        input
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(text: &str) -> Trial {
        Trial::from_object(&RawObject::parse(text).unwrap().unwrap())
    }

    #[test]
    fn result_data_reads_the_same_as_object_and_as_string() {
        let a = trial(r#"{"result_data":{"reward":0.5,"tests_total":"4"}}"#);
        let b = trial(r#"{"result_data":"{\"reward\":0.5,\"tests_total\":\"4\"}"}"#);
        assert_eq!(a, b);
        assert_eq!(
            (a.reward(), a.result.tests_total.number()),
            (Some(0.5), Some(4.0))
        );
        assert_eq!(trial(r#"{"result_data":[1]}"#), Trial::default());
    }

    #[test]
    fn odd_values_and_repeated_keys_spoil_nothing_else() {
        let odd = trial(
            r#"{"k\ud83d":1,"status":"error","error_message":"cut \ud83d","result_data":{"reward":1},
                "result_data":{"reward":1e999,"tests_passed":2,"error":"\udc00"}}"#,
        );
        assert_eq!(odd.error_message().as_deref(), Some("cut \u{fffd}"));
        assert_eq!(odd.fields.status.text().as_deref(), Some("error"));
        assert_eq!(odd.reward(), None);
        assert_eq!(odd.result.reward.text().as_deref(), Some("1e999"));
        assert_eq!(odd.result.tests_passed.number(), Some(2.0));
        let inner = trial(r#"{"result_data":"{\"reward\":NaN,\"tests_passed\":2}"}"#);
        assert_eq!(inner.result.reward.text().as_deref(), Some("NaN"));
        assert_eq!(inner.result.tests_passed.number(), Some(2.0));
    }

    #[test]
    fn agent_model_and_error_are_read_from_the_fields_of_both_kinds_of_remote() {
        let harbor = trial(
            r#"{"agent_variant":"coder (a/m)","harbor":{"model":"a/m"},"result_data":{"error_code":"AgentTimeoutError","prompt_tokens":3,"completion_tokens":4}}"#,
        );
        assert_eq!(harbor.model().as_deref(), Some("a/m"));
        assert_eq!(harbor.error_type().as_deref(), Some("AgentTimeoutError"));
        assert_eq!(harbor.tokens(), Some(7.0));
        assert_eq!(
            (with_cached(147.0, 3_009.0), with_cached(147.0, 147.0)),
            (3_156.0, 147.0)
        );
        let api = trial(
            r#"{"variant_name":"base","model":"m","status":"failed","error_message":"boom"}"#,
        );
        assert_eq!(
            (api.agent().as_deref(), api.model().as_deref()),
            (Some("base"), Some("m"))
        );
        assert_eq!(api.error_type().as_deref(), Some(UNKNOWN_ERROR));
        let waits = trial(r#"{"status":"pending","error_message":"never started"}"#);
        assert_eq!(waits.error_type(), None);
    }

    #[test]
    fn a_cost_is_found_in_every_form_of_the_result() {
        for text in [
            r#"{"result_data":{"cost_usd":0.5}}"#,
            r#"{"result_data":"{\"cost_usd\":0.5}"}"#,
            r#"{"cost_usd":0.5,"result_data":{"cost_usd":null}}"#,
            r#"{"harbor":{"agent_result":{"cost_usd":0.5}}}"#,
        ] {
            assert_eq!(trial(text).cost_usd(), Some(0.5), "{text}");
        }
    }

    #[test]
    fn adding_the_run_leaves_the_rest_of_the_text_unchanged() {
        let text = r#"{ "id" : "t", "n":1.50 }"#;
        let marked = add_run_reference(text, "r\"1", "nightly").unwrap();
        assert_eq!(
            marked,
            r#"{"docks_run":{"id":"r\"1","name":"nightly"}, "id" : "t", "n":1.50 }"#
        );
        assert_eq!(trial(&marked).run.id.text().as_deref(), Some("r\"1"));
        assert!(
            RawObject::parse(&add_run_reference("{ }", "r", "").unwrap())
                .unwrap()
                .is_some()
        );
    }
}
