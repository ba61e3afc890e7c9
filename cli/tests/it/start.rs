//! Starting daemons: dead, silent and foreign daemons, and none at all.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, ChildStderr};
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::remote::Remote;
use crate::sample_remote::{self, run_ids};
use crate::sealed::CommandResult;
use crate::test_home::{TestHome, docksd, eventually, signal, wait_for_all};
use crate::watch_terminal::{Terminal, command};

#[test]
fn the_remote_is_asked_instead_of_a_daemon_that_hangs_with_a_note() {
    let remote = sample_remote::start();
    let home = TestHome::with_remote(&remote);
    home.run("daemon start").expect_success();
    let pid = home.pid();
    signal(pid, "STOP");
    let ended = home.run("runs list -n 0 -q");
    assert_eq!(
        ended.stderr,
        format!("note: docksd (pid {pid}) does not answer; asking the remote directly\n")
    );
    assert_eq!(ended.expect_success(), run_ids());
    assert_eq!(home.daemons(), [pid], "no second one beside it");
    signal(pid, "CONT");
    eventually("it answers again", || {
        home.run("runs list -n 0 -q").stderr.is_empty()
    });
    signal(pid, "STOP");
    let stopped = home.run("daemon stop");
    assert!(
        stopped.stderr.contains("stopped by a signal"),
        "{}",
        stopped.stderr
    );
    stopped.expect_success();
    // A killed process is listed until it is reaped.
    eventually("it has ended", || home.daemons().is_empty());
}

/// A command about the jobs directory that waits for the daemon.
struct WaitingCommand {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

impl WaitingCommand {
    /// Starts it, and returns once it says that it waits for process `pid`.
    fn start(home: &TestHome, pid: u32) -> Self {
        let mut child = home.command_jobs("-v runs eval-list -q").spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        let notice =
            format!("waiting for docksd (pid {pid}) …; if it hangs, run `docks daemon restart`\n");
        assert_eq!(line, notice);
        Self { child, stderr }
    }

    /// Waits for its end; returns the exit code, stdout and the rest of stderr.
    fn end(mut self) -> CommandResult {
        eventually("the command ends", || {
            self.child.try_wait().unwrap().is_some()
        });
        let mut output = self.child.wait_with_output().unwrap();
        self.stderr.read_to_end(&mut output.stderr).unwrap();
        CommandResult::new(output)
    }
}

#[test]
fn a_jobs_directory_waits_for_a_daemon_that_does_not_answer() {
    let home = TestHome::with_jobs();
    home.run("daemon start").expect_success();
    let pid = home.pid();
    signal(pid, "STOP");
    let stopped_at = Instant::now();
    let in_pipe = home.command_jobs("runs eval-list -q").spawn().unwrap();
    let waiting = WaitingCommand::start(&home, pid);
    eventually("five seconds have passed", || {
        stopped_at.elapsed() >= Duration::from_secs(5)
    });
    signal(pid, "CONT");
    assert_eq!(waiting.end().expect_success().lines().count(), 4);
    for ended in wait_for_all(vec![in_pipe]) {
        assert_eq!(ended.stderr, "");
        assert_eq!(ended.expect_success().lines().count(), 4);
    }
    assert_eq!(home.daemons(), [pid], "no second one was started");
}

#[test]
fn a_daemon_that_dies_while_it_is_waited_for_is_started_again_with_a_note() {
    let home = TestHome::with_jobs();
    home.run("daemon start").expect_success();
    let pid = home.pid();
    signal(pid, "STOP");
    let waiting = WaitingCommand::start(&home, pid);
    signal(pid, "KILL");
    let ended = waiting.end();
    let note = "note: docksd exited before it answered; starting it again\n";
    assert!(ended.stderr.starts_with(note), "{}", ended.stderr);
    assert_eq!(ended.expect_success().lines().count(), 4);
    eventually("the next one is left", || home.daemons() == [home.pid()]);
}

#[test]
fn a_daemon_that_hangs_can_be_left_with_ctrl_c_and_replaced() {
    let home = TestHome::with_jobs();
    home.run("daemon start").expect_success();
    let pid = home.pid();
    signal(pid, "STOP");
    let left = WaitingCommand::start(&home, pid);
    let waiting = WaitingCommand::start(&home, pid);
    signal(left.child.id(), "INT");
    let left = left.end();
    assert_eq!(
        (left.code, left.stderr.as_str()),
        (Some(130), "error: interrupted\n")
    );
    home.run("daemon restart").expect_success();
    assert_eq!(waiting.end().expect_success().lines().count(), 4);
    eventually("the hanging one has gone", || {
        home.daemons() == [home.pid()]
    });
    assert_ne!(home.pid(), pid);
}

#[test]
fn a_terminal_shows_what_a_command_waits_for_and_only_meanwhile() {
    let home = TestHome::with_jobs();
    home.run("daemon start").expect_success();
    let Some(terminal) = Terminal::open(
        "start::a_terminal_shows_what_a_command_waits_for_and_only_meanwhile",
        &home,
        100,
        24,
    ) else {
        return;
    };
    let pid = home.pid();
    signal(pid, "STOP");
    let line = format!("--harbor {} runs eval-list -q", home.jobs().display());
    terminal.type_line(&command(&home, &line));
    let notice =
        format!("waiting for docksd (pid {pid}) …; if it hangs, run `docks daemon restart`");
    terminal.shows("the notice", |s| s.iter().any(|l| l.ends_with(&notice)));
    signal(pid, "CONT");
    let screen = terminal.shows("the answer", |s| s.iter().any(|l| l == "code 0"));
    assert!(
        !screen.iter().any(|l| l.contains("waiting for")),
        "{screen:#?}"
    );
}

#[test]
fn the_socket_of_a_dead_daemon_delays_no_command() {
    let remote = sample_remote::start();
    let home = TestHome::with_remote(&remote);
    drop(UnixListener::bind(home.socket()).unwrap());
    let ended = home.run("runs list -n 0 -q");
    assert_eq!(ended.stderr, "");
    assert_eq!(ended.expect_success(), run_ids());
    eventually("a daemon has taken its place", || {
        home.run("daemon status").code == Some(0)
    });
    // The same for one that was killed in the middle of its work.
    signal(home.pid(), "KILL");
    eventually("it is dead", || home.daemons().is_empty());
    assert!(home.socket().exists());
    assert_eq!(home.run("runs list -n 0 -q").expect_success(), run_ids());
    eventually("the next one serves", || {
        home.run("daemon status").code == Some(0)
    });
}

/// A daemon of another protocol that exits on request.
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
    let remote = sample_remote::start();
    let home = TestHome::with_remote(&remote);
    let foreign = foreign_daemon(&home.socket());
    assert_eq!(home.run("runs list -n 0 -q").expect_success(), run_ids());
    foreign.join().unwrap();
    eventually("ours has taken its place", || {
        home.run("daemon status").code == Some(0)
    });
    assert_eq!(home.daemons(), [home.pid()]);

    let home = TestHome::with_jobs();
    let foreign = foreign_daemon(&home.socket());
    assert_eq!(
        home.run_jobs("runs eval-list -q")
            .expect_success()
            .lines()
            .count(),
        4
    );
    foreign.join().unwrap();
}

#[test]
fn a_jobs_directory_without_a_daemon_reports_the_reason() {
    let home = TestHome::with_jobs();
    let script = |name: &str, mode: u32, text: &str| {
        let path = home.path(name);
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
            "exited without reporting a reason",
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
        let output = home
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
    assert!(home.daemons().is_empty());
    // None of that prevents a working daemon from starting.
    let output = home
        .command_jobs("runs eval-list -q")
        .env("DOCKSD", docksd())
        .output();
    assert!(output.unwrap().status.success());
}

#[test]
fn a_broken_daemon_does_not_keep_an_api_from_answering() {
    let remote = sample_remote::start();
    let home = TestHome::with_remote(&remote);
    let mut command = home.command("runs list -n 0 -q");
    let output = command
        .env("DOCKSD", "/nonexistent/docksd")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), run_ids());
    assert!(
        said.starts_with("note: ") && said.contains("asking the remote directly"),
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
    let home = TestHome::with_remote(&remote);
    home.run("daemon start").expect_success();
    home.run("sync").expect_success();
    let ended = home.run("runs get slow");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let asked = remote.requests();
    let slow = asked.iter().filter(|line| line.ends_with("/runs/slow"));
    assert_eq!(slow.count(), 1, "{asked:?}");
    home.stop();
}

#[test]
fn a_restart_with_invalid_settings_stops_nothing() {
    let home = TestHome::with_jobs();
    home.run_jobs("runs list").expect_success();
    let pid = home.pid();
    let file = home.path("docks/daemon.toml");
    fs::write(&file, "[[on_end]]\nstauts = \"failed\"\n").unwrap();
    let refused = home.run("daemon restart");
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    for said in ["`stauts`", "nothing was stopped"] {
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
    assert_eq!(home.pid(), pid);
    fs::write(&file, "idle_exit = \"1h\"\n").unwrap();
    home.run("daemon restart").expect_success();
    assert_ne!(home.pid(), pid);
}
