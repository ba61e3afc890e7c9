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
    /// What it counts in a mean.
    pub(super) reward: Option<f64>,
    /// Whether it is solved, if the remote says so.
    pub(super) solved: Option<bool>,
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
            reward: counted_reward(&trial, &whole["harbor"]),
            solved: whole["harbor"]["solved"].as_bool(),
            duration_seconds: trial.duration_s(),
            cost_usd: cost(&whole),
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        lifecycle(&self.status) == Lifecycle::Terminal
    }

    /// Whether it passed: as the remote says, else by its status, else by its reward.
    pub(super) fn has_passed(&self) -> bool {
        if let Some(solved) = self.solved {
            return solved;
        }
        match self.status.to_ascii_lowercase().as_str() {
            "passed" | "success" => true,
            "failed" | "error" | "cancelled" => false,
            _ => self.has_ended() && self.reward.is_some_and(|reward| reward >= 1.0),
        }
    }
}

/// Returns what a trial counts in a mean: its reward, unless the remote says otherwise. In a jobs directory a missing
/// reward may count as 0, and one that is not valid may not count.
fn counted_reward(trial: &Trial, harbor: &Value) -> Option<f64> {
    match harbor.get("counted_reward") {
        Some(counted) => counted.as_f64(),
        None => trial.reward(),
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
    fn what_a_jobs_directory_says_of_a_trial_comes_before_its_status() {
        for (harbor, passed, reward) in [
            (r#"{"solved":true,"counted_reward":1}"#, true, Some(1.0)),
            (r#"{"solved":false,"counted_reward":null}"#, false, None),
            (r#"{"solved":false,"counted_reward":0}"#, false, Some(0.0)),
            ("{}", false, Some(1.0)),
        ] {
            let text =
                format!(r#"{{"status":"error","result_data":{{"reward":1}},"harbor":{harbor}}}"#);
            let object = RawObject::parse(&text).unwrap().unwrap();
            let attempt = Attempt::from_object(&object);
            assert_eq!(
                (attempt.has_passed(), attempt.reward),
                (passed, reward),
                "{text}"
            );
        }
    }

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
