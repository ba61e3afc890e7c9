//! The pager of the user, which is used only at a terminal.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use crate::terminal::at_terminal;
use crate::test_home::{TestHome, eventually};
use crate::watch_terminal::{Terminal, command};

const JOB: &str = "2026-11-23__16-43-17";
const TRIAL: &str = "hello-file__PJUAFm8";
const LINES: usize = 20_000;

/// A home directory with a job, one of whose trials has a long log and nothing else.
fn home() -> TestHome {
    let home = TestHome::with_jobs();
    let trial = home.jobs().join(JOB).join(TRIAL);
    for folder in ["agent", "verifier"] {
        fs::remove_dir_all(trial.join(folder)).unwrap();
    }
    let lines: String = (1..=LINES)
        .map(|number| format!("line {number}\n"))
        .collect();
    fs::write(trial.join("trial.log"), lines).unwrap();
    eventually("the daemon answers", || {
        home.run_jobs("runs list").code == Some(0)
    });
    home
}

/// Writes a shell script that serves as the pager.
fn program(home: &TestHome, body: &str) -> PathBuf {
    let path = home.path("pager");
    fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    path
}

fn logs(home: &TestHome, pager: &str) -> Command {
    let mut command = home.command_jobs(&format!("runs logs {JOB} {TRIAL}"));
    command
        .env("PAGER", pager)
        .env("PATH", std::env::var_os("PATH").unwrap());
    command
}

#[test]
fn a_pager_is_used_at_a_terminal_with_its_arguments_and_not_in_a_pipe() {
    let home = home();
    let pager = program(&home, "echo paged with $1; exec tail -n 1");
    let pager = format!("{} --option", pager.display());
    let (code, screen) = at_terminal(logs(&home, &pager), 80, "");
    assert_eq!(
        (code, screen.as_str()),
        (Some(0), "paged with --option\nline 20000\n")
    );
    let piped = logs(&home, &pager).output().unwrap();
    let piped = String::from_utf8(piped.stdout).unwrap();
    assert!(piped.starts_with("line 1\nline 2\n"), "no pager");
    assert_eq!(piped.lines().count(), LINES);
}

#[test]
fn the_output_is_printed_without_a_pager_or_with_a_missing_one() {
    let home = home();
    for pager in ["", "cat", "/nonexistent/pager"] {
        let (code, screen) = at_terminal(logs(&home, pager), 80, "");
        assert_eq!(code, Some(0), "{pager:?}");
        assert_eq!(screen.lines().count(), LINES, "{pager:?}");
    }
}

#[test]
fn quitting_the_pager_early_is_not_an_error() {
    let home = home();
    let pager = program(&home, "exec head -n 2");
    let (code, screen) = at_terminal(logs(&home, pager.to_str().unwrap()), 80, "");
    assert_eq!((code, screen.as_str()), (Some(0), "line 1\nline 2\n"));
}

#[test]
fn the_pager_does_not_get_the_token() {
    let home = home();
    let pager = program(&home, "env; exec cat >/dev/null");
    let mut command = logs(&home, pager.to_str().unwrap());
    command.env("DOCKS_TOKEN", "canary-token");
    let (code, screen) = at_terminal(command, 80, "");
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains("PAGER="), "{screen}");
    assert!(!screen.contains("canary-token"), "{screen}");
}

#[test]
fn less_shows_the_first_screen_and_gives_the_terminal_back() {
    let home = home();
    let Some(terminal) = Terminal::open(
        "pager::less_shows_the_first_screen_and_gives_the_terminal_back",
        &home,
        80,
        24,
    ) else {
        return;
    };
    if Command::new("less").arg("--version").output().is_err() {
        docksd_testkit::skip(
            "pager::less_shows_the_first_screen_and_gives_the_terminal_back",
            "less is not installed",
        );
        return;
    }
    let jobs = home.jobs();
    let line = format!("--harbor {} runs logs {JOB} {TRIAL}", jobs.display());
    terminal.type_line(&format!("unset PAGER LESS; {}", command(&home, &line)));
    terminal.shows("the first screen", |screen| {
        screen.iter().any(|line| line == "line 1") && screen.last().is_some_and(|l| l == ":")
    });
    terminal.keys(&["G"]);
    terminal.shows("the end", |screen| {
        screen.iter().any(|line| line == "line 20000")
    });
    terminal.keys(&["q"]);
    terminal.shows("the shell is back", |screen| {
        screen.iter().any(|l| l == "code 0")
    });
}
