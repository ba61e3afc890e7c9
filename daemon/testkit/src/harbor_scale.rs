//! Jobs directories of any size with all the files that Harbor 0.26 leaves: the same for the same numbers.
//!
//! Results, configurations and locks are those of a kept job of that release, under other names, and indented as Harbor
//! writes them; the sizes of logs and trajectories are those of the sample jobs.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::ser::PrettyFormatter;
use serde_json::{Value, json};

/// Names of tasks; a job runs each of them several times.
const TASKS: usize = 50;

/// The texts from which jobs are made.
pub struct HarborFiles {
    job_config: String,
    lock: Value,
    trial_config: String,
    passed: Value,
    failed: Value,
}

/// How a trial ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    TimedOut,
}

/// A job that runs as long as this is not dropped: its log is held open.
pub struct LiveJob {
    /// Its folder.
    pub folder: PathBuf,
    /// Its number.
    pub number: usize,
    trials: usize,
    _log: File,
}

impl Default for HarborFiles {
    fn default() -> Self {
        Self::new()
    }
}

impl HarborFiles {
    /// Reads the kept job.
    #[must_use]
    pub fn new() -> Self {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../harbor/tests/data/harbor-0.26/binary-rewards");
        let read = |name: &str| fs::read_to_string(kept.join(name)).unwrap();
        let value = |name: &str| -> Value { serde_json::from_str(&read(name)).unwrap() };
        Self {
            job_config: indented(&value("config.json")),
            lock: value("lock.json"),
            trial_config: indented(&value("hello-file__Sf7EEcQ/config.json")),
            passed: value("hello-file__Sf7EEcQ/result.json"),
            failed: value("wrong-answer__xh9oBzn/result.json"),
        }
    }

    /// Creates finished jobs `job-000`, `job-001`, …, each with the same number of trials, on all processors.
    pub fn create_jobs(&self, dir: &Path, jobs: usize, trials: usize) {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for first in 0..threads {
                scope.spawn(move || {
                    for job in (first..jobs).step_by(threads) {
                        self.create_job(dir, job, trials);
                    }
                });
            }
        });
    }

    fn create_job(&self, dir: &Path, job: usize, trials: usize) {
        let folder = dir.join(job_name(job));
        self.begin_job(&folder, job, trials);
        for trial in 0..trials {
            self.create_running_trial(&folder, job, trial);
            self.end_trial(&folder, job, trial);
        }
        self.write_job_result(&folder, job, trials, trials, true);
    }

    /// Creates a job that runs, of which `started` trials have begun and all of these but the last `running` have ended.
    pub fn create_live_job(
        &self,
        dir: &Path,
        job: usize,
        trials: usize,
        (started, running): (usize, usize),
    ) -> LiveJob {
        let folder = dir.join(job_name(job));
        self.begin_job(&folder, job, trials);
        for trial in 0..started {
            self.create_running_trial(&folder, job, trial);
            if trial + running < started {
                self.end_trial(&folder, job, trial);
            }
        }
        self.write_job_result(&folder, job, trials, started - running, false);
        let log = File::options().append(true).open(folder.join("job.log"));
        LiveJob {
            folder,
            number: job,
            trials,
            _log: log.unwrap(),
        }
    }

    /// Ends a running trial of a live job, and writes the job's result as Harbor does.
    pub fn end_live_trial(&self, job: &LiveJob, trial: usize, ended: usize) {
        self.end_trial(&job.folder, job.number, trial);
        self.write_job_result(&job.folder, job.number, job.trials, ended, false);
    }

    /// Starts a trial of a live job.
    pub fn start_live_trial(&self, job: &LiveJob, trial: usize) {
        self.create_running_trial(&job.folder, job.number, trial);
    }

    fn begin_job(&self, folder: &Path, job: usize, trials: usize) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("job.log"), "Running job\n".repeat(40)).unwrap();
        let config = self.job_config.replace("binary-rewards", &job_name(job));
        fs::write(folder.join("config.json"), config).unwrap();
        let mut lock = self.lock.clone();
        let planned = lock["trials"][0].clone();
        lock["created_at"] = json!(at(job, 0, 0));
        lock["trials"] = (0..trials)
            .map(|trial| {
                let mut planned = planned.clone();
                planned["task"]["name"] = json!(task_name(trial));
                planned["task"]["path"] = json!(format!("tasks/{}", task_name(trial)));
                planned
            })
            .collect();
        fs::write(folder.join("lock.json"), indented(&lock)).unwrap();
    }

    fn create_running_trial(&self, job_folder: &Path, job: usize, trial: usize) {
        let name = trial_name(trial);
        let folder = job_folder.join(&name);
        fs::create_dir(&folder).unwrap();
        for part in ["agent", "agent/setup", "verifier", "artifacts"] {
            fs::create_dir(folder.join(part)).unwrap();
        }
        let write = |file: &str, text: &str| fs::write(folder.join(file), text).unwrap();
        let lock =
            json!({"schema_version": 2, "task": self.lock["trials"][0]["task"], "artifacts": []});
        write("lock.json", &indented(&lock));
        write("trial.log", "Starting the environment\n");
        let config = self.trial_config.replace("hello-file__Sf7EEcQ", &name);
        let config = config.replace("tasks/hello-file", &format!("tasks/{}", task_name(trial)));
        write(
            "config.json",
            &config.replace("binary-rewards", &job_name(job)),
        );
        write("agent/setup/stdout.txt", "installed\n");
        write(
            "agent/oracle.txt",
            &"a line of what an agent says\n".repeat(30),
        );
    }

    fn end_trial(&self, job_folder: &Path, job: usize, trial: usize) {
        let folder = job_folder.join(trial_name(trial));
        let write = |file: &str, text: &str| fs::write(folder.join(file), text).unwrap();
        let outcome = outcome_of(trial);
        let step = r#"{"step_id": 1, "source": "agent", "message": "a step of the agent"}"#;
        write(
            "agent/trajectory.json",
            &format!("[{}]", [step; 60].join(",\n")),
        );
        fs::create_dir_all(folder.join("artifacts/logs/artifacts")).unwrap();
        write(
            "artifacts/logs/artifacts/changes.patch",
            &"+ a changed line\n".repeat(15),
        );
        let manifest = json!([{"source": "/logs/artifacts", "destination": "artifacts/logs/artifacts",
            "type": "directory", "status": "ok"}]);
        write("artifacts/manifest.json", &indented(&manifest));
        if outcome == Outcome::TimedOut {
            write("exception.txt", &traceback());
        }
        write("verifier/test-stdout.txt", &"ok\n".repeat(30));
        let tests = json!({"results": {"summary": {"tests": 4, "passed": 3}}});
        write("verifier/ctrf.json", &indented(&tests));
        write(
            "verifier/reward.txt",
            if outcome == Outcome::Passed { "1" } else { "0" },
        );
        write("result.json", &self.trial_result(job, trial));
    }

    fn trial_result(&self, job: usize, trial: usize) -> String {
        let name = trial_name(trial);
        let outcome = outcome_of(trial);
        let mut result = match outcome {
            Outcome::Passed => self.passed.clone(),
            _ => self.failed.clone(),
        };
        result["id"] = json!(format!("{job:08x}-0000-4000-9000-{trial:012x}"));
        result["task_name"] = json!(format!("tiny/{}", task_name(trial)));
        result["trial_name"] = json!(name);
        result["trial_uri"] = json!(format!(
            "file:///home/user/evals/jobs/{}/{name}",
            job_name(job)
        ));
        result["task_id"]["path"] = json!(format!("tasks/{}", task_name(trial)));
        let config = &mut result["config"];
        config["trial_name"] = json!(name);
        config["trials_dir"] = json!(format!("/home/user/evals/jobs/{}", job_name(job)));
        config["job_id"] = json!(job_id(job));
        config["task"]["path"] = json!(format!("tasks/{}", task_name(trial)));
        result["started_at"] = json!(at(job, trial, 0));
        result["finished_at"] = json!(at(job, trial, 50));
        let usage = json!({"n_input_tokens": 1_200 + trial, "n_cache_tokens": 800, "n_output_tokens": 90,
            "cost_usd": 0.0125});
        result["agent_result"] = usage;
        for (phase, from) in [
            ("environment_setup", 1),
            ("agent_setup", 5),
            ("agent_execution", 10),
            ("verifier", 40),
        ] {
            result[phase] = json!({"started_at": at(job, trial, from), "finished_at": at(job, trial, from + 4)});
        }
        if outcome == Outcome::TimedOut {
            result["exception_info"] = json!({
                "exception_type": "AgentTimeoutError",
                "exception_message": "Agent execution timed out after 30.0 seconds",
                "exception_traceback": traceback(),
                "occurred_at": at(job, trial, 40),
                "policy": {"should_retry": false, "should_grade": true, "has_valid_reward": true},
            });
        }
        indented(&result)
    }

    fn write_job_result(
        &self,
        folder: &Path,
        job: usize,
        trials: usize,
        ended: usize,
        finished: bool,
    ) {
        let mut rewards: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut timed_out = Vec::new();
        for trial in 0..ended {
            let outcome = outcome_of(trial);
            let reward = if outcome == Outcome::Passed {
                "1.0"
            } else {
                "0.0"
            };
            rewards.entry(reward).or_default().push(trial_name(trial));
            if outcome == Outcome::TimedOut {
                timed_out.push(trial_name(trial));
            }
        }
        let end = finished.then(|| at(job, trials, 55).trim_end_matches('Z').to_owned());
        let result = json!({
            "schema_version": 1, "id": job_id(job),
            "started_at": at(job, 0, 0).trim_end_matches('Z'), "updated_at": at(job, ended, 55),
            "finished_at": end, "n_total_trials": trials,
            "stats": {
                "n_completed_trials": ended, "n_errored_trials": timed_out.len(),
                "n_running_trials": 0, "n_pending_trials": trials - ended,
                "n_cancelled_trials": 0, "n_retries": 0,
                "evals": {"oracle__tasks": {
                    "n_trials": ended, "n_errors": timed_out.len(), "metrics": [{"mean": 0.5}], "pass_at_k": {},
                    "reward_stats": {"reward": rewards}, "exception_stats": {"AgentTimeoutError": timed_out},
                }},
                "n_input_tokens": 1_200 * ended, "n_cache_tokens": 800 * ended,
                "n_output_tokens": 90 * ended, "cost_usd": 0.0125 * ended as f64,
            },
        });
        fs::write(folder.join("result.json"), indented(&result)).unwrap();
    }
}

/// Returns the name of a job's folder.
#[must_use]
pub fn job_name(job: usize) -> String {
    format!("job-{job:03}")
}

/// Returns a job's UUID.
#[must_use]
pub fn job_id(job: usize) -> String {
    format!("00000000-0000-4000-8000-{job:012x}")
}

/// Returns the name of a trial.
#[must_use]
pub fn trial_name(trial: usize) -> String {
    format!("{}__{trial:07}", task_name(trial))
}

fn task_name(trial: usize) -> String {
    format!("fix-component-{:02}", trial % TASKS)
}

fn outcome_of(trial: usize) -> Outcome {
    match trial % 10 {
        0..5 => Outcome::Passed,
        5..9 => Outcome::Failed,
        _ => Outcome::TimedOut,
    }
}

/// Returns a time: each job on a day of its own, each trial a minute later than the one before.
fn at(job: usize, trial: usize, second: usize) -> String {
    let (day, month) = (1 + job % 28, 1 + job / 28 % 12);
    let (hour, minute) = (trial / 60 % 24, trial % 60);
    format!("2026-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.250000Z")
}

fn traceback() -> String {
    let line =
        "  File \"/opt/harbor/trial/trial.py\", line 431, in _execute_agent\n    await task\n";
    format!(
        "Traceback (most recent call last):\n{}TimeoutError\n",
        line.repeat(16)
    )
}

/// Writes JSON as Harbor does.
fn indented(value: &Value) -> String {
    let mut text = Vec::new();
    let format = PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, format);
    value.serialize(&mut serializer).unwrap();
    String::from_utf8(text).unwrap()
}
