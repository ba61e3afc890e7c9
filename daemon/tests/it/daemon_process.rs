//! The real program: its report, its modes under any umask, and how it ends.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::test_daemon::{eventually, places};

const DOCKSD: &str = env!("CARGO_BIN_EXE_docksd");

pub(crate) fn command(home: &Path) -> Command {
    let mut command = Command::new(DOCKSD);
    sealed(&mut command, home);
    command.arg("--report");
    command
}

fn sealed(command: &mut Command, home: &Path) {
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

pub(crate) async fn ended(child: &mut Child) -> i32 {
    let child = std::cell::RefCell::new(child);
    eventually("the daemon has exited", || {
        let done = child.borrow_mut().try_wait().unwrap().is_some();
        async move { done }
    })
    .await;
    child.into_inner().wait().unwrap().code().unwrap_or(-1)
}

#[tokio::test]
async fn it_reports_ready_once_it_answers_and_a_signal_ends_it_cleanly() {
    for name in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let home = tempfile::tempdir().unwrap();
        let mut child = command(home.path()).spawn().unwrap();
        let told = report(&mut child);
        assert_eq!(told["ready"], true, "{told}");
        assert_eq!(told["pid"], child.id());
        let socket = places(home.path()).socket;
        std::os::unix::net::UnixStream::connect(&socket).unwrap();
        signal(&child, name);
        assert_eq!(ended(&mut child).await, 0);
        assert!(!socket.exists());
        let log = std::fs::read_to_string(home.path().join("log/docksd.log")).unwrap();
        assert!(
            log.contains("docksd is ready") && log.contains("stopped"),
            "{log}"
        );
    }
}

#[tokio::test]
async fn a_second_one_and_broken_settings_are_reported_with_the_reason() {
    let home = tempfile::tempdir().unwrap();
    let mut first = command(home.path()).spawn().unwrap();
    assert_eq!(report(&mut first)["ready"], true);
    let mut second = command(home.path()).spawn().unwrap();
    let told = report(&mut second);
    assert_eq!(told["code"], "already_running");
    let reason = told["reason"].as_str().unwrap();
    assert!(
        reason.contains(&format!("process {}", first.id())),
        "{reason}"
    );
    assert_eq!(ended(&mut second).await, 1);
    signal(&first, rustix::process::Signal::TERM);
    ended(&mut first).await;

    std::fs::write(home.path().join("daemon.toml"), "idle_exit = \"soon\"\n").unwrap();
    let mut broken = command(home.path()).spawn().unwrap();
    let told = report(&mut broken);
    assert_eq!(told["ready"], false);
    let reason = told["reason"].as_str().unwrap();
    assert!(
        reason.contains("`idle_exit` in") && reason.contains("daemon.toml"),
        "{reason}"
    );
    assert_eq!(ended(&mut broken).await, 1);
}

#[tokio::test]
async fn no_umask_opens_anything_to_others_and_none_locks_us_out() {
    for umask in ["000", "022", "077", "777"] {
        let home = tempfile::tempdir().unwrap();
        let mut shell = Command::new("/bin/sh");
        sealed(&mut shell, home.path());
        shell.args([
            "-c",
            &format!("umask {umask}; exec \"$0\" --report"),
            DOCKSD,
        ]);
        let mut child = shell.spawn().unwrap();
        let told = report(&mut child);
        assert_eq!(told["ready"], true, "umask {umask}: {told}");
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
        ended(&mut child).await;
    }
}

#[tokio::test]
async fn a_killed_one_leaves_nothing_in_the_way_of_the_next() {
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
async fn a_log_that_cannot_be_written_keeps_nobody_from_being_served() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("log"), "a file in the way").unwrap();
    let mut child = command(home.path()).spawn().unwrap();
    let told = report(&mut child);
    assert_eq!(told["ready"], true);
    assert!(told["warning"].as_str().unwrap().contains("log"), "{told}");
    std::os::unix::net::UnixStream::connect(places(home.path()).socket).unwrap();
    signal(&child, rustix::process::Signal::TERM);
    ended(&mut child).await;
}
