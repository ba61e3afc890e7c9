//! Builds of one release: a program that was replaced, two installations, and a script in front.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sealed::CommandResult;
use crate::test_home::{TestHome, copy_program, docksd, eventually};

/// Installs docksd in a directory of the home, as a package does: beside, then by a rename.
fn install(home: &TestHome, dir: &str) -> PathBuf {
    let dir = home.path(dir);
    fs::create_dir_all(&dir).unwrap();
    let (draft, program) = (dir.join("new"), dir.join("docksd"));
    copy_program(&docksd(), &draft);
    fs::rename(draft, &program).unwrap();
    program
}

fn run(home: &TestHome, program: &Path, line: &str) -> CommandResult {
    let mut command: Command = home.command_jobs(line);
    command.env("DOCKSD", program);
    CommandResult::new(command.output().unwrap())
}

/// Runs a list, and returns the daemon's process afterwards.
fn daemon_after_list(home: &TestHome, program: &Path) -> u64 {
    let listed = run(home, program, "runs eval-list -q");
    assert_eq!(listed.stderr, "");
    assert_eq!(listed.expect_success().lines().count(), 4);
    status(home, program)["pid"].as_u64().unwrap()
}

fn status(home: &TestHome, program: &Path) -> serde_json::Value {
    let text = run(home, program, "daemon status --format json").expect_success();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_daemon_whose_program_was_replaced_is_replaced_by_the_next_command() {
    let home = TestHome::with_jobs();
    let program = install(&home, "bin");
    let first = daemon_after_list(&home, &program);
    assert_eq!(daemon_after_list(&home, &program), first);
    // Neither another mode nor another link is another program.
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    fs::hard_link(&program, home.path("link")).unwrap();
    assert_eq!(daemon_after_list(&home, &program), first);

    install(&home, "bin");
    let shown = status(&home, &program);
    assert_eq!(shown["pid"], first, "looking at it changes nothing");
    let second = daemon_after_list(&home, &program);
    assert_ne!(second, first);
    assert_eq!(daemon_after_list(&home, &program), second);
    eventually("one is left", || {
        home.daemons() == [u32::try_from(second).unwrap()]
    });

    // The same for a command that needs the daemon itself, and for one that starts it.
    install(&home, "bin");
    run(&home, &program, "runs history killed-midway").expect_success();
    let third = status(&home, &program)["pid"].as_u64().unwrap();
    assert_ne!(third, second);
    install(&home, "bin");
    run(&home, &program, "daemon start").expect_success();
    assert_ne!(status(&home, &program)["pid"], third);
}

#[test]
fn of_two_installations_the_later_one_provides_the_daemon_for_both() {
    let home = TestHome::with_jobs();
    let (earlier, later) = (install(&home, "earlier"), install(&home, "later"));
    let first = daemon_after_list(&home, &earlier);
    let second = daemon_after_list(&home, &later);
    assert_ne!(second, first);
    for _ in 0..2 {
        for program in [&earlier, &later] {
            assert_eq!(daemon_after_list(&home, program), second);
        }
    }
    let shown = status(&home, &earlier);
    assert_eq!(shown["program"], later.to_str().unwrap());
    // The other one runs on request.
    run(&home, &earlier, "daemon restart").expect_success();
    assert_eq!(
        status(&home, &earlier)["program"],
        earlier.to_str().unwrap()
    );
}

#[test]
fn a_script_that_runs_docksd_is_no_other_build_than_docksd() {
    let home = TestHome::with_jobs();
    let script = home.path("docksd");
    let text = format!("#!/bin/sh\nexec '{}' \"$@\"\n", docksd().display());
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    let first = daemon_after_list(&home, &script);
    assert_eq!(daemon_after_list(&home, &script), first);
}
