//! One watch through everything that can go wrong around it: no change twice, no end missed.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::real::{Real, docksd, eventually};
use crate::remote::Remote;
use crate::watch::{Night, Watch, changes};

/// Starts a watch of the night, and returns where its standard error goes.
fn watch(real: &Real, command: &mut Command) -> (Watch, PathBuf) {
    let errors = real.path("errors");
    command.stderr(File::create(&errors).unwrap());
    let mut watch = Watch::of(command);
    watch.until("running");
    (watch, errors)
}

fn said(errors: &PathBuf, what: &str) -> usize {
    let text = std::fs::read_to_string(errors).unwrap();
    text.lines().filter(|line| line.contains(what)).count()
}

/// Reads to the end; every change is there once.
fn ends_with(watch: Watch, wanted: &[&str]) {
    let (code, lines, _) = watch.end();
    assert_eq!(code, Some(0), "{lines:#?}");
    let mut said = changes(&lines);
    said.sort();
    assert_eq!(said, wanted);
}

#[test]
fn a_remote_that_is_gone_is_said_once_and_its_ends_are_told_when_it_is_back() {
    let (night, away) = (Night::new(2), Arc::new(AtomicBool::new(false)));
    let (told, gone) = (night.clone(), Arc::clone(&away));
    let remote = Remote::start(move |asked| match gone.load(Ordering::Relaxed) {
        true => (502, "<html>bad gateway</html>".to_owned()),
        false => told.answer(asked),
    });
    let real = Real::of(&remote);
    real.run("runs trials night").good();
    let (watch, errors) = watch(&real, &mut real.command("runs watch night --exit-status"));
    for _ in 0..2 {
        let before = said(&errors, "no updates since");
        away.store(true, Ordering::Relaxed);
        eventually("the watch says that it is blind", || {
            said(&errors, "no updates since") > before
        });
        if before == 1 {
            night.trial(1, "passed");
            night.run("completed");
        } else {
            night.trial(0, "passed");
        }
        away.store(false, Ordering::Relaxed);
        eventually("it says that it sees", || {
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
fn a_token_that_was_renewed_in_the_night_opens_its_eyes() {
    let night = Night::new(1);
    let remote = night.start();
    let real = Real::of(&remote);
    real.run("runs trials night").good();
    let (watch, errors) = watch(&real, &mut real.command("runs watch night --exit-status"));
    remote.accept("canary-token-2");
    eventually("the watch says why it is blind", || {
        said(&errors, "no updates since") == 1
    });
    night.trial(0, "passed");
    night.run("completed");
    let mut login = real
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

/// A home whose `docksd` can be taken away, and a watch that would start that one.
struct Removable {
    real: Real,
    program: PathBuf,
}

impl Removable {
    fn new(remote: &Remote) -> Self {
        let real = Real::of(remote);
        let program = real.path("bin/docksd");
        std::fs::create_dir(real.path("bin")).unwrap();
        symlink(docksd(), &program).unwrap();
        real.run("runs trials night").good();
        Self { real, program }
    }

    fn watch(&self) -> (Watch, PathBuf) {
        let mut command = self.real.command("runs watch night --exit-status");
        watch(&self.real, command.env("DOCKSD", &self.program))
    }
}

#[test]
fn a_watch_polls_the_remote_while_there_is_no_daemon_and_goes_back_to_the_next_one() {
    let night = Night::new(3);
    let remote = night.start();
    let home = Removable::new(&remote);
    let (mut watch, errors) = home.watch();
    night.trial(0, "passed");
    watch.until("\tt0\t");
    std::fs::remove_file(&home.program).unwrap();
    home.real.stop();
    night.trial(1, "passed");
    watch.until("\tt1\t");
    assert!(home.real.daemons().is_empty(), "the remote told it");
    symlink(docksd(), &home.program).unwrap();
    eventually("the watch has started the next daemon", || {
        !home.real.daemons().is_empty()
    });
    night.trial(2, "passed");
    watch.until("\tt2\t");
    night.run("completed");
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
    let night = Night::new(2);
    let remote = night.start();
    let home = Removable::new(&remote);
    let (mut watch, _) = home.watch();
    std::fs::remove_file(&home.program).unwrap();
    home.real.stop();
    let asked = newer(UnixListener::bind(home.real.socket()).unwrap());
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
    // Whoever ends what listens there would end this test.
    std::fs::remove_file(home.real.socket()).unwrap();
    let asked = asked.lock().unwrap();
    assert!(
        asked.iter().all(|line| line.contains("/v1/status")),
        "{asked:?}"
    );
}

/// Answers like a daemon of another protocol; returns what it was asked.
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
            // Whoever asked may be gone.
            drop(stream.write_all(answer.as_bytes()));
        }
    });
    asked
}
