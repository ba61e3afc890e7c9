//! What people see at a terminal: widths, questions, colour.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::remote::Remote;
use crate::sealed::Sealed;
use crate::test_home::TestHome;

/// Runs a command at a terminal of `width` columns, with `typed` as input; returns its exit code and
/// the screen, including the input.
pub(crate) fn at_terminal(mut command: Command, width: u16, typed: &str) -> (Option<i32>, String) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let theirs = open(name, flags, Mode::empty()).unwrap();
    let size = Winsize {
        ws_row: 24,
        ws_col: width,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&theirs, size).unwrap();
    let mut ours = File::from(ours);
    ours.write_all(typed.as_bytes()).unwrap();
    let mut child = command
        .env("TERM", "xterm-256color")
        .stdin(theirs.try_clone().unwrap())
        .stdout(theirs.try_clone().unwrap())
        .stderr(theirs)
        .spawn()
        .unwrap();
    // The command also holds the other end, which closes when the command is dropped.
    drop(command);
    let mut screen = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match ours.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => screen.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // A terminal reports like this that its other end is closed.
            Err(_) => break,
        }
    }
    let screen = String::from_utf8(screen).unwrap().replace("\r\n", "\n");
    let code = child.wait().unwrap().code();
    // The sealed environment disables the daemon, and every command says so.
    let lines = screen.split_inclusive('\n');
    let rest: String = lines
        .filter(|line| !line.contains("DOCKS_NO_DAEMON"))
        .collect();
    (code, rest)
}

fn command(sealed: &Sealed, line: &str) -> Command {
    let mut command = sealed.command();
    command.args(line.split_whitespace());
    command
}

const RUN: &str = r#"{"id":"e-1","name":"nightly","status":"running"}"#;

/// A remote with one evaluation run.
fn remote() -> Remote {
    Remote::start(|request| match request {
        "GET /tenants/ten/harbor/runs/e-1" => (200, RUN.to_owned()),
        "POST /tenants/ten/harbor/runs/e-1/cancel" => (200, RUN.replace("running", "cancelled")),
        list if list.starts_with("GET /tenants/ten/harbor/runs?") => (200, format!("[{RUN}]")),
        _ => (404, r#"{"detail":"Not found"}"#.to_owned()),
    })
}

fn cancels(remote: &Remote) -> usize {
    let requests = remote.requests();
    requests
        .iter()
        .filter(|line| line.starts_with("POST"))
        .count()
}

#[test]
fn cancelling_asks_for_confirmation_and_names_the_run() {
    let remote = remote();
    let sealed = Sealed::new(&remote);
    for declined in ["n\n", "\n", "what?\n"] {
        let (code, screen) =
            at_terminal(command(&sealed, "runs eval-cancel nightly"), 80, declined);
        assert!(
            screen.contains("Cancel evaluation run e-1 (nightly, running)? [y/N]"),
            "{screen}"
        );
        assert!(screen.contains("nothing was done"), "{screen}");
        assert_eq!(code, Some(1), "{declined:?}: {screen}");
    }
    assert_eq!(cancels(&remote), 0, "nothing was done");
    let (code, screen) = at_terminal(command(&sealed, "runs eval-cancel nightly"), 80, "y\n");
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains("e-1: "), "{screen}");
    assert!(screen.contains("cancelled"), "{screen}");
    assert_eq!(cancels(&remote), 1);
}

#[test]
fn force_skips_the_confirmation() {
    let remote = remote();
    let sealed = Sealed::new(&remote);
    let (code, screen) = at_terminal(command(&sealed, "runs eval-cancel e-1 -f"), 80, "");
    assert_eq!(code, Some(0), "{screen}");
    assert!(!screen.contains("[y/N]"), "{screen}");
}

#[test]
fn a_table_fits_the_terminal_and_is_coloured_only_there() {
    let remote = remote();
    let sealed = Sealed::new(&remote);
    for width in [20, 40, 80, 200] {
        let mut command = command(&sealed, "runs eval-list");
        command.env("NO_COLOR", "1");
        let (code, screen) = at_terminal(command, width, "");
        assert_eq!(code, Some(0), "{screen}");
        assert!(screen.starts_with("ID "), "a heading, at {width}: {screen}");
        assert!(!screen.contains('\u{1b}'), "NO_COLOR: {screen:?}");
        for line in screen.lines().filter(|line| line.starts_with("e-1")) {
            assert!(line.len() <= usize::from(width), "{width}: {line}");
        }
    }
    let (_, screen) = at_terminal(command(&sealed, "runs eval-list"), 80, "");
    assert!(screen.contains("\u{1b}[34mrunning"), "{screen:?}");
    let piped = sealed.run("runs eval-list").expect_success();
    assert!(piped.starts_with("e-1\tnightly\trunning\t"), "{piped:?}");
}

#[test]
fn an_empty_list_prints_a_message_only_at_a_terminal() {
    let sealed = Sealed::new(&Remote::start(|_| (200, "[]".to_owned())));
    let (code, screen) = at_terminal(command(&sealed, "runs list"), 80, "");
    assert_eq!((code, screen.as_str()), (Some(0), "no runs found\n"));
    assert_eq!(sealed.run("runs list").expect_success(), "");
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a thread of the remote is slow, and no runtime waits for it"
)]
fn a_slow_remote_is_named_while_it_is_waited_for() {
    // Longer than the second after which a person wonders.
    let slow = Duration::from_millis(1_800);
    let remote = Remote::start(move |_| {
        std::thread::sleep(slow);
        (200, "[]".to_owned())
    });
    let waiting = format!("waiting for {}", remote.url());
    let sealed = Sealed::new(&remote);
    let home = TestHome::with_remote(&remote);
    home.run("daemon start").expect_success();
    let login = format!(
        "auth login --api-url {} --tenant ten --token-stdin",
        remote.url()
    );
    for (command, typed) in [
        (command(&sealed, "runs list --fresh"), ""),
        (home.command("runs list --fresh"), ""),
        (command(&sealed, &login), "canary-token\n\u{4}"),
    ] {
        let line = format!("{command:?}");
        let (code, screen) = at_terminal(command, 200, typed);
        assert_eq!(code, Some(0), "{line}: {screen}");
        assert!(screen.contains(&waiting), "{line}: {screen}");
    }
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a thread of the remote is slow, and no runtime waits for it"
)]
fn trials_that_are_asked_for_run_by_run_show_how_far_that_is() {
    let slow = Arc::new(AtomicBool::new(false));
    let is_slow = Arc::clone(&slow);
    let remote = Remote::start(move |asked| {
        let run = |n: usize| {
            format!(
                r#"{{"id":"e-{n}","status":"completed","created_at":"2026-01-01T00:00:{n:02}Z"}}"#
            )
        };
        if asked.contains("/trials") {
            if is_slow.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(600));
            }
            return (200, r#"[{"id":"t-1","status":"success"}]"#.to_owned());
        }
        if asked.contains("/harbor/runs") {
            let runs: Vec<_> = (10..40).rev().map(run).collect();
            return (200, format!("[{}]", runs.join(",")));
        }
        (200, "[]".to_owned())
    });
    let home = TestHome::with_remote(&remote);
    home.run("sync --full").expect_success();
    slow.store(true, Ordering::SeqCst);
    let line = "runs trials --all-runs --fresh -n 0 -q";
    let (code, screen) = at_terminal(home.command(line), 200, "");
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains("trials of e-"), "{screen}");
    assert!(screen.contains(" left)"), "{screen}");
    let rows = screen.lines().filter(|line| line.ends_with("\tt-1"));
    assert_eq!(rows.count(), 30, "{screen}");
}

#[test]
fn every_subcommand_prints_the_version_of_docks() {
    let sealed = Sealed::new(&Remote::start(|_| (200, "[]".to_owned())));
    let version = concat!("docks ", env!("CARGO_PKG_VERSION"), "\n");
    for line in ["-V", "runs list -V", "daemon status --version"] {
        assert_eq!(sealed.run(line).expect_success(), version, "{line}");
    }
}
