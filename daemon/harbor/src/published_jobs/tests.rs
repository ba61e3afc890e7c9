//! A job that changes: what is made of the changes alone is what is made of all its files.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use docks_proto::time::UnixMs;
use fastrand::Rng;
use serde_json::{Value, json};

use super::*;
use crate::disk::cached_file::{FileReader, FileState};
use crate::snapshot::job_snapshot::ScanDepth;
use crate::snapshot::liveness::Liveness;

const TASKS: usize = 5;
const AGENTS: [(&str, Option<&str>); 4] = [
    ("coder", Some("lab/m-1")),
    ("coder", Some("lab/m-2")),
    ("oracle", None),
    ("coder", None),
];
const KINDS: [&str; 4] = [
    "AgentTimeoutError",
    "CancelledError",
    "ApiRateLimitError",
    "Odd",
];

fn now() -> UnixMs {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixMs(i64::try_from(since.unwrap().as_millis()).unwrap())
}

/// A job's folder that is edited at random.
struct Edited {
    dir: PathBuf,
    random: Rng,
    /// Whether its results state local times and are embedded, as those of old releases.
    is_old: bool,
}

impl Edited {
    fn chance(&mut self, one_in: usize) -> bool {
        self.random.usize(..one_in) == 0
    }

    fn write(&mut self, path: &Path, value: &Value) {
        let text = serde_json::to_string_pretty(value).unwrap();
        // Harbor truncates a file before it writes.
        let cut = if self.chance(40) {
            self.random.usize(..text.len())
        } else {
            text.len()
        };
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &text[..cut]).unwrap();
    }

    fn agent(&mut self) -> Value {
        let (name, model) = AGENTS[self.random.usize(..AGENTS.len())];
        json!({"name": name, "model_name": model})
    }

    fn source(&mut self) -> &'static str {
        ["tasks", "adhoc", ""][self.random.usize(..3)]
    }

    fn task(&mut self) -> Value {
        let task = self.random.usize(..TASKS);
        let source = self.source();
        json!({"path": format!("tasks/t-{task}"), "source": source})
    }

    fn time(&mut self) -> String {
        let second = self.random.usize(..3_600);
        let zone = if self.is_old { "" } else { "Z" };
        let (minute, second) = (second / 60, second % 60);
        let micro = self.random.usize(..1_000_000);
        format!("2026-02-01T13:{minute:02}:{second:02}.{micro:06}{zone}")
    }

    fn name(&mut self) -> String {
        let number = self.random.usize(..24);
        format!("t-{}__{number:03}", number % TASKS)
    }

    fn result(&mut self, name: &str) -> Value {
        let mut result = json!({
            "id": format!("{:08x}", self.random.u32(..)), "trial_name": name,
            "task_name": format!("tiny/t-{}", self.random.usize(..TASKS)),
            "source": self.source(),
            "config": {"task": self.task(), "agent": self.agent(), "job_id": self.random.u8(..2).to_string()},
            "started_at": self.time(), "finished_at": self.time(),
        });
        let value = [
            json!(0),
            json!(1.0),
            json!(1),
            json!(self.random.f64()),
            json!("NaN"),
        ];
        let value = value[self.random.usize(..value.len())].clone();
        result["verifier_result"] = match self.random.usize(..8) {
            0 => Value::Null,
            1 => json!({"rewards": {}}),
            2 => json!({"rewards": {"reward": value, "speed": self.random.f64()}}),
            _ => json!({"rewards": {"reward": value}}),
        };
        if self.chance(3) {
            let kind = KINDS[self.random.usize(..KINDS.len())];
            result["exception_info"] = json!({"exception_type": kind, "exception_message": "why"});
        }
        if self.chance(2) {
            result["agent_result"] =
                json!({"n_input_tokens": self.random.u32(..9_999), "cost_usd": self.random.f64()});
        }
        if self.chance(2) {
            result["agent_info"] =
                json!({"name": "reported", "model_info": {"name": "m", "provider": "lab"}});
        }
        if self.chance(3) {
            result["reward_valid"] = json!(self.random.bool());
        }
        if self.chance(2) {
            result["agent_execution"] = json!({"started_at": "2026-02-01T13:00:00Z",
                "finished_at": format!("2026-02-01T13:00:{:02}.3Z", self.random.usize(..60))});
        }
        result
    }

    /// Changes something of a trial; returns the name of its folder.
    fn edit_trial(&mut self) -> OsString {
        let name = self.name();
        let folder = self.dir.join(&name);
        match self.random.usize(..8) {
            0 => drop(fs::remove_dir_all(&folder)),
            1 | 2 => {
                let config =
                    json!({"task": self.task(), "agent": self.agent(), "trial_name": name});
                fs::create_dir_all(folder.join("agent")).unwrap();
                fs::write(folder.join("config.json"), config.to_string()).unwrap();
            }
            3 => {
                fs::create_dir_all(folder.join("agent")).unwrap();
                fs::write(folder.join("agent/log.txt"), "a line").unwrap();
            }
            _ => {
                let result = self.result(&name);
                self.write(&folder.join("result.json"), &result);
            }
        }
        name.into()
    }

    fn edit_job(&mut self) {
        match self.random.usize(..6) {
            0 => {
                let plan = self.random.usize(..30);
                let plan: Vec<Value> = (0..plan)
                    .map(|_| json!({"task": self.task(), "agent": self.agent()}))
                    .collect();
                let version = ["0.24.0", "0.26.0"][self.random.usize(..2)];
                let lock = json!({"created_at": "2026-02-01T12:00:00Z", "harbor": {"version": version}, "trials": plan});
                self.write(&self.dir.join("lock.json"), &lock);
            }
            1 => {
                let config =
                    json!({"job_name": "edited", "retry": {"max_retries": self.random.u8(..2)}});
                self.write(&self.dir.join("config.json"), &config);
            }
            _ => {
                let names: Vec<String> = (0..4).map(|_| self.name()).collect();
                let mut result = json!({
                    "id": "0", "started_at": "2026-02-01T13:00:00", "updated_at": self.time(), "n_total_trials": 20,
                    "finished_at": if self.chance(8) { json!(self.time()) } else { Value::Null },
                    "stats": {"n_completed_trials": self.random.u8(..20), "evals": {"coder__m-1__tasks": {
                        "metrics": [{"mean": self.random.f64()}],
                        "reward_stats": {"reward": {"1.0": names[..2], "0.0": names[2..3]}},
                        "exception_stats": {"Odd": names[1..]}}}},
                });
                if self.is_old && self.chance(2) {
                    let name = self.name();
                    result["trial_results"] = json!([self.result(&name)]);
                }
                self.write(&self.dir.join("result.json"), &result);
            }
        }
    }
}

/// What is published of a job, and its trials.
fn all_of(job: &JobSnapshot, published: &mut PublishedJob) -> Vec<String> {
    let mut table = published.table.take().unwrap_or_default();
    let view = derive_job_view(job, &mut table);
    let trials = listed_trials(&view, &table);
    let trials = trials.map(|trial| trial.to_object(&view, &published.id).unwrap());
    let own = [published.run.clone(), published.evaluation.clone()];
    let all = own.into_iter().chain(trials);
    let texts = all.map(|object| object.text().to_owned()).collect();
    published.table = is_running(job).then_some(table);
    texts
}

/// Edits a job again and again; returns how often the table of its trials was kept, and how often the job was compared
/// with what is read of its files anew.
fn follow(seed: u64) -> (usize, usize) {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("edited");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("job.log"), "").unwrap();
    let mut edited = Edited {
        dir: dir.clone(),
        random: Rng::with_seed(seed),
        is_old: seed.is_multiple_of(4),
    };
    let mut job = JobSnapshot::new(dir.clone(), now());
    let mut kept = None;
    let (mut times_kept, mut times_read) = (0, 0);
    for step in 0..60 {
        let mut names = BTreeSet::new();
        for _ in 0..edited.random.usize(1..4) {
            names.insert(edited.edit_trial());
        }
        if edited.chance(3) {
            edited.edit_job();
        }
        let mut reader = FileReader::new(now());
        match edited.random.usize(..6) {
            0 => drop(job.refresh(&mut reader, ScanDepth::EveryTrial)),
            1 => {
                job.refresh(&mut reader, ScanDepth::SkipSettled);
                job.refresh_folders(&mut reader, &names);
            }
            _ => drop(job.refresh_folders(&mut reader, &names)),
        }
        if edited.chance(20) {
            let dead = [Liveness::NoProcess, Liveness::Process(7)];
            job.set_liveness(dead[edited.random.usize(..2)]);
        } else if edited.chance(3) {
            job.set_liveness(Liveness::Process(7));
        }
        times_kept += usize::from(kept.is_some());
        let publish = |job: &JobSnapshot, table| {
            let mut published = PublishedJob::new(job, "id".into(), None, (table, None)).unwrap();
            let all = all_of(job, &mut published);
            (all, published.table)
        };
        let found = publish(&job, kept);
        kept = found.1;
        let derived_anew = publish(&job, None).0;
        assert_eq!(found.0, derived_anew, "seed {seed}, step {step}");
        // A file that is cut off leaves what was read before it.
        let mut read_anew = JobSnapshot::new(dir.clone(), now());
        read_anew.refresh(&mut FileReader::new(now()), ScanDepth::EveryTrial);
        read_anew.set_liveness(job.liveness);
        if !has_torn_file(&read_anew) {
            let read_anew = publish(&read_anew, None).0;
            assert_eq!(found.0, read_anew, "seed {seed}, step {step}");
            times_read += 1;
        }
    }
    (times_kept, times_read)
}

fn has_torn_file(job: &JobSnapshot) -> bool {
    let own = [job.result.state(), job.config.state(), job.lock.state()];
    let trials = job.trials.by_name().values();
    let mut states = own
        .into_iter()
        .chain(trials.map(|trial| trial.result.state()));
    states.any(|state| state == FileState::Torn)
}

#[test]
fn what_is_made_of_changes_is_what_is_made_of_all_files() {
    let (kept, read): (Vec<usize>, Vec<usize>) = (0..12).map(follow).unzip();
    let (kept, read) = (kept.iter().sum::<usize>(), read.iter().sum::<usize>());
    assert!(kept > 200 && read > 200, "{kept}, {read}");
}
