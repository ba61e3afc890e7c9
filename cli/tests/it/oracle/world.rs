//! A remote that changes at random: runs start, end and start again with and without newer times, runs and
//! trials are deleted and return, trials are graded again, lists grow.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use docks_proto::object::{Lifecycle, lifecycle};
use docks_proto::routes::RunKind;
use docksd_testkit::fake_remote::data::StoredObject;
use docksd_testkit::fake_remote::{FakeRemote, Fault, RemoteData};
use serde_json::{Value, json};

use super::history::History;

/// Runs of each kind at the beginning.
const RUNS: usize = 8;
/// No more runs of each kind than this.
const MAX_RUNS: usize = 24;
/// No more trials of a run than this.
const MAX_TRIALS: usize = 5;

/// Statuses of runs; the first two are active.
pub(super) const STATUSES: [&str; 4] = ["pending", "running", "completed", "failed"];

/// Fields of a trial with the address of a file, and the names of the files.
const ARTIFACTS: [(&str, &str); 3] = [
    ("logs_uri", "logs.txt"),
    ("trajectory_uri", "trajectory.json"),
    ("diff_uri", "changes.patch"),
];

/// The remote, and what it had.
pub(super) struct World {
    pub(super) remote: FakeRemote,
    history: Mutex<History>,
    changing: Mutex<Changing>,
}

/// What the changes need to know.
struct Changing {
    /// Where the remote serves files.
    files: String,
    last_version: u64,
    deleted_runs: Vec<(RunKind, StoredObject, Vec<StoredObject>)>,
    deleted_trials: Vec<(String, StoredObject)>,
    /// Runs of which the last change has changed the trials, or which it has changed; and whether nobody can
    /// notice it.
    trials_changed: Vec<(String, bool)>,
}

impl World {
    /// Starts a remote with a few runs.
    pub(super) async fn start(rng: &mut fastrand::Rng) -> Self {
        let remote = FakeRemote::start(RemoteData::default()).await;
        let files = format!("{}/files", remote.url());
        let world = Self {
            remote,
            history: Mutex::default(),
            changing: Mutex::new(Changing {
                files,
                last_version: 0,
                deleted_runs: Vec::new(),
                deleted_trials: Vec::new(),
                trials_changed: Vec::new(),
            }),
        };
        world.edit(|changing, data| {
            for _ in 0..RUNS {
                for kind in RunKind::ALL {
                    changing.add_run(data, kind, rng);
                }
            }
        });
        world
    }

    /// Returns what the remote had.
    pub(super) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap()
    }

    fn edit(&self, change: impl FnOnce(&mut Changing, &mut RemoteData)) {
        let mut changing = self.changing.lock().unwrap();
        self.remote.with_data(|data| {
            change(&mut changing, data);
            let mut history = self.history();
            let now = Instant::now();
            history.record(data, now);
            for (run, is_unnoticeable) in changing.trials_changed.drain(..) {
                history.record_unnoticeable(&run, is_unnoticeable, now);
            }
        });
    }

    /// Makes one random change.
    pub(super) fn change(&self, rng: &mut fastrand::Rng) {
        if rng.u8(..20) == 0 {
            let latency = Duration::from_millis([0, 0, 1, 3, 8, 20][rng.usize(..6)]);
            self.remote.configure(|behaviour| {
                behaviour.latency = latency;
                behaviour.etag = rng.u8(..4) > 0;
            });
        }
        self.edit(|changing, data| changing.change(data, rng));
    }

    /// Lets the remote refuse everything until [`World::end_outage`].
    pub(super) fn begin_outage(&self, rng: &mut fastrand::Rng) {
        let faults = [Fault::ServerError, Fault::BadGateway, Fault::ResetInHeaders];
        self.remote.fault(faults[rng.usize(..faults.len())].clone());
    }

    /// Lets the remote answer again.
    pub(super) fn end_outage(&self) {
        self.remote.clear();
    }
}

impl Changing {
    fn next_version(&mut self) -> u64 {
        self.last_version += 1;
        self.last_version
    }

    /// Changes fields of an object, and gives it the next version; a trial has other files with each.
    fn update(&mut self, object: &mut StoredObject, change: impl FnOnce(&mut Value)) {
        let mut value: Value = serde_json::from_str(&object.text).unwrap();
        change(&mut value);
        let version = self.next_version();
        value["version"] = json!(version);
        if value.get("task_slug").is_some() {
            for (field, name) in ARTIFACTS {
                value[field] = json!(format!("{}/{}/{version}/{name}", self.files, object.id));
            }
        }
        object.text = value.to_string();
    }

    fn add_run(&mut self, data: &mut RemoteData, kind: RunKind, rng: &mut fastrand::Rng) {
        let status = STATUSES[rng.usize(..STATUSES.len())];
        let id = format!("{}-{:05}", kind.name(), self.next_version());
        match kind {
            RunKind::Run => data.add_run(&id, status),
            RunKind::Evaluation => data.add_evaluation(&id, status),
        }
        self.update(runs_mut(data, kind).last_mut().unwrap(), |_| {});
        if kind == RunKind::Evaluation {
            for _ in 0..rng.usize(1..4) {
                self.add_trial(data, &id, rng);
            }
        }
    }

    fn add_trial(&mut self, data: &mut RemoteData, run: &str, rng: &mut fastrand::Rng) {
        let id = format!("trial-{:05}", self.next_version());
        data.add_trial(run, &id, ["running", "success", "failed"][rng.usize(..3)]);
        let trials = data.trials.get_mut(run).unwrap();
        self.update(trials.last_mut().unwrap(), |_| {});
    }

    fn change(&mut self, data: &mut RemoteData, rng: &mut fastrand::Rng) {
        let kind = RunKind::ALL[rng.usize(..2)];
        match rng.u8(..100) {
            0..55 => self.change_run(data, kind, rng),
            55..75 => self.change_trial(data, rng),
            75..82 => self.delete_run(data, kind, rng),
            82..88 => self.restore_run(data, rng),
            88..91 => self.delete_trial(data, rng),
            91..94 => self.restore_trial(data, rng),
            94..97 => {
                if data.of_kind(kind).len() < MAX_RUNS {
                    self.add_run(data, kind, rng);
                }
            }
            _ => {
                if let Some(run) = any_run_with_trials(data, rng)
                    && data.trials[&run].len() < MAX_TRIALS
                {
                    self.add_trial(data, &run, rng);
                    self.touch_run(data, &run, rng);
                }
            }
        }
    }

    /// Changes a run along with its trials, as its figures do; now and then they change alone.
    fn touch_run(&mut self, data: &mut RemoteData, run: &str, rng: &mut fastrand::Rng) {
        let runs = &mut data.evaluations;
        let Some(found) = runs.iter_mut().find(|object| object.id == run) else {
            return;
        };
        let is_silent = rng.u8(..3) == 0;
        if !is_silent {
            self.update(found, |_| {});
        }
        let has_ended = lifecycle(&text_of(found, "status")) == Lifecycle::Terminal;
        self.trials_changed
            .push((run.to_owned(), is_silent && has_ended));
    }

    /// Gives a run another status, with newer times or without.
    fn change_run(&mut self, data: &mut RemoteData, kind: RunKind, rng: &mut fastrand::Rng) {
        let count = data.of_kind(kind).len();
        if count == 0 {
            return;
        }
        let index = rng.usize(..count);
        let id = data.of_kind(kind)[index].id.clone();
        let status = STATUSES[rng.usize(..STATUSES.len())];
        if rng.bool() {
            data.advance(kind, &id, status);
        }
        self.update(&mut runs_mut(data, kind)[index], |run| {
            run["status"] = json!(status);
        });
        self.trials_changed.push((id, false));
    }

    /// Gives a trial another status or grade; its run stays as it is.
    fn change_trial(&mut self, data: &mut RemoteData, rng: &mut fastrand::Rng) {
        let Some(run) = any_run_with_trials(data, rng) else {
            return;
        };
        let trials = data.trials.get_mut(&run).unwrap();
        let index = rng.usize(..trials.len());
        let status = ["running", "success", "failed"][rng.usize(..3)];
        self.update(&mut trials[index], |trial| {
            if rng.bool() {
                trial["status"] = json!(status);
            }
            trial["result_data"]["reward"] = json!(rng.u8(..10));
        });
        self.touch_run(data, &run, rng);
    }

    fn delete_run(&mut self, data: &mut RemoteData, kind: RunKind, rng: &mut fastrand::Rng) {
        let count = data.of_kind(kind).len();
        if count < 3 {
            return;
        }
        let run = data.of_kind(kind)[rng.usize(..count)].clone();
        let trials = data.trials.get(&run.id).cloned().unwrap_or_default();
        data.delete(kind, &run.id);
        self.deleted_runs.push((kind, run, trials));
    }

    /// Restores a deleted run where it was, as it was or running.
    fn restore_run(&mut self, data: &mut RemoteData, rng: &mut fastrand::Rng) {
        if self.deleted_runs.is_empty() {
            return;
        }
        let index = rng.usize(..self.deleted_runs.len());
        let (kind, mut run, mut trials) = self.deleted_runs.swap_remove(index);
        self.update(&mut run, |run| {
            if rng.bool() {
                run["status"] = json!("running");
            }
        });
        for trial in &mut trials {
            self.update(trial, |_| {});
        }
        if kind == RunKind::Evaluation {
            data.trials.insert(run.id.clone(), trials);
        }
        self.trials_changed.push((run.id.clone(), false));
        let runs = runs_mut(data, kind);
        let created = text_of(&run, "created_at");
        let index = runs.partition_point(|other| text_of(other, "created_at") < created);
        runs.insert(index, run);
    }

    fn delete_trial(&mut self, data: &mut RemoteData, rng: &mut fastrand::Rng) {
        let Some(run) = any_run_with_trials(data, rng) else {
            return;
        };
        let trials = data.trials.get_mut(&run).unwrap();
        if trials.len() > 1 {
            let trial = trials.remove(rng.usize(..trials.len()));
            self.deleted_trials.push((run.clone(), trial));
            self.touch_run(data, &run, rng);
        }
    }

    fn restore_trial(&mut self, data: &mut RemoteData, rng: &mut fastrand::Rng) {
        let Some((run, mut trial)) = self.deleted_trials.pop() else {
            return;
        };
        if let Some(trials) = data.trials.get_mut(&run) {
            self.update(&mut trial, |_| {});
            trials.push(trial);
            self.touch_run(data, &run, rng);
        }
    }
}

fn runs_mut(data: &mut RemoteData, kind: RunKind) -> &mut Vec<StoredObject> {
    match kind {
        RunKind::Run => &mut data.runs,
        RunKind::Evaluation => &mut data.evaluations,
    }
}

fn text_of(object: &StoredObject, field: &str) -> String {
    let value: Value = serde_json::from_str(&object.text).unwrap();
    value[field].as_str().unwrap().to_owned()
}

fn any_run_with_trials(data: &RemoteData, rng: &mut fastrand::Rng) -> Option<String> {
    let runs: Vec<&String> = data
        .trials
        .iter()
        .filter(|(_, trials)| !trials.is_empty())
        .map(|(run, _)| run)
        .collect();
    (!runs.is_empty()).then(|| runs[rng.usize(..runs.len())].clone())
}
