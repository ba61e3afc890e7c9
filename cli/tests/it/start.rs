//! Starting daemons: many at once, over dead, silent and foreign ones, and not at all.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::Duration;

use crate::made_up::{self, run_ids};
use crate::real::{Real, all, docksd, eventually, signal};
use crate::remote::Remote;

/// Commands that begin at once.
const AT_ONCE: usize = 50;

/// How often; by variable more, for nights.
fn rounds() -> usize {
    let asked = std::env::var("DOCKS_START_ROUNDS");
    asked.map_or(3, |text| text.parse().unwrap())
}

#[test]
fn fifty_commands_at_once_give_fifty_right_answers_and_one_daemon() {
    let remote = made_up::start();
    for round in 0..rounds() {
        let real = Real::of(&remote);
        let children = (0..AT_ONCE).map(|_| real.command("runs list -n 0 -q").spawn().unwrap());
        for ended in all(children.collect()) {
            // On a machine that is busy with fifty, the one may keep somebody waiting for 1 s.
            let passed_by = ended
                .stderr
                .ends_with("does not answer; asking the remote itself\n");
            assert!(
                ended.stderr.is_empty() || passed_by,
                "round {round}: {}",
                ended.stderr
            );
            assert_eq!(ended.good(), run_ids(), "round {round}");
        }
        eventually("one docksd is left", || real.daemons().len() == 1);
        eventually("it answers", || real.run("daemon status").code == Some(0));
        assert_eq!(real.daemons(), [real.pid()], "round {round}");
        real.stop();
    }
}

#[test]
fn fifty_commands_at_once_on_a_jobs_directory_wait_for_one_daemon() {
    for round in 0..rounds() {
        let real = Real::with_jobs();
        let line = "runs eval-list --columns name";
        let children = (0..AT_ONCE).map(|_| real.command_jobs(line).spawn().unwrap());
        for ended in all(children.collect()) {
            assert_eq!(ended.stderr, "", "round {round}");
            assert_eq!(
                ended.good(),
                "killed-midway\ninterrupted-midway\nnightly-mixed\n2026-11-23__16-43-17\n",
                "round {round}"
            );
        }
        eventually("one docksd is left", || real.daemons().len() == 1);
        assert_eq!(real.daemons(), [real.pid()], "round {round}");
        real.stop();
    }
}

#[test]
fn a_daemon_that_hangs_is_passed_by_with_a_word() {
    let remote = made_up::start();
    let real = Real::of(&remote);
    real.run("daemon start").good();
    let pid = real.pid();
    signal(pid, "STOP");
    let ended = real.run("runs list -n 0 -q");
    assert_eq!(
        ended.stderr,
        format!("note: docksd (pid {pid}) does not answer; asking the remote itself\n")
    );
    assert_eq!(ended.good(), run_ids());
    assert_eq!(real.daemons(), [pid], "no second one beside it");
    signal(pid, "CONT");
    eventually("it answers again", || {
        real.run("runs list -n 0 -q").stderr.is_empty()
    });
    signal(pid, "STOP");
    let stopped = real.run("daemon stop");
    assert!(
        stopped.stderr.contains("ended by a signal"),
        "{}",
        stopped.stderr
    );
    stopped.good();
    // A killed process is listed until it is reaped.
    eventually("it has ended", || real.daemons().is_empty());
}

#[test]
fn a_jobs_directory_behind_a_daemon_that_hangs_is_unreachable_with_the_way_out() {
    let real = Real::with_jobs();
    real.run("daemon start").good();
    let pid = real.pid();
    signal(pid, "STOP");
    let ended = real.run_jobs("runs eval-list");
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(5), ""));
    assert!(
        ended
            .stderr
            .contains(&format!("docksd (pid {pid}) does not answer")),
        "{}",
        ended.stderr
    );
    real.run("daemon restart").good();
    real.run_jobs("runs eval-list").good();
}

#[test]
fn the_socket_of_a_dead_daemon_keeps_nobody_waiting() {
    let remote = made_up::start();
    let real = Real::of(&remote);
    drop(UnixListener::bind(real.socket()).unwrap());
    let ended = real.run("runs list -n 0 -q");
    assert_eq!(ended.stderr, "");
    assert_eq!(ended.good(), run_ids());
    eventually("a daemon has taken its place", || {
        real.run("daemon status").code == Some(0)
    });
    // The same for one that was killed in the middle of its work.
    signal(real.pid(), "KILL");
    eventually("it is dead", || real.daemons().is_empty());
    assert!(real.socket().exists());
    assert_eq!(real.run("runs list -n 0 -q").good(), run_ids());
    eventually("the next one serves", || {
        real.run("daemon status").code == Some(0)
    });
}

/// A daemon of another protocol that ends when it is asked to.
fn foreign_daemon(socket: &Path) -> thread::JoinHandle<()> {
    let listener = UnixListener::bind(socket).unwrap();
    let socket = socket.to_owned();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head: Vec<String> = lines
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            let answer = "HTTP/1.1 200 OK\r\ndocks-protocol: 9999\r\ndocks-version: 9.9.9\r\n\
                          content-length: 2\r\nconnection: close\r\n\r\n{}";
            drop(stream.write_all(answer.as_bytes()));
            if head
                .first()
                .is_some_and(|line| line.starts_with("POST /v1/shutdown "))
            {
                fs::remove_file(&socket).unwrap();
                return;
            }
        }
    })
}

#[test]
fn a_daemon_of_another_protocol_is_replaced() {
    let remote = made_up::start();
    let real = Real::of(&remote);
    let foreign = foreign_daemon(&real.socket());
    assert_eq!(real.run("runs list -n 0 -q").good(), run_ids());
    foreign.join().unwrap();
    eventually("ours has taken its place", || {
        real.run("daemon status").code == Some(0)
    });
    assert_eq!(real.daemons(), [real.pid()]);

    let real = Real::with_jobs();
    let foreign = foreign_daemon(&real.socket());
    assert_eq!(real.run_jobs("runs eval-list -q").good().lines().count(), 4);
    foreign.join().unwrap();
}

#[test]
fn a_jobs_directory_without_a_daemon_says_why() {
    let real = Real::with_jobs();
    let script = |name: &str, mode: u32, text: &str| {
        let path = real.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let table = [
        ("/nonexistent/docksd".to_owned(), "/nonexistent/docksd"),
        ("docksd".to_owned(), "absolute path"),
        (script("plain", 0o600, "x"), "ermission denied"),
        (
            script("quiet", 0o700, "#!/bin/sh\nexit 3\n"),
            "ended without a word",
        ),
        (
            script(
                "sorry",
                0o700,
                "#!/bin/sh\necho '{\"ready\":false,\"reason\":\"the disk is full\"}'\nexit 1\n",
            ),
            "the disk is full",
        ),
    ];
    for (program, reason) in table {
        let output = real
            .command_jobs("runs eval-list")
            .env("DOCKSD", &program)
            .output();
        let output = output.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(5), "{program}: {said}");
        assert!(output.stdout.is_empty(), "{program}");
        assert!(
            said.starts_with("error: ") && said.contains(reason),
            "{program}: {said}"
        );
    }
    assert!(real.daemons().is_empty());
    // Nothing of that is left in the way of a good one.
    let output = real
        .command_jobs("runs eval-list -q")
        .env("DOCKSD", docksd())
        .output();
    assert!(output.unwrap().status.success());
}

#[test]
fn a_broken_daemon_does_not_keep_an_api_from_answering() {
    let remote = made_up::start();
    let real = Real::of(&remote);
    let mut command = real.command("runs list -n 0 -q");
    let output = command
        .env("DOCKSD", "/nonexistent/docksd")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), run_ids());
    assert!(
        said.starts_with("note: ") && said.contains("asking the remote itself"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "once: {said}");
}

#[test]
fn a_remote_that_is_slow_is_asked_once_and_the_daemon_is_not_called_silent() {
    // It answers when somebody asks a second time, or after more than a daemon may be silent.
    let (asked, again) = (Mutex::new(0), Condvar::new());
    let remote = Remote::start(move |line| match line {
        "GET /tenants/ten/runs/slow" => {
            let mut count = asked.lock().unwrap();
            *count += 1;
            again.notify_all();
            let slowness = Duration::from_millis(2_500);
            let waited = again.wait_timeout_while(count, slowness, |count| *count < 2);
            drop(waited.unwrap());
            (200, r#"{"id":"slow","status":"completed"}"#.to_owned())
        }
        list if list.contains("runs?") => (200, "[]".to_owned()),
        _ => (404, r#"{"detail":"Not found"}"#.to_owned()),
    });
    let real = Real::of(&remote);
    real.run("daemon start").good();
    real.run("sync").good();
    let ended = real.run("runs get slow");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let asked = remote.asked();
    let slow = asked.iter().filter(|line| line.ends_with("/runs/slow"));
    assert_eq!(slow.count(), 1, "{asked:?}");
    real.stop();
}

#[test]
fn a_restart_with_settings_that_make_no_sense_ends_nothing() {
    let real = Real::with_jobs();
    real.run_jobs("runs list").good();
    let pid = real.pid();
    let file = real.path("docks/daemon.toml");
    fs::write(&file, "[[on_end]]\nstauts = \"failed\"\n").unwrap();
    let refused = real.run("daemon restart");
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    for said in ["`stauts`", "nothing was stopped"] {
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
    assert_eq!(real.pid(), pid);
    fs::write(&file, "idle_exit = \"1h\"\n").unwrap();
    real.run("daemon restart").good();
    assert_ne!(real.pid(), pid);
}
