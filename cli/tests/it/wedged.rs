//! A daemon that hangs, dies or talks nonsense costs some seconds, and never the answer.

#![expect(
    clippy::disallowed_methods,
    reason = "a test kills at random moments, and no runtime waits for it"
)]

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::sample_remote::{self, run_id, run_ids};
use crate::sealed::CommandResult;
use crate::test_home::{TestHome, signal};

/// Something that listens on the socket and is no help.
#[derive(Debug, Clone, Copy)]
enum Wedged {
    /// Accepts nothing.
    Deaf,
    /// Accepts, and reads nothing.
    Mute,
    /// Reads the request, and closes the connection.
    Hangup,
    /// Sends the head of a response, and half of its body.
    Half,
    /// Sends what is not HTTP.
    Nonsense,
}

/// Serves the socket badly until the test's process ends.
fn listen(home: &TestHome, how: Wedged) {
    let path = home.socket();
    let listener = UnixListener::bind(&path).unwrap();
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&path, mode).unwrap();
    thread::spawn(move || {
        let mut kept = Vec::new();
        if let Wedged::Deaf = how {
            loop {
                thread::park();
            }
        }
        while let Ok((stream, _)) = listener.accept() {
            if let Wedged::Mute = how {
                kept.push(stream);
                continue;
            }
            kept.extend(answer_badly(stream, how));
        }
    });
}

fn answer_badly(mut stream: UnixStream, how: Wedged) -> Option<UnixStream> {
    let mut request = [0; 4_096];
    let read = stream.read(&mut request).ok()?;
    let is_ping = request[..read].starts_with(b"GET /v1/ping");
    let answer: &[u8] = match how {
        Wedged::Deaf | Wedged::Mute | Wedged::Hangup => return None,
        Wedged::Half if is_ping => return None,
        Wedged::Half => b"HTTP/1.1 200 OK\r\ndocks-protocol: 1\r\ncontent-length: 900\r\n\r\n[{",
        Wedged::Nonsense => b"220 mail.example ESMTP\r\n",
    };
    stream.write_all(answer).ok()?;
    Some(stream)
}

/// Reads, and what the answer must contain.
fn reads() -> Vec<(String, String)> {
    let run = run_id(7);
    let mut reads = Vec::new();
    for age in ["", " --fresh", " --max-age 1s"] {
        reads.push((format!("runs list -q -n 0{age}"), run_ids()));
        reads.push((format!("runs get {run}{age}"), run.clone()));
        reads.push((format!("runs trials {run}{age}"), "trial-1".to_owned()));
    }
    reads
}

fn timed(home: &TestHome, line: &str) -> (CommandResult, Duration) {
    let start = Instant::now();
    let result = home.run(line);
    (result, start.elapsed())
}

#[test]
fn fifty_reads_beside_a_wedged_daemon_are_all_answered() {
    let remote = sample_remote::start();
    let check = |home: &TestHome, how: &str| -> Vec<String> {
        let check = |(line, expected): (String, String)| {
            let (answer, took) = timed(home, &line);
            assert_eq!(answer.code, Some(0), "{how}, {line}: {}", answer.stderr);
            let shown = answer.stdout;
            assert!(shown.contains(&expected), "{how}, {line}: {shown}");
            format!("{how:<9} {:>5} ms  {line}", took.as_millis())
        };
        reads().into_iter().map(check).collect()
    };
    let beside = |how: Wedged| {
        let home = TestHome::with_remote(&remote);
        listen(&home, how);
        let log = check(&home, &format!("{how:?}"));
        // No daemon is there to be stopped.
        std::fs::remove_file(home.socket()).unwrap();
        log
    };
    let stopped = || {
        let home = TestHome::with_remote(&remote);
        home.run("sync").expect_success();
        let pid = home.pid();
        signal(pid, "STOP");
        let log = check(&home, "stopped");
        signal(pid, "CONT");
        log
    };
    let beside = &beside;
    let log: Vec<String> = thread::scope(|scope| {
        let mut threads: Vec<_> = [
            Wedged::Deaf,
            Wedged::Mute,
            Wedged::Hangup,
            Wedged::Half,
            Wedged::Nonsense,
        ]
        .into_iter()
        .map(|how| scope.spawn(move || beside(how)))
        .collect();
        threads.push(scope.spawn(stopped));
        let logs = threads.into_iter().map(|thread| thread.join().unwrap());
        logs.flatten().collect()
    });
    // Shown with `--nocapture`: the times are figures, and no reason to fail.
    println!("{}\n{} cases", log.join("\n"), log.len());
    assert!(log.len() >= 50);
}

#[test]
fn a_daemon_that_dies_in_the_middle_of_an_answer_is_asked_again() {
    let home = TestHome::with_jobs();
    let expected = home.run_jobs("runs list -q -n 0").expect_success();
    let mut rng = fastrand::Rng::with_seed(11);
    for _ in 0..25 {
        let command = home.command_jobs("runs list -q -n 0").spawn().unwrap();
        thread::sleep(Duration::from_micros(rng.u64(..40_000)));
        home.daemons().iter().for_each(|pid| signal(*pid, "KILL"));
        let listed = CommandResult::new(command.wait_with_output().unwrap());
        assert_eq!(listed.code, Some(0), "{}", listed.stderr);
        assert_eq!(listed.stdout, expected, "{}", listed.stderr);
    }
}
