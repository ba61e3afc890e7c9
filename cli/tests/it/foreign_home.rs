//! A home, or a part of it, that `sudo docks` has left behind.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::sample_remote::{self, run_ids};
use crate::sealed::CommandResult;
use crate::test_home::TestHome;

/// A user who owns nothing here.
const NOBODY: u32 = 65_534;

/// Gives a directory and everything in it to a user.
fn give(path: &Path, user: u32) {
    let mut command = Command::new("chown");
    command.arg("-R").arg(format!("{user}:{user}")).arg(path);
    assert!(command.status().unwrap().success());
}

/// Runs a line as the other user; `None` if that user may not run what was built here.
fn run(home: &TestHome, line: &str, change: impl Fn(&mut Command)) -> Option<CommandResult> {
    let mut command = home.command(line);
    change(command.uid(NOBODY).gid(NOBODY));
    match command.output() {
        Ok(output) => Some(CommandResult::new(output)),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => None,
        Err(error) => panic!("{error}"),
    }
}

/// Returns whether a test with two users can run here; says so if not.
fn can_be_another_user(home: &TestHome, test: &str) -> bool {
    if !rustix::process::geteuid().is_root() {
        docksd_testkit::skip(test, "only root can act as two users");
        return false;
    }
    chown(home.path("."), Some(NOBODY), Some(NOBODY)).unwrap();
    if run(home, "--version", |_| {}).is_none() {
        docksd_testkit::skip(
            test,
            "another user may not run the programs that were built here",
        );
        return false;
    }
    true
}

#[test]
fn a_home_that_belongs_to_root_is_named_with_the_command_that_mends_it() {
    let remote = sample_remote::start();
    let home = TestHome::with_remote(&remote);
    let test = "foreign_home::a_home_that_belongs_to_root_is_named_with_the_command_that_mends_it";
    if !can_be_another_user(&home, test) {
        return;
    }
    let own = home.path("docks");
    let file = format!("{} belongs to root; `", own.display());
    let mend = format!("sudo chown -R {NOBODY}:{NOBODY} {}", own.display());
    let jobs = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/harbor-jobs");
    let named = |line: &str, command: &dyn Fn(&mut Command)| {
        let refused = run(&home, line, command).unwrap();
        assert!(matches!(refused.code, Some(1..=5)), "{line}: {refused:?}");
        for said in [&file, &mend] {
            assert_eq!(
                refused.stderr.matches(said.as_str()).count(),
                1,
                "{line}: {}",
                refused.stderr
            );
        }
    };
    for line in [
        "runs list",
        "--no-daemon runs list",
        "daemon start",
        "daemon restart",
        "daemon run",
        "auth status",
        "profile list",
        "config explain",
        "sync",
        &format!("--harbor {jobs} runs eval-list"),
    ] {
        named(line, &|_| {});
    }
    // Settings elsewhere do not help, where the daemon is needed.
    named(&format!("--harbor {jobs} runs eval-list"), &|command| {
        command.env("DOCKS_SOCKET", home.path("s/docksd.sock"));
    });
    // What is advised does mend it.
    let words: Vec<&str> = mend.split(' ').skip(1).collect();
    assert!(
        Command::new(words[0])
            .args(&words[1..])
            .status()
            .unwrap()
            .success()
    );
    let listed = run(&home, "runs list -n 0 -q", |_| {}).unwrap();
    assert_eq!(listed.expect_success(), run_ids());
    assert_eq!(run(&home, "daemon stop", |_| {}).unwrap().code, Some(0));
}

#[test]
fn a_part_of_the_home_that_belongs_to_root_is_named() {
    let remote = sample_remote::start();
    let home = TestHome::with_remote(&remote);
    let test = "foreign_home::a_part_of_the_home_that_belongs_to_root_is_named";
    if !can_be_another_user(&home, test) {
        return;
    }
    give(&home.path("docks"), NOBODY);
    let mend = format!(
        "`sudo chown -R {NOBODY}:{NOBODY} {}`",
        home.path("docks").display()
    );
    // What a command of root leaves in a home that was there already.
    drop(home.socket());
    let run_dir = home.path("docks/run");
    let lock = run_dir.join("docksd.start");
    fs::write(&lock, "").unwrap();
    fs::set_permissions(&lock, fs::Permissions::from_mode(0o600)).unwrap();
    for (roots, named) in [(&run_dir, &run_dir), (&lock, &lock)] {
        give(&run_dir, NOBODY);
        give(roots, 0);
        // Where the remote answers, too, and the daemon is only missing.
        let listed = run(&home, "runs list -n 0 -q", |_| {}).unwrap();
        let said = format!("note: {} belongs to root; {mend}", named.display());
        assert!(listed.stderr.starts_with(&said), "{}", listed.stderr);
        assert_eq!(listed.expect_success(), run_ids());
        let started = run(&home, "daemon start", |_| {}).unwrap();
        assert_ne!(started.code, Some(0));
        assert_eq!(
            started.stderr.matches(&mend).count(),
            1,
            "{}",
            started.stderr
        );
    }
    give(&home.path("docks"), NOBODY);
    // The daemon's own files.
    let file = home.path("docks/daemon.toml");
    fs::write(&file, "").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let started = run(&home, "daemon start", |_| {}).unwrap();
    assert_ne!(started.code, Some(0));
    let said = format!("{} belongs to root; {mend}", file.display());
    assert!(started.stderr.contains(&said), "{}", started.stderr);
    give(&file, NOBODY);
    assert_eq!(run(&home, "daemon start", |_| {}).unwrap().code, Some(0));
    assert_eq!(run(&home, "daemon stop", |_| {}).unwrap().code, Some(0));
}
