//! A watch during failures around it: no change is printed twice, no end is missed.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::remote::Remote;
use crate::test_home::{TestHome, docksd, eventually};
use crate::watch::{FakeRun, Watch, changes, expect_each_end_once};

/// Starts a watch of the run, and returns the file with its stderr.
fn watch(home: &TestHome, command: &mut Command) -> (Watch, PathBuf) {
    let errors = home.path("errors");
    command.stderr(File::create(&errors).unwrap());
    let mut watch = Watch::of(command);
    watch.until("running");
    (watch, errors)
}

fn said(errors: &PathBuf, what: &str) -> usize {
    let text = std::fs::read_to_string(errors).unwrap();
    text.lines().filter(|line| line.contains(what)).count()
}

/// Reads to the end; every change must be there once.
fn ends_with(watch: Watch, wanted: &[&str]) {
    let (code, lines, _) = watch.end();
    assert_eq!(code, Some(0), "{lines:#?}");
    let mut said = changes(&lines);
    said.sort();
    assert_eq!(said, wanted);
}

#[test]
fn an_outage_of_the_remote_is_reported_once_and_ends_follow_when_it_is_back() {
    let (night, away) = (FakeRun::new(2), Arc::new(AtomicBool::new(false)));
    let (told, gone) = (night.clone(), Arc::clone(&away));
    let remote = Remote::start(move |asked| match gone.load(Ordering::Relaxed) {
        true => (502, "<html>bad gateway</html>".to_owned()),
        false => told.answer(asked),
    });
    let home = TestHome::with_remote(&remote);
    home.run("runs trials night").expect_success();
    let (watch, errors) = watch(&home, &mut home.command("runs watch night --exit-status"));
    for _ in 0..2 {
        let before = said(&errors, "no updates since");
        away.store(true, Ordering::Relaxed);
        eventually("the watch reports the outage", || {
            said(&errors, "no updates since") > before
        });
        if before == 1 {
            night.trial(1, "passed");
            night.run("completed");
        } else {
            night.trial(0, "passed");
        }
        away.store(false, Ordering::Relaxed);
        eventually("it reports that updates come in again", || {
            said(&errors, "updates are coming in again") > before
        });
    }
    ends_with(
        watch,
        &[
            "night   running",
            "night  running completed",
            "night t0 running passed",
            "night t1 running passed",
        ],
    );
    assert_eq!(said(&errors, "no updates since"), 2);
    assert_eq!(said(&errors, "updates are coming in again"), 2);
}

#[test]
fn a_watch_continues_after_the_token_was_renewed() {
    let night = FakeRun::new(1);
    let remote = night.start();
    let home = TestHome::with_remote(&remote);
    home.run("runs trials night").expect_success();
    let (watch, errors) = watch(&home, &mut home.command("runs watch night --exit-status"));
    remote.accept("canary-token-2");
    eventually("the watch reports the outage", || {
        said(&errors, "no updates since") == 1
    });
    night.trial(0, "passed");
    night.run("completed");
    let mut login = home
        .command("auth login --tenant ten --token-stdin --api-url")
        .arg(remote.url())
        .env("DOCKS_USE_KEYRING", "false")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    login
        .stdin
        .take()
        .unwrap()
        .write_all(b"canary-token-2")
        .unwrap();
    let login = login.wait_with_output().unwrap();
    assert!(
        login.status.success(),
        "{}",
        String::from_utf8_lossy(&login.stderr)
    );
    ends_with(
        watch,
        &[
            "night   running",
            "night  running completed",
            "night t0 running passed",
        ],
    );
    assert_eq!(said(&errors, "no updates since"), 1);
    assert_eq!(said(&errors, "canary"), 0);
}

/// A home whose `docksd` can be removed, and a watch that would start it.
struct Removable {
    home: TestHome,
    program: PathBuf,
}

impl Removable {
    fn new(remote: &Remote) -> Self {
        let home = TestHome::with_remote(remote);
        let program = home.path("bin/docksd");
        std::fs::create_dir(home.path("bin")).unwrap();
        symlink(docksd(), &program).unwrap();
        home.run("runs trials night").expect_success();
        Self { home, program }
    }

    fn watch(&self) -> (Watch, PathBuf) {
        let mut command = self.home.command("runs watch night --exit-status");
        watch(&self.home, command.env("DOCKSD", &self.program))
    }
}

#[test]
fn a_watch_polls_the_remote_while_there_is_no_daemon_and_goes_back_to_the_next_one() {
    let night = FakeRun::new(3);
    let remote = night.start();
    let removable = Removable::new(&remote);
    let (mut watch, errors) = removable.watch();
    let mut command = removable.home.command("runs watch night --format jsonl");
    let mut json = Watch::of(command.env("DOCKSD", &removable.program));
    json.until(r#""event":"ready""#);
    night.trial(0, "passed");
    watch.until("\tt0\t");
    json.until(r#""trial_id":"t0""#);
    std::fs::remove_file(&removable.program).unwrap();
    removable.home.stop();
    night.trial(1, "passed");
    watch.until("\tt1\t");
    json.until(r#""trial_id":"t1""#);
    assert!(removable.home.daemons().is_empty(), "the remote told it");
    symlink(docksd(), &removable.program).unwrap();
    eventually("the watch has started the next daemon", || {
        !removable.home.daemons().is_empty()
    });
    night.trial(2, "passed");
    watch.until("\tt2\t");
    json.until(r#""trial_id":"t2""#);
    night.run("completed");
    expect_each_end_once(json, 3);
    ends_with(
        watch,
        &[
            "night   running",
            "night  running completed",
            "night t0 running passed",
            "night t1 running passed",
            "night t2 running passed",
        ],
    );
    assert!(said(&errors, "updates are coming in again") <= 1);
}

#[test]
fn a_daemon_of_a_newer_release_is_left_alone_and_the_remote_tells_the_rest() {
    let night = FakeRun::new(2);
    let remote = night.start();
    let removable = Removable::new(&remote);
    let (mut watch, _) = removable.watch();
    std::fs::remove_file(&removable.program).unwrap();
    removable.home.stop();
    let asked = newer(UnixListener::bind(removable.home.socket()).unwrap());
    night.trial(0, "passed");
    watch.until("\tt0\t");
    eventually("the newer daemon was met", || {
        !asked.lock().unwrap().is_empty()
    });
    night.trial(1, "passed");
    night.run("completed");
    ends_with(
        watch,
        &[
            "night   running",
            "night  running completed",
            "night t0 running passed",
            "night t1 running passed",
        ],
    );
    // Stopping the process that listens there would stop this test.
    std::fs::remove_file(removable.home.socket()).unwrap();
    let asked = asked.lock().unwrap();
    assert!(
        asked.iter().all(|line| line.contains("/v1/ping")),
        "{asked:?}"
    );
}

/// Replies like a daemon of another protocol; returns its requests.
fn newer(listener: UnixListener) -> Arc<Mutex<Vec<String>>> {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let mut lines = lines.by_ref().map_while(Result::ok);
            let first = lines.next().unwrap_or_default();
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            seen.lock().unwrap().push(first);
            let answer = "HTTP/1.1 200 OK\r\ndocks-protocol: 9999\r\ndocks-version: 9.9.9\r\n\
                          connection: close\r\ncontent-length: 2\r\n\r\n{}";
            // The client may be gone.
            drop(stream.write_all(answer.as_bytes()));
        }
    });
    asked
}
