//! The daemon's process: what it keeps of the command that started it, and what it does not.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use crate::sample_remote::{self, run_ids};
use crate::sealed::CommandResult;
use crate::test_home::{TestHome, docksd, eventually};

/// Runs a line of shell in a session of its own, with `docks` as `$DOCKS`; the line must succeed.
fn shell(home: &TestHome, line: &str) -> CommandResult {
    let mut command = home.command("");
    let docks = command.get_program().to_owned();
    let variables: Vec<_> = command
        .get_envs()
        .map(|(name, value)| (name.to_owned(), value.unwrap_or_default().to_owned()))
        .collect();
    command = Command::new("setsid");
    command
        .args(["--wait", "/bin/sh", "-c", line])
        .env_clear()
        .envs(variables)
        .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
        .env("DOCKS", docks)
        .env("JOBS", home.jobs())
        .current_dir(home.path("."))
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .process_group(0);
    let mut child = command.spawn().unwrap();
    eventually("the line of shell ends", || {
        child.try_wait().unwrap().is_some()
    });
    CommandResult::new(child.wait_with_output().unwrap())
}

/// Returns process group and session of a process.
fn group_and_session(pid: u32) -> (u32, u32) {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = fields.split_whitespace().collect();
    (fields[2].parse().unwrap(), fields[3].parse().unwrap())
}

/// Returns what the descriptors of a process above 2 refer to.
fn descriptors(pid: u32) -> Vec<PathBuf> {
    fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .flatten()
        .filter(|entry| {
            let number = entry.file_name().to_str().unwrap().parse::<u32>();
            number.unwrap() > 2
        })
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .collect()
}

#[test]
fn the_daemon_has_a_session_of_its_own_and_survives_its_callers_group() {
    let home = TestHome::with_jobs();
    let line = "\"$DOCKS\" daemon start && ps -o sid= -p $$ && trap '' TERM && kill -s TERM -- -$$";
    let caller: u32 = shell(&home, line).expect_success().trim().parse().unwrap();
    let pid = home.pid();
    assert_eq!(group_and_session(pid), (pid, pid));
    assert_ne!(pid, caller);
}

#[test]
fn a_lock_or_pipe_of_the_caller_is_free_when_the_command_has_ended() {
    let remote = sample_remote::start();
    let home = TestHome::with_remote(&remote);
    // The daemon's program hangs before it can do anything about what it has inherited.
    let program = home.path("slow-docksd");
    let text = format!(
        "#!/bin/sh\nwhile ! [ -e \"$0.go\" ]; do sleep 0.05; done\nexec '{}' \"$@\"\n",
        docksd().display()
    );
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let line = format!(
        "export DOCKSD='{}'; ( flock -n lock \"$DOCKS\" runs list -n 0 -q ) 3>&1 9>other | cat",
        program.display()
    );
    assert_eq!(shell(&home, &line).expect_success(), run_ids());
    for name in ["lock", "other"] {
        let lock = File::options().write(true).open(home.path(name)).unwrap();
        assert!(lock.try_lock().is_ok(), "{name} is free");
    }
    fs::write(home.path("slow-docksd.go"), "").unwrap();
    eventually("it starts", || home.run("daemon status").code == Some(0));
}

#[test]
fn the_daemon_has_nothing_open_that_it_did_not_open_itself() {
    let home = TestHome::with_jobs();
    // Started by something that hands on everything, as a shell does.
    let line = format!(
        "exec 3>own 8>>other 9</dev/zero; exec '{}' --report",
        docksd().display()
    );
    assert!(
        shell(&home, &format!("{line} &"))
            .expect_success()
            .contains("\"ready\":true")
    );
    let open = descriptors(home.pid());
    for name in ["own", "other"] {
        assert!(!open.contains(&home.path(name)), "{open:?}");
    }
    assert!(!open.contains(&PathBuf::from("/dev/zero")), "{open:?}");
    assert!(
        open.contains(&home.path("docks/run/docksd.lock")),
        "{open:?}"
    );
}
