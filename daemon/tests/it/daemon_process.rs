//! The real program: its start-up report, its file modes under any umask, and how it exits.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::test_daemon::{eventually, places};

const DOCKSD: &str = env!("CARGO_BIN_EXE_docksd");

pub(crate) fn command(home: &Path) -> Command {
    let mut command = Command::new(DOCKSD);
    seal(&mut command, home);
    command.arg("--report");
    command
}

fn seal(command: &mut Command, home: &Path) {
    command
        .env_clear()
        .env("DOCKS_HOME", home)
        .env("DOCKS_USE_KEYRING", "false")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
}

pub(crate) fn report(child: &mut Child) -> Value {
    let mut line = String::new();
    let out = child.stdout.take().unwrap();
    BufReader::new(out).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

pub(crate) fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = i32::try_from(child.id()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

pub(crate) async fn exit_code(child: &mut Child) -> i32 {
    let child = std::cell::RefCell::new(child);
    eventually("the daemon has exited", || {
        let done = child.borrow_mut().try_wait().unwrap().is_some();
        async move { done }
    })
    .await;
    child.into_inner().wait().unwrap().code().unwrap_or(-1)
}

#[tokio::test]
async fn it_reports_ready_once_it_accepts_requests_and_a_signal_stops_it_cleanly() {
    for name in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let home = tempfile::tempdir().unwrap();
        let mut child = command(home.path()).spawn().unwrap();
        let line = report(&mut child);
        assert_eq!(line["ready"], true, "{line}");
        assert_eq!(line["pid"], child.id());
        let socket = places(home.path()).socket;
        std::os::unix::net::UnixStream::connect(&socket).unwrap();
        signal(&child, name);
        assert_eq!(exit_code(&mut child).await, 0);
        assert!(!socket.exists());
        let log = std::fs::read_to_string(home.path().join("log/docksd.log")).unwrap();
        assert!(
            log.contains("docksd is ready") && log.contains("stopped"),
            "{log}"
        );
    }
}

#[tokio::test]
async fn a_second_daemon_and_invalid_settings_are_reported_with_the_reason() {
    let home = tempfile::tempdir().unwrap();
    let mut first = command(home.path()).spawn().unwrap();
    assert_eq!(report(&mut first)["ready"], true);
    let mut second = command(home.path()).spawn().unwrap();
    let line = report(&mut second);
    assert_eq!(line["code"], "already_running");
    let reason = line["reason"].as_str().unwrap();
    assert!(
        reason.contains(&format!("process {}", first.id())),
        "{reason}"
    );
    assert_eq!(exit_code(&mut second).await, 1);
    signal(&first, rustix::process::Signal::TERM);
    exit_code(&mut first).await;

    std::fs::write(home.path().join("daemon.toml"), "idle_exit = \"soon\"\n").unwrap();
    let mut broken = command(home.path()).spawn().unwrap();
    let line = report(&mut broken);
    assert_eq!(line["ready"], false);
    let reason = line["reason"].as_str().unwrap();
    assert!(
        reason.contains("`idle_exit` in") && reason.contains("daemon.toml"),
        "{reason}"
    );
    assert_eq!(exit_code(&mut broken).await, 1);
}

#[tokio::test]
async fn under_any_umask_files_are_private_and_usable() {
    for umask in ["000", "022", "077", "777"] {
        let home = tempfile::tempdir().unwrap();
        let mut shell = Command::new("/bin/sh");
        seal(&mut shell, home.path());
        shell.args([
            "-c",
            &format!("umask {umask}; exec \"$0\" --report"),
            DOCKSD,
        ]);
        let mut child = shell.spawn().unwrap();
        let line = report(&mut child);
        assert_eq!(line["ready"], true, "umask {umask}: {line}");
        let places = places(home.path());
        for (path, expected) in [
            (places.run_dir().to_owned(), 0o700),
            (places.socket.clone(), 0o600),
            (places.lifetime_lock(), 0o600),
            (places.log_dir(), 0o700),
            (
                std::fs::canonicalize(places.log_dir().join("docksd.log")).unwrap(),
                0o600,
            ),
        ] {
            let mode = std::fs::metadata(&path).unwrap().mode() & 0o7777;
            assert_eq!(mode, expected, "umask {umask}: {}", path.display());
        }
        signal(&child, rustix::process::Signal::TERM);
        exit_code(&mut child).await;
    }
}

#[tokio::test]
async fn a_killed_daemon_does_not_block_the_next_one() {
    let home = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let mut child = command(home.path()).spawn().unwrap();
        assert_eq!(report(&mut child)["ready"], true);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(places(home.path()).socket.exists());
    }
}

#[tokio::test]
async fn an_unwritable_log_does_not_prevent_the_start() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("log"), "not a directory").unwrap();
    let mut child = command(home.path()).spawn().unwrap();
    let line = report(&mut child);
    assert_eq!(line["ready"], true);
    assert!(line["warning"].as_str().unwrap().contains("log"), "{line}");
    std::os::unix::net::UnixStream::connect(places(home.path()).socket).unwrap();
    signal(&child, rustix::process::Signal::TERM);
    exit_code(&mut child).await;
}
