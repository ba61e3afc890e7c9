//! One trial of a comparison.

use docks_proto::object::{Lifecycle, RawObject, lifecycle};
use docks_proto::repair;
use docks_proto::trial::Trial;
use serde_json::Value;

/// The fields of a trial that are compared.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Attempt {
    pub(super) task: String,
    pub(super) agent: String,
    pub(super) status: String,
    pub(super) reward: Option<f64>,
    pub(super) duration_seconds: Option<f64>,
    pub(super) cost_usd: Option<f64>,
}

impl Attempt {
    /// Reads a trial.
    pub(super) fn from_object(object: &RawObject) -> Self {
        let trial = Trial::from_object(object);
        let fields = &trial.fields;
        let whole: Value = repair::read(object.text());
        Self {
            task: fields.task_slug.text().unwrap_or_default(),
            agent: trial.agent().unwrap_or_default(),
            status: fields.status.text().unwrap_or_default(),
            reward: trial.reward(),
            duration_seconds: trial.duration_s(),
            cost_usd: cost(&whole),
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        lifecycle(&self.status) == Lifecycle::Terminal
    }

    /// Whether it passed: by its status, else by its reward.
    pub(super) fn has_passed(&self) -> bool {
        match self.status.to_ascii_lowercase().as_str() {
            "passed" | "success" => true,
            "failed" | "error" | "cancelled" => false,
            _ => self.has_ended() && self.reward.is_some_and(|reward| reward >= 1.0),
        }
    }
}

/// Returns the cost from the first field that has it.
fn cost(trial: &Value) -> Option<f64> {
    let result = match &trial["result_data"] {
        Value::String(text) => repair::read(text),
        other => other.clone(),
    };
    let places = [
        &trial["cost_usd"],
        &result["cost_usd"],
        &trial["harbor"]["cost_usd"],
        &trial["harbor"]["agent_result"]["cost_usd"],
    ];
    places.into_iter().find_map(Value::as_f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_found_in_every_form_of_the_result() {
        for text in [
            r#"{"result_data":{"cost_usd":0.5}}"#,
            r#"{"result_data":"{\"cost_usd\":0.5}"}"#,
            r#"{"harbor":{"agent_result":{"cost_usd":0.5}}}"#,
        ] {
            let object = RawObject::parse(text).unwrap().unwrap();
            assert_eq!(Attempt::from_object(&object).cost_usd, Some(0.5), "{text}");
        }
    }
}
