//! The current state of one object, as events tell it.

use serde::{Deserialize, Serialize};

use super::kind::ObjectKind;
use crate::object::{Lifecycle, RawObject, RunFields, Scalar, lifecycle};
use crate::query::{Row, object_key};
use crate::routes::RunKind;
use crate::trial::Trial;

/// The current state of a run or trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectState {
    /// Kind of the object.
    pub kind: ObjectKind,
    /// Id of the run; for a trial, of the run it belongs to.
    pub run_id: String,
    /// Id of the trial; `None` for a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial_id: Option<String>,
    /// Name of the run; name or task of the trial.
    #[serde(default)]
    pub name: String,
    /// Status as the remote wrote it.
    pub status: String,
    /// Whether the status is terminal.
    pub ended: bool,
    /// When it started, as the remote wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// When it ended, as the remote wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
    /// Reward of a trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward: Option<f64>,
    /// What went wrong, or why a run has its status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl ObjectState {
    /// Reads the state of a run.
    #[must_use]
    pub fn from_run(kind: RunKind, object: &RawObject) -> Self {
        let fields = RunFields::from_object(object);
        let row = Row::from_run_fields(object, &fields);
        Self {
            kind: kind.into(),
            run_id: object_key(object, &fields.id),
            trial_id: None,
            name: row.name,
            ended: lifecycle(&row.status) == Lifecycle::Terminal,
            status: row.status,
            started_at: fields.started_at.text(),
            completed_at: fields.completed_at.text(),
            reward: None,
            error: fields.status_reason.text(),
        }
    }

    /// Reads the state of a trial; `run` is the id of its run.
    #[must_use]
    pub fn from_trial(run: &str, object: &RawObject) -> Self {
        let Trial { fields, result, .. } = Trial::from_object(object);
        let row = Row::from_trial(object);
        let error = [
            &fields.error_message,
            &result.error_message,
            &result.error,
            &result.error_code,
        ];
        Self {
            kind: ObjectKind::Trial,
            run_id: run.to_owned(),
            trial_id: Some(object_key(object, &fields.id)),
            name: if row.name.is_empty() {
                row.task
            } else {
                row.name
            },
            ended: lifecycle(&row.status) == Lifecycle::Terminal,
            status: row.status,
            started_at: fields.started_at.text(),
            completed_at: fields.completed_at.text(),
            reward: row.reward,
            error: error.into_iter().find_map(Scalar::text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_is_read_with_its_reward_and_error() {
        let text = r#"{"id":"t","task_slug":"sum","status":"error","result_data":{"reward":0.5,"error":"boom"}}"#;
        let state = ObjectState::from_trial("r", &RawObject::parse(text).unwrap().unwrap());
        assert_eq!(state.name, "sum");
        assert_eq!(state.reward, Some(0.5));
        assert_eq!(state.error.as_deref(), Some("boom"));
        assert!(state.ended);
    }
}
