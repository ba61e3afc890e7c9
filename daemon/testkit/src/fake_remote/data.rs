//! The objects of the fake remote: runs, evaluation runs and their trials.

use std::collections::BTreeMap;

use docks_proto::object::{Lifecycle, lifecycle};
use docks_proto::routes::{Action, RunKind};
use docks_proto::time::UnixMs;
use serde_json::{Value, json};

/// Creation time of the first object: 2026-11-01T00:00:00Z, in milliseconds since 1970.
const FIRST_CREATED_MS: i64 = 1_793_491_200_000;

/// One object: its id, and its JSON text as answers carry it.
#[derive(Debug, Clone)]
pub struct StoredObject {
    /// Id in paths; the text need not contain it.
    pub id: String,
    /// The JSON text.
    pub text: String,
}

/// All objects, oldest first.
#[derive(Debug, Clone, Default)]
pub struct RemoteData {
    /// Plain runs.
    pub runs: Vec<StoredObject>,
    /// Evaluation runs.
    pub evaluations: Vec<StoredObject>,
    /// Trials by evaluation run.
    pub trials: BTreeMap<String, Vec<StoredObject>>,
    serial: u64,
}

impl RemoteData {
    /// Creates `runs` plain runs and `runs` evaluation runs, the latter with `trials` trials each.
    ///
    /// The newest of each is still running; the same arguments give the same objects.
    pub fn sample(runs: usize, trials: usize) -> Self {
        let mut data = Self::default();
        let statuses = ["completed", "completed", "failed", "cancelled"];
        for index in 0..runs {
            let status = if index + 1 == runs {
                "running"
            } else {
                statuses[index % 4]
            };
            data.add_run(&stable_id(1, index), status);
            let evaluation = stable_id(2, index);
            data.add_evaluation(&evaluation, status);
            for trial in 0..trials {
                let status = if trial % 3 == 0 { "failed" } else { "success" };
                data.add_trial(&evaluation, &stable_id(3 + index, trial), status);
            }
        }
        data
    }

    /// Adds a plain run, newer than all others.
    pub fn add_run(&mut self, id: &str, status: &str) {
        let created = self.next_time();
        let text = json!({
            "id": id, "template_id": "tpl-1", "template_name": format!("template-{}", self.serial % 7),
            "status": status, "status_reason": null, "created_at": created,
            "dns_name": format!("{id}.sandbox.example"), "x_unknown": {"kept": [1, 2.50]},
        });
        self.runs.push(item(id, &text));
    }

    /// Adds an evaluation run, newer than all others.
    pub fn add_evaluation(&mut self, id: &str, status: &str) {
        let created = self.next_time();
        let text = json!({
            "id": id, "name": format!("nightly-{}", self.serial), "status": status,
            "dataset_uri": "gs://bucket/dataset", "total_trials": 12, "completed_trials": 3,
            "passed_trials": 2, "failed_trials": 1, "created_at": created,
            "completed_at": null, "leaderboard": [],
        });
        self.evaluations.push(item(id, &text));
        self.trials.entry(id.to_owned()).or_default();
    }

    /// Adds a trial to an evaluation run.
    pub fn add_trial(&mut self, run: &str, id: &str, status: &str) {
        let created = self.next_time();
        let text = json!({
            "id": id, "task_slug": format!("task-{}", self.serial % 11), "agent_variant": "scripted",
            "status": status, "error_message": null, "duration_seconds": 12.5, "created_at": created,
            "logs_uri": format!("gs://bucket/trials/{id}/logs.txt"),
            "result_data": {"reward": 0.5, "tests_passed": 1, "tests_total": 2, "prompt_tokens": 1200},
        });
        self.trials
            .entry(run.to_owned())
            .or_default()
            .push(item(id, &text));
    }

    /// Sets one field of a run; panics if the run does not exist.
    pub fn set(&mut self, kind: RunKind, id: &str, field: &str, value: Value) {
        let found = self.of_kind_mut(kind).iter_mut().find(|item| item.id == id);
        change(found.expect("the run exists"), field, value);
    }

    /// Changes the status of a run, and its times accordingly.
    pub fn advance(&mut self, kind: RunKind, id: &str, status: &str) {
        let now = self.next_time();
        self.set(kind, id, "status", json!(status));
        self.set(kind, id, "updated_at", json!(now));
        let ended = lifecycle(status) == Lifecycle::Terminal;
        self.set(
            kind,
            id,
            "completed_at",
            if ended { json!(now) } else { Value::Null },
        );
    }

    /// Changes the status of a trial; panics if the trial does not exist.
    pub fn advance_trial(&mut self, run: &str, trial: &str, status: &str) {
        let trials = self.trials.get_mut(run);
        let found = trials.and_then(|all| all.iter_mut().find(|item| item.id == trial));
        let found = found.expect("the trial exists");
        change(found, "status", json!(status));
    }

    /// Replaces the text of a run by any other, valid JSON or not.
    pub fn replace_text(&mut self, kind: RunKind, id: &str, text: &str) {
        let found = self.of_kind_mut(kind).iter_mut().find(|item| item.id == id);
        text.clone_into(&mut found.expect("the run exists").text);
    }

    /// Removes a run and its trials.
    pub fn delete(&mut self, kind: RunKind, id: &str) {
        self.of_kind_mut(kind).retain(|item| item.id != id);
        if kind == RunKind::Evaluation {
            self.trials.remove(id);
        }
    }

    /// Applies an action as the hosted service would: `None` if the run does not exist,
    /// `Some(Err)` if its status does not allow the action.
    pub fn apply_action(&mut self, action: Action, id: &str) -> Option<Result<String, String>> {
        let kind = action.kind();
        let status = status_of(self.find(kind, id)?);
        let target = match action {
            Action::Stop | Action::Cancel => "cancelled",
            Action::Start => "running",
            // Not in the Docks API.
            Action::Pause | Action::Resume | Action::Retry => return None,
        };
        if lifecycle(&status) == Lifecycle::Terminal {
            return Some(Err(format!("Run is already {status}")));
        }
        self.advance(kind, id, target);
        self.find(kind, id).map(|item| Ok(item.text.clone()))
    }

    /// Finds a run.
    pub fn find(&self, kind: RunKind, id: &str) -> Option<&StoredObject> {
        self.of_kind(kind).iter().find(|item| item.id == id)
    }

    /// Returns all runs of a kind, oldest first.
    pub fn of_kind(&self, kind: RunKind) -> &[StoredObject] {
        match kind {
            RunKind::Run => &self.runs,
            RunKind::Evaluation => &self.evaluations,
        }
    }

    fn of_kind_mut(&mut self, kind: RunKind) -> &mut Vec<StoredObject> {
        match kind {
            RunKind::Run => &mut self.runs,
            RunKind::Evaluation => &mut self.evaluations,
        }
    }

    /// Advances the clock by a second, so that no two objects have the same time.
    fn next_time(&mut self) -> String {
        self.serial += 1;
        let second = i64::try_from(self.serial).unwrap_or(i64::MAX / 2_000) * 1_000;
        UnixMs(FIRST_CREATED_MS + second).rfc3339()
    }
}

fn item(id: &str, value: &Value) -> StoredObject {
    StoredObject {
        id: id.to_owned(),
        text: value.to_string(),
    }
}

fn change(item: &mut StoredObject, field: &str, value: Value) {
    let mut object: Value = serde_json::from_str(&item.text).expect("the stored text is JSON");
    object[field] = value;
    item.text = object.to_string();
}

fn status_of(item: &StoredObject) -> String {
    let object: Value = serde_json::from_str(&item.text).unwrap_or_default();
    object["status"].as_str().unwrap_or_default().to_owned()
}

/// Returns a stable id shaped like the hosted service's UUIDs, with prefixes that differ early.
fn stable_id(group: usize, index: usize) -> String {
    let mixed = (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ ((group as u64) << 7);
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        mixed >> 32,
        (mixed >> 16) & 0xffff,
        mixed & 0xfff,
        group & 0xfff,
        index
    )
}
