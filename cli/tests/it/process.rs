//! The daemon's process: what it keeps of the command that started it, and what it does not.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::sample_remote::{self, run_ids};
use crate::sealed::{CommandResult, EnvironmentOf};
use crate::test_home::{TestHome, docksd, eventually, signal};
use crate::watch::FakeRun;

/// Runs a line of shell in a session of its own, with `docks` as `$DOCKS`, and waits for its end.
fn shell(home: &TestHome, line: &str) -> CommandResult {
    let docks = home.command("");
    let mut command = Command::new("setsid");
    command
        .args(["--wait", "/bin/sh", "-c", line])
        .environment_of(&docks)
        .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
        .env("DOCKS", docks.get_program())
        .env("JOBS", home.jobs())
        .current_dir(home.path("."))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
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
    let line = "\"$DOCKS\" daemon start && cut -d ' ' -f 6 /proc/$$/stat && trap '' TERM && kill -s TERM -- -$$";
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
        "#!/bin/sh\nwhile ! [ -e \"$0.go\" ]; do [ -e \"$0\" ] || exit 1; sleep 0.05; done\nexec '{}' \"$@\"\n",
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

/// Returns what takes from a command of root the rights that other users do not have; `None` if
/// that cannot be done here, and the test is skipped.
fn unprivileged(home: &TestHome, test: &str) -> Option<&'static str> {
    const PREFIX: &str =
        "setpriv --bounding-set=-sys_nice,-sys_resource --inh-caps=-sys_nice,-sys_resource";
    if !rustix::process::geteuid().is_root() {
        return Some("");
    }
    if shell(home, &format!("{PREFIX} true")).code == Some(0) {
        return Some(PREFIX);
    }
    docksd_testkit::skip(test, "setpriv cannot take the rights of root here");
    None
}

/// Returns the nice level of a process.
fn nice_level(pid: u32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().nth(16).unwrap().parse().unwrap()
}

/// Returns soft and hard limit of a process.
fn limits(pid: u32, name: &str) -> (String, String) {
    let text = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let mut values = line.unwrap().split_whitespace().map(str::to_owned);
    (values.next().unwrap(), values.next().unwrap())
}

#[test]
fn the_daemon_returns_to_the_normal_nice_level_or_says_that_it_may_not() {
    let home = TestHome::with_jobs();
    let test = "process::the_daemon_returns_to_the_normal_nice_level_or_says_that_it_may_not";
    let Some(unprivileged) = unprivileged(&home, test) else {
        return;
    };
    let line = format!("nice -n 19 {} \"$DOCKS\" daemon start", unprivileged);
    shell(&home, &line).expect_success();
    assert_eq!(nice_level(home.pid()), 19);
    assert_eq!(home.status()["nice"], 19);
    let shown = home.run("daemon status").expect_success();
    assert!(
        shown.contains("nice\t19, which docksd was not allowed to change\n"),
        "{shown}"
    );
    home.stop();

    let may = shell(&home, "nice -n 19 renice -n 0 -p 0");
    if may.code != Some(0) {
        docksd_testkit::skip(test, "this user may not lower a nice level");
        return;
    }
    shell(&home, "nice -n 19 \"$DOCKS\" daemon start").expect_success();
    assert_eq!(nice_level(home.pid()), 0);
    assert_eq!(home.status().get("nice"), None);
}

#[test]
fn the_limits_of_the_first_command_do_not_stop_the_daemon() {
    let home = TestHome::with_jobs();
    let test = "process::the_limits_of_the_first_command_do_not_stop_the_daemon";
    let Some(unprivileged) = unprivileged(&home, test) else {
        return;
    };
    let line = format!(
        "ulimit -S -f 16; ulimit -S -v 4000000; ulimit -S -d 4000000; ulimit -S -t 5; \
         exec {} \"$DOCKS\" --harbor \"$JOBS\" runs eval-list -q",
        unprivileged
    );
    assert_eq!(shell(&home, &line).expect_success().lines().count(), 4);
    let pid = home.pid();
    for name in [
        "Max cpu time",
        "Max file size",
        "Max data size",
        "Max address space",
    ] {
        let (soft, hard) = limits(pid, name);
        assert_eq!(soft, hard, "{name}");
    }
    assert_eq!(limits(pid, "Max stack size").0, "8388608");
    let mirror = home.status()["remotes"][0]["database_bytes"].as_u64();
    assert!(
        mirror.unwrap() > 16 * 1024,
        "more than was allowed to the command"
    );
}

#[test]
fn a_limit_that_cannot_be_raised_is_named_and_a_write_beyond_it_fails() {
    let home = TestHome::with_jobs();
    let test = "process::a_limit_that_cannot_be_raised_is_named_and_a_write_beyond_it_fails";
    let Some(unprivileged) = unprivileged(&home, test) else {
        return;
    };
    // Too small for a mirror. The unit is half a kibibyte.
    let line = format!(
        "ulimit -f 200; exec {} \"$DOCKS\" daemon start",
        unprivileged
    );
    shell(&home, &line).expect_success();
    let pid = home.pid();
    let status = home.status();
    let named = status["limits"].as_array().unwrap();
    let file_size = named.iter().find(|limit| limit["name"] == "file_size");
    assert_eq!(file_size.unwrap()["maximum"], 102_400, "{named:?}");
    let shown = home.run("daemon status").expect_success();
    let row = "limit\tsize of a file: 100 KiB, which docksd was not allowed to raise\n";
    assert!(shown.contains(row), "{shown}");
    let failed = home.run_jobs("runs eval-list");
    assert_eq!(failed.code, Some(1), "{}", failed.stderr);
    assert!(
        failed.stderr.contains("could not open the mirror")
            || failed.stderr.contains("Could not open the mirror"),
        "{}",
        failed.stderr
    );
    assert_eq!(home.pid(), pid, "it goes on");
}

#[test]
fn the_command_of_a_rule_has_nothing_of_the_daemon_but_its_environment() {
    let night = FakeRun::new(1);
    let remote = night.start();
    let home = TestHome::with_remote(&remote);
    let script = home.path("hook");
    let text = format!(
        "#!/bin/sh\ncd '{}'\n{{ umask; cut -d ' ' -f 19 /proc/$$/stat; }} >state\n\
         ls -l /proc/$$/fd | sed -n 's/.*-> //p' >files\nenv >variables\nmv variables done\n",
        home.path(".").display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    let rules = format!(
        "log_level = \"info,docksd::ends=debug\"\n\
         [[on_end]]\nexec = [\"{}\"]\n[[on_end]]\nexec = [\"/nonexistent\"]\n",
        script.display()
    );
    fs::write(home.path("docks/daemon.toml"), rules).unwrap();
    let started = "umask 027; exec 5>foreign 9</dev/zero; nice -n 7 \"$DOCKS\" daemon start";
    shell(&home, started).expect_success();
    home.run("runs trials night --fresh").expect_success();
    let log = || home.run("daemon logs").stdout;
    eventually("the rules stand and the history is followed", || {
        let log = log();
        log.contains("2 on_end rules are active") && log.contains("for runs that have ended")
    });
    night.trial(0, "failed");
    night.run("failed");
    eventually("the command has run", || home.path("done").exists());
    let read = |name: &str| fs::read_to_string(home.path(name)).unwrap();
    let level = nice_level(home.pid());
    assert_eq!(read("state"), format!("0027\n{level}\n"));
    let files = read("files");
    let foreign: Vec<&str> = files
        .lines()
        .filter(|file| {
            let own = ["/dev/null", "pipe:"]
                .iter()
                .any(|own| file.starts_with(own));
            !own && *file != script.to_str().unwrap() && !file.ends_with("/files")
        })
        .collect();
    assert!(foreign.is_empty(), "{files}");
    for name in ["DOCKSD_BUILD=", "DOCKS_TOKEN="] {
        assert!(!read("done").contains(name), "{name}");
    }
    eventually("the other command is reported", || {
        log().contains("could not run `/nonexistent`: it was not found")
    });
    home.stop();
}

#[test]
fn a_restart_signals_no_other_process_than_docksd() {
    let home = TestHome::with_jobs();
    drop(home.socket());
    let lock = home.path("docks/run/docksd.lock");
    // It holds the lock and is named in its file, but is no docksd.
    let mut other = Command::new("flock")
        .args(["--no-fork", lock.to_str().unwrap(), "sleep", "600"])
        .spawn()
        .unwrap();
    eventually("it holds the lock", || {
        File::open(&lock).is_ok_and(|file| file.try_lock_shared().is_err())
    });
    fs::write(&lock, format!("{}\n", other.id())).unwrap();
    for line in ["daemon restart", "daemon stop"] {
        let refused = home.run(line);
        assert_eq!(refused.code, Some(1), "{line}: {}", refused.stderr);
        let said = format!("process {} (sleep) is not a docksd", other.id());
        assert!(refused.stderr.contains(&said), "{}", refused.stderr);
        assert!(other.try_wait().unwrap().is_none(), "{line}");
    }
    other.kill().unwrap();
    other.wait().unwrap();

    // A file that names another process while docksd holds the lock, and hangs.
    home.run("daemon start").expect_success();
    let pid = home.pid();
    signal(pid, "STOP");
    let mut bystander = Command::new("sleep").arg("600").spawn().unwrap();
    fs::remove_file(home.path("docks/run/docksd.sock")).unwrap();
    fs::write(&lock, format!("{}\n", bystander.id())).unwrap();
    let refused = home.run("daemon stop");
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(bystander.try_wait().unwrap().is_none());
    bystander.kill().unwrap();
    bystander.wait().unwrap();
    signal(pid, "KILL");
}

/// Removes a directory outside the home at the end of a test.
struct RemoveDir(PathBuf);

impl Drop for RemoveDir {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[test]
fn a_socket_path_that_is_too_long_works_through_a_short_private_one() {
    let home = TestHome::with_jobs();
    let long = home.path("docks").join("x".repeat(120)).join("docksd.sock");
    let run = |line: &str, change: &dyn Fn(&mut Command)| {
        let mut command = home.command_jobs(line);
        command.env("DOCKS_SOCKET", &long);
        change(&mut command);
        CommandResult::new(command.output().unwrap())
    };
    let listed = run("runs eval-list -q", &|_| {});
    assert_eq!(listed.stderr, "");
    assert_eq!(listed.expect_success().lines().count(), 4);
    let status = run("daemon status --format json", &|_| {}).expect_success();
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let socket = PathBuf::from(status["socket"].as_str().unwrap());
    let dir = RemoveDir(socket.parent().unwrap().to_owned());
    assert!(socket.as_os_str().len() < 107, "{}", socket.display());
    assert!(!long.exists());
    let mode = fs::metadata(&dir.0).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
    // Another session of the user finds the same daemon.
    let elsewhere = run("daemon status --format json", &|command| {
        command
            .env("XDG_RUNTIME_DIR", home.path("."))
            .env("TMPDIR", home.path("."));
    });
    let elsewhere: serde_json::Value = serde_json::from_str(&elsewhere.expect_success()).unwrap();
    assert_eq!(elsewhere["pid"], status["pid"]);
    run("daemon restart", &|_| {}).expect_success();
    run("daemon stop", &|_| {}).expect_success();
    eventually("it has ended", || home.daemons().is_empty());

    // A directory that another user could have put there is not used.
    fs::set_permissions(&dir.0, fs::Permissions::from_mode(0o777)).unwrap();
    let refused = run("runs eval-list -q", &|_| {});
    assert_eq!(refused.code, Some(5), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("can be written by other users"),
        "{}",
        refused.stderr
    );
    assert!(home.daemons().is_empty());
}
