//! A file system that does not answer, as a network disk whose server is gone, holds up nobody else.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::sample_remote;
use crate::sealed::CommandResult;
use crate::test_home::{TestHome, docksd, eventually};

/// Every path below `HANG_BELOW` hangs when it is resolved or looked up, and `HANG_MARKER` then exists.
const PRELOADED: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

static void hang_below(const char *path) {
    const char *below = getenv("HANG_BELOW");
    if (path && below && strncmp(path, below, strlen(below)) == 0) {
        close(creat(getenv("HANG_MARKER"), 0600));
        for (;;) pause();
    }
}

char *realpath(const char *path, char *resolved) {
    hang_below(path);
    char *(*next)(const char *, char *) = dlsym(RTLD_NEXT, "realpath");
    return next(path, resolved);
}

int statx(int fd, const char *path, int flags, unsigned mask, struct statx *found) {
    hang_below(path);
    int (*next)(int, const char *, int, unsigned, struct statx *) = dlsym(RTLD_NEXT, "statx");
    return next(fd, path, flags, mask, found);
}
"#;

/// Compiles the library, with the C compiler that the build needs anyway.
fn library(home: &TestHome) -> PathBuf {
    let (source, library) = (home.path("hang.c"), home.path("hang.so"));
    std::fs::write(&source, PRELOADED).unwrap();
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status();
    assert!(compiled.unwrap().success());
    library
}

fn start_daemon(home: &TestHome, hanging: &str) -> Child {
    let mut command = Command::new(docksd());
    command
        .env_clear()
        .env("HOME", home.path(""))
        .env("DOCKS_HOME", home.path("docks"))
        .env("DOCKS_USE_KEYRING", "false")
        .env("LD_PRELOAD", library(home))
        .env("HANG_BELOW", hanging)
        .env("HANG_MARKER", home.path("hung"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let daemon = command.spawn().unwrap();
    eventually("the daemon listens", || {
        home.run("daemon status").code == Some(0)
    });
    daemon
}

#[test]
fn one_profile_on_a_disk_that_hangs_holds_up_neither_other_profiles_nor_the_end() {
    let remote = sample_remote::start();
    let home = TestHome::with_remote(&remote);
    let hanging = home.path("gone/jobs").display().to_string();
    let file = home.path("docks/config.toml");
    let mut text = std::fs::read_to_string(&file).unwrap();
    text.push_str(&format!("\n[gone]\nharbor_jobs = \"{hanging}\"\n"));
    std::fs::write(&file, text).unwrap();
    let mut daemon = start_daemon(&home, &hanging);

    // More requests than the daemon has threads of its own.
    let mut stuck: Vec<_> = (0..6)
        .map(|_| home.command("-p gone runs list").spawn().unwrap())
        .collect();
    eventually("a thread of the daemon hangs", || {
        home.path("hung").exists()
    });
    for _ in 0..3 {
        let listed = home.run("runs list --verbose");
        assert_eq!(listed.code, Some(0), "{}", listed.stderr);
        assert!(!listed.stderr.contains("directly"), "{}", listed.stderr);
    }
    let status = home.status();
    assert_eq!(status["pid"], daemon.id());
    assert_eq!(home.run("runs list --fresh").code, Some(0));

    let stopped = home.run("daemon stop");
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    assert!(
        !format!("{}{}", stopped.stdout, stopped.stderr).contains("signal"),
        "{}",
        stopped.stderr
    );
    assert!(daemon.wait().unwrap().success());
    for child in &mut stuck {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn a_home_on_a_disk_that_hangs_leaves_the_daemon_alive_and_the_remote_answers() {
    let remote = sample_remote::start();
    let home = TestHome::with_remote(&remote);
    let settings = home.path("docks/config.toml").display().to_string();
    let mut daemon = start_daemon(&home, &settings);
    let listed = home.run("runs list -q -n 0");
    assert_eq!(listed.code, Some(0), "{}", listed.stderr);
    assert_eq!(listed.stdout, sample_remote::run_ids());
    let why = "the disk with the settings does not answer";
    assert!(
        listed.stderr.to_lowercase().contains(why),
        "{}",
        listed.stderr
    );
    assert_eq!(home.status()["pid"], daemon.id());
    let stopped = home.run("daemon stop");
    let said = format!("{}{}", stopped.stdout, stopped.stderr);
    assert!(!said.contains("signal"), "{said}");
    daemon.wait().unwrap();
}

/// The request is given up in time, with the reason.
#[test]
fn who_asks_for_a_disk_that_hangs_is_told_so() {
    let home = TestHome::with_jobs();
    let jobs = home.jobs().display().to_string();
    let mut daemon = start_daemon(&home, &jobs);
    let told = CommandResult::new(home.command_jobs("runs list").output().unwrap());
    assert_eq!(told.code, Some(5), "{}", told.stderr);
    assert!(told.stderr.contains("does not answer"), "{}", told.stderr);
    assert!(told.stderr.contains(&jobs), "{}", told.stderr);
    home.run("daemon stop").expect_success();
    daemon.wait().unwrap();
}
