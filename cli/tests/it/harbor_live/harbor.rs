//! Runs Harbor, writes tasks for it, and reads its files.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;

use serde_json::Value;

use crate::test_home::{TestHome, signal};

/// Executes the named program with the default action for SIGINT, as a terminal does. Tests that a
/// script starts with `&` inherit it ignored; Harbor would as well, and keep it ignored.
const AS_AT_A_TERMINAL: &[&str] = &[
    "-c",
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])",
];

/// A home directory with an empty jobs directory, and tasks.
pub(super) struct HarborHome {
    pub(super) docks: Rc<TestHome>,
}

/// A process of Harbor, which is killed with the test.
pub(super) struct Running(Child);

/// Counts from the files of a job, without the code under test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileCounts {
    pub(super) total: u64,
    pub(super) ended: u64,
    pub(super) errored: u64,
    pub(super) cancelled: u64,
    pub(super) unended: u64,
    pub(super) finished: bool,
}

fn harbor() -> PathBuf {
    let bin = std::env::var_os("HARBOR_BIN");
    PathBuf::from(bin.expect("HARBOR_BIN names Harbor's program; use `.ci/run harbor-live`"))
}

/// Returns a JSON file; `None` when it is not there or not whole.
pub(super) fn json(path: &Path) -> Option<Value> {
    serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
}

impl HarborHome {
    pub(super) fn new() -> Self {
        let home = Self {
            docks: Rc::new(TestHome::new()),
        };
        for folder in ["jobs", "tasks", "roots"] {
            fs::create_dir(home.docks.path(folder)).unwrap();
        }
        home
    }

    /// Creates a task: scripts that prepare its environment and solve it, and its reward.
    pub(super) fn task(&self, name: &str, prepare: &str, solve: &str, reward: &str) {
        let task = self.docks.path("tasks").join(name);
        let write = |place: &str, text: &str| {
            let path = task.join(place);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let timeouts = "[agent]\ntimeout_sec = 60.0\n[verifier]\ntimeout_sec = 20.0\n";
        write(
            "task.toml",
            &format!(
                "schema_version = \"1.4\"\n[task]\nname = \"live/{name}\"\nversion = \"1.0.0\"\n{timeouts}"
            ),
        );
        write("instruction.md", "Do what the solution does.\n");
        write("environment/Dockerfile", "FROM scratch\n");
        write("environment/prepare.sh", prepare);
        write("solution/solve.sh", &format!("#!/bin/bash\n{solve}\n"));
        write(
            "tests/test.sh",
            &format!("#!/bin/bash\necho {reward} > /logs/verifier/reward.txt\n"),
        );
    }

    /// Creates a task of several steps: the name of each, its solution and its reward. An agent has 3 s for a step.
    pub(super) fn steps(&self, name: &str, steps: &[(&str, &str, &str)]) {
        let task = self.docks.path("tasks").join(name);
        let write = |place: String, text: &str| {
            let path = task.join(place);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let mut toml = format!(
            "schema_version = \"1.4\"\nmulti_step_reward_strategy = \"mean\"\n[task]\nname = \"live/{name}\"\n\
             version = \"1.0.0\"\n[agent]\ntimeout_sec = 3.0\n[verifier]\ntimeout_sec = 20.0\n"
        );
        for (step, solve, reward) in steps {
            toml.push_str(&format!("[[steps]]\nname = \"{step}\"\n"));
            let below = format!("steps/{step}");
            write(
                format!("{below}/instruction.md"),
                "Do what the solution does.\n",
            );
            write(
                format!("{below}/solution/solve.sh"),
                &format!("#!/bin/bash\n{solve}\n"),
            );
            write(
                format!("{below}/tests/test.sh"),
                &format!("#!/bin/bash\necho {reward} > /logs/verifier/reward.txt\n"),
            );
        }
        write("task.toml".to_owned(), &toml);
        write("environment/Dockerfile".to_owned(), "FROM scratch\n");
        write("environment/prepare.sh".to_owned(), "");
    }

    /// Starts `harbor` through `wrapper` if it is not empty, else as a terminal does.
    pub(super) fn harbor(&self, wrapper: &[&str], line: &str) -> Running {
        let plugin = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/peers/harbor");
        let harbor = harbor();
        let python = harbor.with_file_name("python");
        let (program, before) = match wrapper {
            [program, before @ ..] => (PathBuf::from(program), before),
            [] => (python, AS_AT_A_TERMINAL),
        };
        let mut command = Command::new(program);
        command.args(before).arg(&harbor);
        let log = fs::File::create(self.docks.path("harbor.log")).unwrap();
        command
            .args(line.split_whitespace())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.docks.path("."))
            .env("PYTHONPATH", plugin)
            .env("HARBOR_TELEMETRY", "0")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("LIVE_ROOTS", self.docks.path("roots"))
            .current_dir(self.docks.path("."))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0);
        Running(command.spawn().unwrap())
    }

    /// Starts a job of all tasks.
    pub(super) fn start(&self, name: &str, more: &str) -> Running {
        let line = format!(
            "run -p tasks --env local_processes:LocalProcesses -o jobs --job-name {name} -y -q {more}"
        );
        self.harbor(&[], &line)
    }

    pub(super) fn job(&self, name: &str) -> PathBuf {
        self.docks.jobs().join(name)
    }

    /// Counts what the files of a job contain now.
    pub(super) fn count_files(&self, name: &str) -> Option<FileCounts> {
        let job = self.job(name);
        let result = json(&job.join("result.json"))?;
        let mut counts = FileCounts {
            total: result["n_total_trials"].as_u64()?,
            ended: 0,
            errored: 0,
            cancelled: 0,
            unended: 0,
            finished: !result["finished_at"].is_null(),
        };
        for folder in fs::read_dir(job).ok()?.flatten() {
            let trial = folder.path();
            match json(&trial.join("result.json")) {
                Some(result) => {
                    let kind = result["exception_info"]["exception_type"].as_str();
                    counts.ended += 1;
                    counts.errored += u64::from(kind.is_some());
                    counts.cancelled += u64::from(kind == Some("CancelledError"));
                }
                None => counts.unended += u64::from(trial.join("config.json").exists()),
            }
        }
        Some(counts)
    }

    /// Returns a job as `docks` shows it; null while it does not.
    pub(super) fn shown(&self, name: &str) -> Value {
        let ended = self
            .docks
            .run_jobs(&format!("runs eval-get {name} --format json"));
        serde_json::from_str(&ended.stdout).unwrap_or_default()
    }

    /// Returns the trials of a job as `docks` shows them, by name.
    pub(super) fn trials(&self, name: &str) -> BTreeMap<String, Value> {
        let line = format!("runs trials {name} --limit 0 --format json");
        let text = self.docks.run_jobs(&line).expect_success();
        let trials: Vec<Value> = serde_json::from_str(&text).unwrap();
        let named = trials
            .into_iter()
            .map(|t| (t["id"].as_str().unwrap().to_owned(), t));
        named.collect()
    }

    /// Returns the output of Harbor, for failed tests.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.docks.path("harbor.log")).unwrap_or_default()
    }
}

impl FileCounts {
    /// Whether an answer of `docks` has the same counts.
    pub(super) fn agrees_with(&self, shown: &Value) -> bool {
        let counts = &shown["harbor"]["trials"];
        let unended =
            counts["running"].as_u64().unwrap_or(0) + counts["lost"].as_u64().unwrap_or(0);
        shown["total_trials"] == self.total
            && shown["completed_trials"] == self.ended
            && counts["errored"] == self.errored
            && counts["cancelled"] == self.cancelled
            && unended == self.unended
            && (shown["status"] == "completed") == self.finished
    }
}

impl Running {
    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(super) fn ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    pub(super) fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Waits until it exits; returns the exit code, or the negative number of the signal.
    pub(super) fn wait(&mut self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        let status = self.0.wait().unwrap();
        status.code().unwrap_or_else(|| -status.signal().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.try_wait().is_ok_and(|status| status.is_none()) {
            self.signal("KILL");
            drop(self.0.wait());
        }
    }
}
