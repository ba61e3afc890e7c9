//! Trouble of the daemon's own is not the user's answer while the remote can give one.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use docks_proto::paths::Paths;

use crate::remote::Remote;
use crate::sample_remote::{self, run_ids};
use crate::sealed::{CommandResult, EnvironmentOf, can_mount};
use crate::test_home::{TestHome, eventually};

/// Returns the file of the only mirror, if there is one.
fn mirror(home: &TestHome) -> Option<PathBuf> {
    let files = fs::read_dir(home.path("docks/cache")).ok()?.flatten();
    let mut mirrors = files
        .map(|file| file.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "db"));
    mirrors.next()
}

/// Checks that the remote answered completely, and that one line says why the daemon did not.
fn expect_remote(listed: &CommandResult, why: &str) {
    assert_eq!(listed.code, Some(0), "{}", listed.stderr);
    assert_eq!(listed.stdout, run_ids(), "{}", listed.stderr);
    let reasons = listed.stderr.lines().filter(|line| line.contains(why));
    assert_eq!(reasons.count(), 1, "{}", listed.stderr);
}

/// A home with a mirror, and no daemon.
fn mirrored(remote: &Remote) -> TestHome {
    let home = TestHome::with_remote(remote);
    home.run("sync --full").expect_success();
    home.stop();
    home
}

/// Changes the number of the schema in a mirror; returns the new content of its file.
fn renumber(file: &Path, change: impl FnOnce(u32) -> u32) -> Vec<u8> {
    let mut bytes = fs::read(file).unwrap();
    // 4 bytes at offset 60 of every SQLite file.
    let number = &mut bytes[60..64];
    let changed = change(u32::from_be_bytes(number.try_into().unwrap()));
    number.copy_from_slice(&changed.to_be_bytes());
    fs::write(file, &bytes).unwrap();
    bytes
}

#[test]
fn a_mirror_of_a_newer_release_or_one_that_cannot_be_read_is_not_the_answer() {
    let remote = sample_remote::start();
    let home = mirrored(&remote);
    let file = mirror(&home).unwrap();
    let bytes = renumber(&file, |_| 9_999);
    home.run("daemon start").expect_success();
    let newer = home.run("runs list -q -n 0");
    expect_remote(&newer, "newer docksd");
    assert_eq!(
        fs::read(&file).unwrap(),
        bytes,
        "a newer file stays as it is"
    );
    // The remote's own answer to the action.
    let stopped = home.run("runs stop run-00x --force");
    assert!(stopped.stderr.contains("has ended"), "{}", stopped.stderr);
    let offline = home.run("runs list --offline");
    assert_eq!(offline.code, Some(1), "{}", offline.stderr);
    assert!(
        offline.stderr.contains("newer docksd"),
        "{}",
        offline.stderr
    );

    home.stop();
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    home.run("daemon start").expect_success();
    expect_remote(&home.run("runs list -q -n 0"), "asking the remote directly");
}

#[test]
fn a_mirror_that_cannot_be_migrated_is_not_the_answer_and_stays_as_it_is() {
    let remote = sample_remote::start();
    let home = mirrored(&remote);
    let file = mirror(&home).unwrap();
    // The tables of this release under the number of an earlier one: the last migration finds what it
    // is to create.
    let bytes = renumber(&file, |number| number - 1);
    home.run("daemon start").expect_success();
    for _ in 0..2 {
        let listed = home.run("runs list -q -n 0");
        expect_remote(&listed, "asking the remote directly");
    }
    assert_eq!(fs::read(&file).unwrap(), bytes, "it may still be of use");
    let offline = home.run("runs list --offline");
    assert_eq!(offline.code, Some(1), "{}", offline.stderr);
    assert!(offline.stderr.contains("migrat"), "{}", offline.stderr);
}

#[test]
fn a_cache_directory_that_is_removed_under_a_daemon_is_noticed() {
    let remote = sample_remote::start();
    let home = TestHome::with_remote(&remote);
    home.run("sync --full").expect_success();
    let pid = home.pid();
    fs::remove_dir_all(home.path("docks/cache")).unwrap();
    eventually("the mirror is on the disk again", || {
        mirror(&home).is_some()
    });
    eventually("everything is mirrored again", || {
        home.run("runs list -q -n 0 --offline").stdout == run_ids()
    });
    assert_eq!(home.pid(), pid);
}

/// Runs lines of shell with limits that the daemon inherits and cannot raise.
fn with_limits(home: &TestHome, limits: &str, line: &str) -> CommandResult {
    let docks = home.command(line);
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{limits} && exec \"$@\""), "sh"])
        .arg(docks.get_program())
        .args(docks.get_args())
        .environment_of(&docks)
        .stdin(Stdio::null());
    CommandResult::new(command.output().unwrap())
}

#[test]
fn too_few_descriptors_or_too_little_memory_cost_the_daemon_and_not_the_answer() {
    let remote = sample_remote::start();
    for limits in [
        "ulimit -n 16",
        "ulimit -n 32",
        "ulimit -v 65536",
        "ulimit -v 262144",
    ] {
        let home = TestHome::with_remote(&remote);
        // The first starts a daemon, the others find what became of it.
        for _ in 0..3 {
            let listed = with_limits(&home, limits, "runs list -q -n 0");
            assert_eq!(listed.code, Some(0), "{limits}: {}", listed.stderr);
            assert_eq!(listed.stdout, run_ids(), "{limits}: {}", listed.stderr);
        }
        // Eight at once, each with a connection of its own.
        let children: Vec<_> = (0..8)
            .map(|_| home.command("runs list -q -n 0").spawn().unwrap())
            .collect();
        for listed in crate::test_home::wait_for_all(children) {
            assert_eq!(listed.stdout, run_ids(), "{limits}: {}", listed.stderr);
        }
    }
}

/// Runs a script in a mount namespace of its own, with the mounted directory as `$0` and the program as
/// `$1`; `None`, and the test is reported as skipped, where mounting needs rights that are missing.
fn in_namespace(test: &str, home: &TestHome, at: &Path, script: &str) -> Option<CommandResult> {
    if !can_mount(test, at) {
        return None;
    }
    let docks = home.command("");
    let mut command = Command::new("unshare");
    command
        .args(["-rm", "sh", "-c", script])
        .arg(at)
        .arg(docks.get_program())
        .environment_of(&docks)
        .env("PATH", std::env::var_os("PATH").unwrap())
        .stdin(Stdio::null());
    Some(CommandResult::new(command.output().unwrap()))
}

/// Removes the directory that stands for the socket's where the home cannot be written.
fn remove_what_is_outside(home: &TestHome) {
    let paths = Paths {
        home: home.path("docks"),
        socket: home.path("docks/run/docksd.sock"),
    };
    let outside = paths.with_socket_outside();
    assert!(outside.run_dir().starts_with("/tmp"));
    match fs::remove_dir_all(outside.run_dir()) {
        Err(error) if error.kind() != ErrorKind::NotFound => panic!("{error}"),
        _ => {}
    }
}

#[test]
fn a_stop_counts_although_the_mirror_cannot_store_it() {
    let is_stopped = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&is_stopped);
    let remote = Remote::start(move |asked| {
        let run = |stopped| {
            let status = if stopped { "stopped" } else { "running" };
            let text = "x".repeat(20_000);
            format!(r#"{{"id":"r-1","name":"n","status":"{status}","text":"{text}"}}"#)
        };
        let now = || run(stopped.load(Ordering::SeqCst));
        match asked.split('?').next().unwrap() {
            "GET /tenants/ten/runs" if asked.contains("offset=1") => (200, "[]".to_owned()),
            "GET /tenants/ten/runs" => (200, format!("[{}]", now())),
            "GET /tenants/ten/runs/r-1" => (200, now()),
            "POST /tenants/ten/runs/r-1/stop" => {
                stopped.store(true, Ordering::SeqCst);
                (200, now())
            }
            "GET /tenants/ten/harbor/runs" => (200, "[]".to_owned()),
            _ => (404, "{}".to_owned()),
        }
    });
    let home = TestHome::with_remote(&remote);
    let kept = home.path("kept");
    fs::rename(home.path("docks"), &kept).unwrap();
    fs::create_dir(home.path("docks")).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=3m none \"$0\" && chmod 700 \"$0\" && cp -a {}/. \"$0\" && \
         {{ \"$1\" sync >&2; \"$1\" runs list --offline >&2; \
            head -c 8m /dev/zero > \"$0/filler\"; \
            \"$1\" runs stop r-1 --force >/dev/null; echo stop $?; \
            \"$1\" runs list --offline; echo offline $?; \
            \"$1\" runs list; echo list $?; \
            \"$1\" daemon status --format json >&2; \
            rm \"$0/filler\"; \"$1\" daemon stop >&2; true; }}",
        kept.display()
    );
    let at = home.path("docks");
    let Some(ended) = in_namespace("a_stop_counts", &home, &at, &script) else {
        return;
    };
    remove_what_is_outside(&home);
    let both = format!("{}\n{}", ended.stdout, ended.stderr);
    assert!(is_stopped.load(Ordering::SeqCst), "{both}");
    // The mirror says that its status is not confirmed, and the remote is asked for the new one.
    let expected = "stop 0\nr-1\tn\trunning\t\noffline 0\nr-1\tn\tstopped\t\nlist 0\n";
    assert_eq!(ended.stdout, expected, "{both}");
    let says_so = ended.stderr.contains("has not confirmed it since");
    assert!(says_so, "{both}");
    assert!(ended.stderr.contains("docksd is in trouble"), "{both}");
}

#[test]
fn a_read_only_home_can_be_read_with_what_is_mirrored_in_it() {
    let remote = sample_remote::start();
    let home = mirrored(&remote);
    let at = home.path("docks");
    let script = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && \
         { \"$1\" runs list -q -n 0 --offline; echo offline $?; \
           \"$1\" runs list -q -n 0; echo usual $?; \
           \"$1\" runs list -q -n 0 --fresh; echo fresh $?; \
           \"$1\" daemon status --format json >&2; \
           \"$1\" daemon stop >&2; echo stop $?; }";
    let Some(ended) = in_namespace("a_read_only_home_can_be_read", &home, &at, script) else {
        return;
    };
    remove_what_is_outside(&home);
    let ids = run_ids();
    let expected = format!("{ids}offline 0\n{ids}usual 0\n{ids}fresh 0\nstop 0\n");
    assert_eq!(ended.stdout, expected, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("docksd has stopped"),
        "{}",
        ended.stderr
    );
    // The home is as it was, and the copy is gone.
    home.run("runs list --offline").expect_success();
}

#[test]
fn a_full_disk_costs_the_cache_and_not_the_answer() {
    let remote = sample_remote::start();
    let home = mirrored(&remote);
    let kept = home.path("kept");
    assert!(
        Command::new("cp")
            .arg("-a")
            .arg(home.path("docks"))
            .arg(&kept)
            .status()
            .unwrap()
            .success()
    );
    let script = format!(
        "mount -t tmpfs -o size=2m none \"$0\" && chmod 700 \"$0\" && cp -a {}/. \"$0\" && \
         {{ head -c 4m /dev/zero > \"$0/filler\"; \
            \"$1\" runs list -q -n 0 >&2; echo first $?; \
            \"$1\" runs list -q -n 0; echo second $?; \
            \"$1\" runs stop run-00x --force >/dev/null; echo stop $?; \
            \"$1\" daemon stop >&2; true; }}",
        kept.display()
    );
    let at = home.path("docks");
    let Some(ended) = in_namespace("a_full_disk_costs_the_cache", &home, &at, &script) else {
        return;
    };
    remove_what_is_outside(&home);
    assert!(
        ended.stdout.contains("first 0"),
        "{}\n{}",
        ended.stdout,
        ended.stderr
    );
    assert!(
        ended.stdout.contains(&format!("{}second 0", run_ids())),
        "{}\n{}",
        ended.stdout,
        ended.stderr
    );
}
