//! Harbor's program, tasks for it, and what its files say.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;

use serde_json::Value;

use crate::real::{Real, signal};

/// Becomes the program that is named after it, with SIGINT as a terminal leaves it. Tests that a
/// script started with `&` inherit it ignored, and so would Harbor, which then keeps it so.
const AS_AT_A_TERMINAL: &[&str] = &[
    "-c",
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])",
];

/// A home with an empty jobs directory, and tasks.
pub(super) struct Stage {
    pub(super) docks: Rc<Real>,
}

/// A process of Harbor, killed with its test.
pub(super) struct Running(Child);

/// What the files of a job say, counted without the code under test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Truth {
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

impl Stage {
    pub(super) fn new() -> Self {
        let stage = Self {
            docks: Rc::new(Real::new()),
        };
        for folder in ["jobs", "tasks", "roots"] {
            fs::create_dir(stage.docks.path(folder)).unwrap();
        }
        stage
    }

    /// Makes a task: what prepares its environment, solves it, and says its reward.
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

    /// Starts `harbor`, behind `wrapper` when there is one, else as a terminal would.
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

    /// Returns what the files of a job say now.
    pub(super) fn truth(&self, name: &str) -> Option<Truth> {
        let job = self.job(name);
        let result = json(&job.join("result.json"))?;
        let mut truth = Truth {
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
                    truth.ended += 1;
                    truth.errored += u64::from(kind.is_some());
                    truth.cancelled += u64::from(kind == Some("CancelledError"));
                }
                None => truth.unended += u64::from(trial.join("config.json").exists()),
            }
        }
        Some(truth)
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
        let text = self.docks.run_jobs(&line).good();
        let trials: Vec<Value> = serde_json::from_str(&text).unwrap();
        let named = trials
            .into_iter()
            .map(|t| (t["id"].as_str().unwrap().to_owned(), t));
        named.collect()
    }

    /// Says what Harbor said, for a test that failed.
    pub(super) fn said(&self) -> String {
        fs::read_to_string(self.docks.path("harbor.log")).unwrap_or_default()
    }
}

impl Truth {
    /// Tells whether an answer of `docks` says the same of a job whose process is there or not.
    pub(super) fn agrees(&self, shown: &Value) -> bool {
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

    /// Waits for its end; returns the exit code, or the signal that ended it, negative.
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
