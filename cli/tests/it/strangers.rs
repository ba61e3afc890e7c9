//! Another user of the machine: at the socket, above it, and in what a command inherits.
//!
//! Root acts as two users. Part of each test is this program, run as the other user.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use docks_proto::routes;

use crate::sample_remote::{self, run_ids};
use crate::sealed::{CommandResult, EnvironmentOf};
use crate::test_home::{TestHome, docksd, eventually, signal};

/// A user who owns nothing here.
const STRANGER: u32 = 65_534;

/// Names the socket to the process that acts as the other user.
const SOCKET: &str = "DOCKS_TEST_SOCKET";

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Gives a directory and everything in it to a user.
fn give(path: &Path, user: u32) {
    let mut command = Command::new("chown");
    command.arg("-R").arg(format!("{user}:{user}")).arg(path);
    assert!(command.status().unwrap().success());
}

/// Returns whether the programs that were built here can be run as another user; says so if not.
fn can_be_two_users(test: &str) -> bool {
    if !rustix::process::geteuid().is_root() {
        docksd_testkit::skip(test, "only root can act as two users");
        return false;
    }
    let mut program = Command::new(docksd());
    program.arg("--version").uid(STRANGER).gid(STRANGER);
    let can_run = program.output().is_ok_and(|tried| tried.status.success());
    if !can_run {
        let reason = "another user may not run the programs that were built here";
        docksd_testkit::skip(test, reason);
    }
    can_run
}

/// Runs a test of this program as the other user, with a socket.
fn as_stranger(test: &str, socket: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(SOCKET, socket)
        .current_dir("/")
        .uid(STRANGER)
        .gid(STRANGER)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// A process of the other user, which ends with the test, however that ends.
struct Stranger(Child);

impl Drop for Stranger {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Sends a request to a socket; returns all that comes back.
fn exchange(socket: &Path, method: &str, path: &str) -> Vec<u8> {
    let mut stream = UnixStream::connect(socket).unwrap();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: docks\r\nConnection: close\r\n\r\n");
    // The daemon may have hung up by now.
    stream.write_all(head.as_bytes()).ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    answer
}

#[test]
fn another_user_is_refused_on_every_route() {
    let requests = [
        ("GET", "/tenants/ten/runs"),
        ("GET", "/tenants/ten/runs/r"),
        ("POST", "/tenants/ten/runs/r/stop"),
        ("GET", "/tenants/ten/harbor/runs"),
        ("GET", "/tenants/ten/harbor/runs/r"),
        ("POST", "/tenants/ten/harbor/runs/r/start"),
        ("POST", "/tenants/ten/harbor/runs/r/cancel"),
        ("POST", "/tenants/ten/harbor/runs/r/pause"),
        ("POST", "/tenants/ten/harbor/runs/r/resume"),
        ("POST", "/tenants/ten/harbor/runs/r/retry"),
        ("POST", "/tenants/ten/harbor/runs/r/trials/t/retry"),
        ("GET", "/tenants/ten/harbor/runs/r/trials"),
        ("GET", "/tenants/ten/harbor/runs/r/trials/t"),
        ("GET", "/tenants/ten/harbor/runs/r/files"),
        ("GET", "/tenants/ten/harbor/runs/r/trials/t/files"),
        ("GET", "/tenants/ten/harbor/trials"),
        ("GET", routes::PING),
        ("GET", routes::STATUS),
        ("POST", routes::SYNC),
        ("GET", routes::EVENTS),
        ("GET", routes::HISTORY),
        ("GET", routes::CHANGES),
        ("GET", routes::COMPARE),
        ("GET", routes::SAVED_RUN),
        ("GET", routes::FAILURES),
        ("GET", routes::SCORE),
        ("GET", routes::TASKS),
        ("GET", routes::TASK_HISTORY),
        ("POST", routes::FORGET),
        ("POST", routes::SHUTDOWN),
        ("GET", "/"),
        ("GET", "/elsewhere"),
    ];
    let test = "strangers::another_user_is_refused_on_every_route";
    if let Some(socket) = std::env::var_os(SOCKET) {
        for (method, path) in requests {
            let answer = exchange(Path::new(&socket), method, path);
            let text = String::from_utf8_lossy(&answer);
            assert!(
                text.starts_with("HTTP/1.1 403 ") && text.contains("belongs to another user"),
                "{method} {path}: {text}"
            );
        }
        return;
    }
    if !can_be_two_users(test) {
        return;
    }
    let home = TestHome::new();
    home.run("daemon start").expect_success();
    let socket = home.path("docks/run/docksd.sock");
    // As if every other barrier had fallen.
    for path in [".", "docks", "docks/run"] {
        set_mode(&home.path(path), 0o755);
    }
    set_mode(&socket, 0o666);
    let told = as_stranger(test, &socket).wait_with_output().unwrap();
    let told = CommandResult::new(told);
    assert!(told.stdout.contains("1 passed"), "{told:?}");
    // The same request of our own user is answered, and the daemon still runs.
    let own = exchange(&socket, "GET", routes::PING);
    let own = String::from_utf8_lossy(&own);
    assert!(own.starts_with("HTTP/1.1 204"), "{own}");
}

#[test]
fn nothing_is_sent_to_the_socket_of_another_user() {
    let test = "strangers::nothing_is_sent_to_the_socket_of_another_user";
    if let Some(socket) = std::env::var_os(SOCKET) {
        let socket = PathBuf::from(socket);
        let listener = UnixListener::bind(&socket).unwrap();
        let mut received = fs::File::create(socket.with_extension("received")).unwrap();
        loop {
            let (mut stream, _) = listener.accept().unwrap();
            received.write_all(b"(connected)").unwrap();
            std::io::copy(&mut stream, &mut received).ok();
        }
    }
    if !can_be_two_users(test) {
        return;
    }
    let remote = sample_remote::start();
    let home = TestHome::with_remote(&remote);
    let socket = home.socket();
    let theirs = home.path("theirs");
    fs::create_dir(&theirs).unwrap();
    set_mode(&home.path("."), 0o755);
    chown(&theirs, Some(STRANGER), Some(STRANGER)).unwrap();
    let _stranger = Stranger(as_stranger(test, &theirs.join("s")));
    eventually("the other user listens", || {
        theirs.join("s.received").exists()
    });
    // What looking at the path cannot show: the file is ours by now, and another user listens.
    fs::rename(theirs.join("s"), &socket).unwrap();
    chown(&socket, Some(0), Some(0)).unwrap();
    let run = |line: &str| {
        let mut command = home.command(line);
        command.env("DOCKSD", "/nonexistent/docksd");
        CommandResult::new(command.output().unwrap())
    };
    let sent = || {
        let received = fs::read_to_string(theirs.join("s.received")).unwrap();
        assert!(received.starts_with("(connected)"), "it was never tried");
        received.replace("(connected)", "")
    };
    let listed = run("runs list -n 0 -q");
    // At once, since a listener that never answers would hold up other commands.
    assert_eq!(sent(), "", "this was sent to another user");
    assert_eq!(listed.expect_success(), run_ids(), "the remote answers");
    for line in [
        "daemon status",
        "daemon stop",
        "daemon start",
        "sync",
        "runs watch run-01x",
        "runs stop run-01x --force",
        "--offline runs list",
        "runs history run-01x",
    ] {
        run(line);
    }
    assert_eq!(sent(), "", "this was sent to another user");
}

#[test]
fn a_directory_that_others_can_replace_holds_no_socket() {
    let remote = sample_remote::start();
    let home = TestHome::with_remote(&remote);
    let open = home.path("open");
    fs::create_dir_all(open.join("run")).unwrap();
    set_mode(&open.join("run"), 0o700);
    set_mode(&open, 0o777);
    let run = |line: &str| {
        let mut command = home.command(line);
        command.env("DOCKS_SOCKET", open.join("run/docksd.sock"));
        CommandResult::new(command.output().unwrap())
    };
    let said = format!("other users can write to {} (mode 0777)", open.display());
    let started = run("daemon start");
    assert_ne!(started.code, Some(0), "{started:?}");
    assert!(started.stderr.contains(&said), "{}", started.stderr);
    let listed = run("runs list -n 0 -q");
    assert!(listed.stderr.contains(&said), "{}", listed.stderr);
    assert_eq!(listed.expect_success(), run_ids(), "the remote answers");
    // docksd checks it itself, too.
    let mut daemon = Command::new(docksd());
    daemon
        .env_clear()
        .env("DOCKS_HOME", home.path("docks"))
        .arg("--socket")
        .arg(open.join("run/docksd.sock"));
    let refused = daemon.output().unwrap();
    let refused = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.contains(&said), "{refused}");
    // Only their owners can replace what is in a directory such as /tmp.
    set_mode(&open, 0o1777);
    run("daemon start").expect_success();
    run("daemon stop").expect_success();
}

#[test]
fn the_runtime_directory_of_another_user_is_not_used() {
    let test = "strangers::the_runtime_directory_of_another_user_is_not_used";
    if !can_be_two_users(test) {
        return;
    }
    let home = TestHome::new();
    let theirs = home.path("theirs");
    fs::create_dir(&theirs).unwrap();
    chown(&theirs, Some(STRANGER), Some(STRANGER)).unwrap();
    let run = |line: &str| {
        let mut command = home.command(line);
        command
            .env_remove("DOCKS_HOME")
            .env("XDG_RUNTIME_DIR", &theirs);
        CommandResult::new(command.output().unwrap())
    };
    let started = run("daemon start");
    let said = format!(
        "XDG_RUNTIME_DIR ({}) belongs to user {STRANGER}, so it is not used",
        theirs.display()
    );
    assert!(started.stderr.contains(&said), "{}", started.stderr);
    started.expect_success();
    assert!(home.path(".docks/run/docksd.sock").exists());
    assert_eq!(fs::read_dir(&theirs).unwrap().count(), 0);
    run("daemon stop").expect_success();
}

#[test]
fn settings_that_others_can_write_are_refused_and_open_tokens_are_named() {
    let remote = sample_remote::start();
    let home = TestHome::with_remote(&remote);
    let config = home.path("docks/config.toml");
    let mend = format!("`chmod 600 {}` protects it", config.display());
    set_mode(&config, 0o644);
    let listed = home.run("runs list -n 0 -q");
    assert!(listed.stderr.contains(&mend), "{}", listed.stderr);
    assert_eq!(listed.expect_success(), run_ids());
    home.stop();
    let asked = remote.requests().len();
    for (mode, more) in [(0o666, ""), (0o602, "--no-daemon ")] {
        set_mode(&config, mode);
        let refused = home.run(&format!("{more}runs list"));
        assert!(!matches!(refused.code, Some(0)), "{refused:?}");
        for said in ["other users can write it", &mend] {
            assert!(refused.stderr.contains(said), "{}", refused.stderr);
        }
    }
    assert_eq!(remote.requests().len(), asked, "no token was sent");
    set_mode(&config, 0o600);
    let rules = home.path("docks/daemon.toml");
    fs::write(&rules, "").unwrap();
    set_mode(&rules, 0o606);
    let started = home.run("daemon start");
    assert_ne!(started.code, Some(0));
    assert!(
        started.stderr.contains("other users can write it"),
        "{}",
        started.stderr
    );
}

#[test]
fn settings_of_another_user_are_refused() {
    let test = "strangers::settings_of_another_user_are_refused";
    if !can_be_two_users(test) {
        return;
    }
    let remote = sample_remote::start();
    let home = TestHome::with_remote(&remote);
    let config = home.path("docks/config.toml");
    chown(&config, Some(STRANGER), Some(STRANGER)).unwrap();
    let refused = home.run("--no-daemon runs list");
    assert_ne!(refused.code, Some(0), "{refused:?}");
    for said in [
        &*format!("it belongs to user {STRANGER}; `chown 0 "),
        "so it is not used",
    ] {
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
    assert!(remote.requests().is_empty(), "no token was sent");
}

/// Returns every path below a directory, with the mode of each directory.
fn tree(top: &Path) -> Vec<(PathBuf, u32)> {
    let mut found = Vec::new();
    let mut todo = vec![top.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            let meta = entry.metadata().unwrap();
            if meta.is_dir() {
                todo.push(entry.path());
                found.push((entry.path(), meta.mode() & 0o7777));
            }
        }
    }
    found
}

#[test]
fn root_leaves_nothing_in_the_home_of_another_user() {
    let test = "strangers::root_leaves_nothing_in_the_home_of_another_user";
    if !can_be_two_users(test) {
        return;
    }
    let home = TestHome::new();
    let theirs = home.path("theirs");
    fs::create_dir(&theirs).unwrap();
    for exists in [false, true] {
        if exists {
            fs::create_dir_all(theirs.join(".docks/run")).unwrap();
        }
        give(&theirs, STRANGER);
        let before = tree(&theirs).len();
        for line in [
            "runs list",
            "--no-daemon runs list",
            "daemon start",
            "daemon run",
            "daemon status",
            "profile add x --harbor-server http://127.0.0.1:9",
            "auth status",
            "hub token add me",
            "hub cert --name x.example",
            "cache status",
        ] {
            let mut command = home.command(line);
            command
                .env_remove("DOCKS_HOME")
                .env("HOME", &theirs)
                .env("XDG_RUNTIME_DIR", &theirs)
                .env("DOCKS_API_URL", "http://127.0.0.1:9")
                .env("DOCKS_TENANT_ID", "t");
            let refused = CommandResult::new(command.output().unwrap());
            assert_ne!(refused.code, Some(0), "{line}: {refused:?}");
            let said = format!("belongs to user {STRANGER}, and files that root creates there");
            assert!(refused.stderr.contains(&said), "{line}: {}", refused.stderr);
        }
        let mut daemon = Command::new(docksd());
        daemon.env_clear().env("HOME", &theirs);
        let refused = daemon.output().unwrap();
        assert!(!refused.status.success(), "{refused:?}");
        assert_eq!(tree(&theirs).len(), before, "{:?}", tree(&theirs));
    }
}

#[test]
fn root_of_a_container_may_use_the_directory_of_a_user_outside() {
    /// A user whom this system does not know.
    const OUTSIDE: u32 = 1_234_567_890;
    let test = "strangers::root_of_a_container_may_use_the_directory_of_a_user_outside";
    if !can_be_two_users(test) {
        return;
    }
    let home = TestHome::new();
    let theirs = home.path("theirs");
    fs::create_dir(&theirs).unwrap();
    give(&theirs, OUTSIDE);
    let run = |line: &str, sudo: &str| {
        let mut command = home.command(line);
        command
            .env("DOCKS_HOME", theirs.join("docks"))
            .env("SUDO_UID", sudo);
        CommandResult::new(command.output().unwrap())
    };
    let refused = run("hub token list", &OUTSIDE.to_string());
    assert_ne!(refused.code, Some(0), "{refused:?}");
    assert!(
        refused.stderr.contains("belongs to user"),
        "{}",
        refused.stderr
    );
    assert_eq!(fs::read_dir(&theirs).unwrap().count(), 0);
    run("hub token list", "").expect_success();
    run("profile add x --harbor-server http://127.0.0.1:9", "0").expect_success();
}

#[test]
fn a_umask_that_forbids_everything_locks_nobody_out() {
    let home = TestHome::with_jobs();
    let jobs = home.jobs();
    let script = format!(
        "umask 777; \"$DOCKS\" profile add lab --harbor-server http://127.0.0.1:9 && \
         \"$DOCKS\" --harbor '{0}' runs eval-list && \
         {{ \"$DOCKS\" --harbor '{0}' runs artifacts nightly-mixed --type all -o out >&2 || test -d out; }} && \
         \"$DOCKS\" hub token add me && \"$DOCKS\" daemon stop && \
         \"$DOCKS\" --harbor '{0}' runs list && \"$DOCKS\" profile list",
        jobs.display()
    );
    fs::remove_dir(home.path("docks")).unwrap();
    let mut shell = Command::new("sh");
    let docks = home.command("");
    shell
        .args(["-c", &script])
        .environment_of(&docks)
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("DOCKS", docks.get_program())
        .current_dir(home.path("."));
    CommandResult::new(shell.output().unwrap()).expect_success();
    for top in ["docks", "out"] {
        let top = home.path(top);
        let own = (top.clone(), fs::metadata(&top).unwrap().mode() & 0o7777);
        for (dir, mode) in tree(&top).into_iter().chain([own]) {
            assert_eq!(mode & 0o700, 0o700, "{} {mode:o}", dir.display());
        }
    }
}

#[test]
fn a_daemon_whose_memory_is_private_is_recognized_by_its_own_user() {
    let test = "strangers::a_daemon_whose_memory_is_private_is_recognized_by_its_own_user";
    if !can_be_two_users(test) {
        return;
    }
    let home = TestHome::new();
    give(&home.path("."), STRANGER);
    let run = |line: &str| {
        let mut command = home.command(line);
        command.uid(STRANGER).gid(STRANGER);
        CommandResult::new(command.output().unwrap())
    };
    run("daemon start").expect_success();
    let status = run("daemon status --format json").expect_success();
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let pid = u32::try_from(status["pid"].as_u64().unwrap()).unwrap();
    // Files about a process whose memory is private belong to root.
    let owner = fs::metadata(format!("/proc/{pid}/environ")).unwrap().uid();
    assert_eq!(
        owner, 0,
        "its memory can be read by every process of its user"
    );
    signal(pid, "STOP");
    let restarted = run("daemon restart");
    assert_eq!(restarted.code, Some(0), "{}", restarted.stderr);
    eventually("the hanging one has ended", || {
        !Path::new(&format!("/proc/{pid}")).exists()
    });
    run("daemon stop").expect_success();
}
