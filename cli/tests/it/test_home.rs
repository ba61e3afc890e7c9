//! A home directory for the real `docks` and `docksd`; the daemon stops with the test.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::remote::Remote;
use crate::sealed::CommandResult;

/// How long a test waits for a state; longer means that it will never be reached.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A home directory; the daemon that its commands start ends when this is dropped.
pub(crate) struct TestHome {
    home: TempDir,
}

impl TestHome {
    /// Creates an empty home.
    pub(crate) fn new() -> Self {
        let docksd = docksd();
        assert!(
            docksd.is_file(),
            "docksd is not built: {} is missing; run `cargo test --workspace`, \
             since `cargo test -p docks` builds no docksd",
            docksd.display()
        );
        let home = TempDir::new().unwrap();
        fs::DirBuilder::new()
            .mode(0o700)
            .create(home.path().join("docks"))
            .unwrap();
        Self { home }
    }

    /// Creates a home whose default profile is `remote`.
    pub(crate) fn with_remote(remote: &Remote) -> Self {
        let home = Self::new();
        home.profile(&remote.url(), "canary-token");
        home
    }

    /// Creates a home with a copy of the bundled jobs.
    pub(crate) fn with_jobs() -> Self {
        let home = Self::new();
        let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/harbor-jobs");
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(bundled).arg(home.jobs());
        assert!(copy.status().unwrap().success());
        home
    }

    /// Writes the default profile.
    pub(crate) fn profile(&self, url: &str, token: &str) {
        self.write_settings(format!(
            "[default]\napi_url = \"{url}\"\ntenant_id = \"ten\"\ntoken = \"{token}\"\n"
        ));
    }

    /// Writes the settings, for their owner only: they have tokens.
    pub(crate) fn write_settings(&self, text: impl AsRef<str>) {
        let path = self.path("docks/config.toml");
        fs::write(&path, text.as_ref()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Returns a path in the home.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().canonicalize().unwrap().join(name)
    }

    /// Returns the path of the copy of the bundled jobs.
    pub(crate) fn jobs(&self) -> PathBuf {
        self.path("jobs")
    }

    /// Returns the path of the daemon's socket; creates its directory.
    pub(crate) fn socket(&self) -> PathBuf {
        let directory = self.path("docks/run");
        fs::DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(&directory)
            .unwrap();
        directory.join("docksd.sock")
    }

    /// Returns `docks`, ready for arguments.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_docks"));
        command
            .env_clear()
            .env("HOME", self.home.path())
            .env("DOCKS_HOME", self.path("docks"))
            .current_dir(self.home.path())
            .args(line.split_whitespace())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if !rustix::process::geteuid().is_root() {
            // These tests look at the processes that they start, which otherwise only root may.
            command.env("DOCKS_DEBUGGABLE", "1");
        }
        command
    }

    /// Runs a line of arguments to its end.
    pub(crate) fn run(&self, line: &str) -> CommandResult {
        CommandResult::new(self.command(line).output().unwrap())
    }

    /// Runs a line about the copy of the bundled jobs.
    pub(crate) fn run_jobs(&self, line: &str) -> CommandResult {
        CommandResult::new(self.command_jobs(line).output().unwrap())
    }

    /// Returns `docks` about the copy of the bundled jobs.
    pub(crate) fn command_jobs(&self, line: &str) -> Command {
        let mut command = self.command(line);
        command.arg("--harbor").arg(self.jobs());
        command
    }

    /// Returns the daemon's status; on a busy machine it may take several attempts.
    pub(crate) fn status(&self) -> serde_json::Value {
        let mut text = String::new();
        eventually("the daemon reports its status", || {
            let status = self.run("daemon status --format json");
            text = status.stdout;
            status.code == Some(0)
        });
        serde_json::from_str(&text).unwrap()
    }

    /// Returns the process id of the daemon that answers.
    pub(crate) fn pid(&self) -> u32 {
        u32::try_from(self.status()["pid"].as_u64().unwrap()).unwrap()
    }

    /// Returns the process id of every docksd of this home.
    pub(crate) fn daemons(&self) -> Vec<u32> {
        let home = format!("DOCKS_HOME={}\0", self.path("docks").display());
        let mut found: Vec<u32> = fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid| {
                let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
                String::from_utf8_lossy(&read("environ")).contains(&home)
                    && read("comm") == b"docksd\n"
            })
            .collect();
        found.sort_unstable();
        found
    }

    /// Stops the daemon as a user does.
    pub(crate) fn stop(&self) {
        self.run("daemon stop").expect_success();
        eventually("every docksd has ended", || self.daemons().is_empty());
    }
}

impl Drop for TestHome {
    #[expect(clippy::print_stderr, reason = "a failed test shows what happened")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let status = self.run("daemon status");
            let log = self.run("daemon logs");
            eprintln!("status:\n{}\nlog:\n{}", status.stdout, log.stdout);
        }
        // A failed test must not leave a daemon behind either.
        drop(self.command("daemon stop").output());
        for pid in self.daemons() {
            signal(pid, "KILL");
        }
    }
}

/// Returns the daemon's program, which is next to `docks`.
pub(crate) fn docksd() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_docks")).with_file_name("docksd")
}

/// Copies a program that is to be run. Another process does it: a file that this one writes is still open
/// in whatever another test starts at that moment, and cannot be run as long.
pub(crate) fn copy_program(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg(from).arg(to).status();
    assert!(copied.unwrap().success());
}

/// Sends a signal to a process of this test.
pub(crate) fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill")
        .args([format!("-{name}"), pid.to_string()])
        .stderr(Stdio::null())
        .status();
    drop(sent);
}

/// Waits until a condition holds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "timed out waiting until {what}");
        std::thread::yield_now();
    }
}

/// Waits for every child and returns their results.
pub(crate) fn wait_for_all(children: Vec<Child>) -> Vec<CommandResult> {
    let outputs: Vec<Output> = children
        .into_iter()
        .map(|child| child.wait_with_output().unwrap())
        .collect();
    outputs.into_iter().map(CommandResult::new).collect()
}
