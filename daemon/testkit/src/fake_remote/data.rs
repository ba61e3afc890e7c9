//! What the fake remote holds: runs, evaluation runs and their trials.

use std::collections::BTreeMap;

use docks_proto::object::{Phase, phase};
use docks_proto::routes::{Action, RunKind};
use docks_proto::time::UnixMs;
use serde_json::{Value, json};

/// First instant of every world: 2026-11-01T00:00:00Z.
const BEGINNING: i64 = 1_793_491_200_000;

/// One object: its id, and its text as every answer carries it.
#[derive(Debug, Clone)]
pub struct Item {
    /// Id in paths; the text need not hold it.
    pub id: String,
    /// The JSON text.
    pub text: String,
}

/// Everything there is, oldest first.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// Plain runs.
    pub runs: Vec<Item>,
    /// Evaluation runs.
    pub evaluations: Vec<Item>,
    /// Trials by evaluation run.
    pub trials: BTreeMap<String, Vec<Item>>,
    serial: u64,
}

impl World {
    /// Makes `runs` plain and `runs` evaluation runs, the latter with `trials` trials each.
    ///
    /// The newest of each is still running; the same numbers give the same world.
    pub fn sample(runs: usize, trials: usize) -> Self {
        let mut world = Self::default();
        let statuses = ["completed", "completed", "failed", "cancelled"];
        for index in 0..runs {
            let status = if index + 1 == runs {
                "running"
            } else {
                statuses[index % 4]
            };
            world.add_run(&uuid(1, index), status);
            let evaluation = uuid(2, index);
            world.add_evaluation(&evaluation, status);
            for trial in 0..trials {
                let status = if trial % 3 == 0 { "failed" } else { "success" };
                world.add_trial(&evaluation, &uuid(3 + index, trial), status);
            }
        }
        world
    }

    /// Adds a plain run, newer than all others.
    pub fn add_run(&mut self, id: &str, status: &str) {
        let created = self.tick();
        let text = json!({
            "id": id, "template_id": "tpl-1", "template_name": format!("template-{}", self.serial % 7),
            "status": status, "status_reason": null, "created_at": created,
            "dns_name": format!("{id}.sandbox.example"), "x_unknown": {"kept": [1, 2.50]},
        });
        self.runs.push(item(id, &text));
    }

    /// Adds an evaluation run, newer than all others.
    pub fn add_evaluation(&mut self, id: &str, status: &str) {
        let created = self.tick();
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
        let created = self.tick();
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

    /// Sets one field of a run; panics when there is no such run.
    pub fn set(&mut self, kind: RunKind, id: &str, field: &str, value: Value) {
        let found = self.family_mut(kind).iter_mut().find(|item| item.id == id);
        change(
            found.expect("the test names a run that exists"),
            field,
            value,
        );
    }

    /// Moves a run on to another status, with the times that belong to it.
    pub fn advance(&mut self, kind: RunKind, id: &str, status: &str) {
        let now = self.tick();
        self.set(kind, id, "status", json!(status));
        self.set(kind, id, "updated_at", json!(now));
        let ended = phase(status) == Phase::Terminal;
        self.set(
            kind,
            id,
            "completed_at",
            if ended { json!(now) } else { Value::Null },
        );
    }

    /// Moves a trial on to another status; panics when there is no such trial.
    pub fn advance_trial(&mut self, run: &str, trial: &str, status: &str) {
        let trials = self.trials.get_mut(run);
        let found = trials.and_then(|all| all.iter_mut().find(|item| item.id == trial));
        let found = found.expect("the test names a trial that exists");
        change(found, "status", json!(status));
    }

    /// Replaces a run's text by any other, JSON or not.
    pub fn put_text(&mut self, kind: RunKind, id: &str, text: &str) {
        let found = self.family_mut(kind).iter_mut().find(|item| item.id == id);
        text.clone_into(&mut found.expect("the test names a run that exists").text);
    }

    /// Removes a run and its trials.
    pub fn delete(&mut self, kind: RunKind, id: &str) {
        self.family_mut(kind).retain(|item| item.id != id);
        if kind == RunKind::Evaluation {
            self.trials.remove(id);
        }
    }

    /// Carries out an action as the hosted service would: `None` when there is no such
    /// run, `Some(Err)` when its status does not allow it.
    pub fn act(&mut self, action: Action, id: &str) -> Option<Result<String, String>> {
        let kind = action.kind();
        let status = status_of(self.find(kind, id)?);
        let target = match action {
            Action::Stop | Action::Cancel => "cancelled",
            Action::Start => "running",
        };
        if phase(&status) == Phase::Terminal {
            return Some(Err(format!("Run is already {status}")));
        }
        self.advance(kind, id, target);
        self.find(kind, id).map(|item| Ok(item.text.clone()))
    }

    /// Finds a run.
    pub fn find(&self, kind: RunKind, id: &str) -> Option<&Item> {
        self.family(kind).iter().find(|item| item.id == id)
    }

    /// Returns one family of runs, oldest first.
    pub fn family(&self, kind: RunKind) -> &[Item] {
        match kind {
            RunKind::Run => &self.runs,
            RunKind::Evaluation => &self.evaluations,
        }
    }

    fn family_mut(&mut self, kind: RunKind) -> &mut Vec<Item> {
        match kind {
            RunKind::Run => &mut self.runs,
            RunKind::Evaluation => &mut self.evaluations,
        }
    }

    /// Lets a second pass; two objects are never made at the same time.
    fn tick(&mut self) -> String {
        self.serial += 1;
        let second = i64::try_from(self.serial).unwrap_or(i64::MAX / 2_000) * 1_000;
        UnixMs(BEGINNING + second).rfc3339()
    }
}

fn item(id: &str, value: &Value) -> Item {
    Item {
        id: id.to_owned(),
        text: value.to_string(),
    }
}

fn change(item: &mut Item, field: &str, value: Value) {
    let mut object: Value = serde_json::from_str(&item.text).expect("the world holds JSON");
    object[field] = value;
    item.text = object.to_string();
}

fn status_of(item: &Item) -> String {
    let object: Value = serde_json::from_str(&item.text).unwrap_or_default();
    object["status"].as_str().unwrap_or_default().to_owned()
}

/// A stable id that looks like the hosted service's; prefixes differ early.
fn uuid(family: usize, index: usize) -> String {
    let mixed = (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ ((family as u64) << 7);
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        mixed >> 32,
        (mixed >> 16) & 0xffff,
        mixed & 0xfff,
        family & 0xfff,
        index
    )
}
