//! Runs `docks` with its own home and no other environment.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::remote::Remote;

/// A home and the remote of its settings.
pub(crate) struct Sealed {
    home: TempDir,
    api_url: String,
}

/// The exit code and output of a command.
#[derive(Debug)]
pub(crate) struct CommandResult {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Checks that a command says that it needs the daemon where there is none, and asks the remote nothing.
pub(crate) fn check_needs_daemon(line: &str) {
    let remote = Remote::start(|_| (200, "[]".to_owned()));
    let sealed = Sealed::new(&remote);
    let output = sealed.command().args(line.split(' ')).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("only the daemon can do this"),
        "{line}: {said}"
    );
    assert!(remote.requests().is_empty(), "{line}: the remote was asked");
}

impl Sealed {
    /// Creates an empty home for `remote`.
    pub(crate) fn new(remote: &Remote) -> Self {
        Self {
            home: TempDir::new().unwrap(),
            api_url: remote.url(),
        }
    }

    /// Returns the home.
    pub(crate) fn home(&self) -> &std::path::Path {
        self.home.path()
    }

    /// Returns `docks`, ready for arguments; the daemon is switched off.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_docks"));
        command
            .env_clear()
            .env("HOME", self.home.path())
            .env("DOCKS_HOME", self.home.path().join("docks"))
            .env("DOCKS_API_URL", &self.api_url)
            .env("DOCKS_TENANT_ID", "ten")
            .env("DOCKS_TOKEN", "canary-token")
            .env("DOCKS_NO_DAEMON", "1")
            .current_dir(self.home.path())
            .stdin(Stdio::null());
        command
    }

    /// Returns the path of the daemon's socket; creates its private directory.
    pub(crate) fn socket(&self) -> PathBuf {
        let directory = self.home.path().join("run");
        DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(&directory)
            .unwrap();
        directory.join("docksd.sock")
    }

    /// Runs `docks` with a line of arguments to its end, with the daemon at [`Sealed::socket`].
    pub(crate) fn run_with_daemon(&self, line: &str) -> CommandResult {
        let output = self
            .command()
            .env_remove("DOCKS_NO_DAEMON")
            .env("DOCKS_SOCKET", self.socket())
            .env("DOCKSD", "/nonexistent/docksd")
            .args(line.split_whitespace())
            .output()
            .unwrap();
        CommandResult::new(output)
    }

    /// Runs `docks` with a line of arguments to its end.
    pub(crate) fn run(&self, line: &str) -> CommandResult {
        let output = self
            .command()
            .args(line.split_whitespace())
            .output()
            .unwrap();
        CommandResult::new(output)
    }
}

impl CommandResult {
    /// Reads the output of a command; a token or a panic in it fails the test.
    pub(crate) fn new(output: Output) -> Self {
        let ended = Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        for text in [&ended.stdout, &ended.stderr] {
            assert!(!text.contains("canary-token"), "the token is never printed");
            assert!(!text.contains("panicked"), "{text}");
        }
        ended
    }

    /// Returns stdout of a command that must have succeeded.
    pub(crate) fn expect_success(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self.stdout
    }
}

/// Runs one command as another one would be run.
pub(crate) trait EnvironmentOf {
    /// Sets the environment to what was set for the other command, and no more.
    fn environment_of(&mut self, other: &Command) -> &mut Self;
}

impl EnvironmentOf for Command {
    fn environment_of(&mut self, other: &Command) -> &mut Self {
        let set = other.get_envs();
        self.env_clear()
            .envs(set.filter_map(|(name, value)| Some((name, value?))))
    }
}

/// Returns whether a file system can be mounted at a directory; where that needs rights that are missing, the
/// test is reported as skipped.
pub(crate) fn can_mount(test: &str, at: &Path) -> bool {
    let probe = ["-rm", "sh", "-c", "mount -t tmpfs -o size=64k none \"$0\""];
    let probe = Command::new("unshare").args(probe).arg(at).output();
    let mounted = probe.is_ok_and(|probe| probe.status.success());
    if !mounted {
        docksd_testkit::skip(test, "a file system cannot be mounted in a user namespace");
    }
    mounted
}
