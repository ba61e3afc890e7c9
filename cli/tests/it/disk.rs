//! Full, read-only and forbidden directories: the error is named, other downloads continue, and no
//! partial file is left.
//!
//! The tests mount file systems in a user namespace, and are skipped where that is not possible.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};

use crate::harbor_server::{NIGHTLY, Served, attempt};
use crate::remote::Remote;
use crate::sealed::{CommandResult, EnvironmentOf, Sealed, can_mount};
use crate::test_home::copy_program;

/// Larger than the file systems here, and large enough that a partial download would be kept.
const LOG_BYTES: usize = 600 << 10;

/// A user who owns no file.
const NOBODY: u32 = 65_534;

/// A run of two trials and a home directory.
struct TwoTrials {
    sealed: Sealed,
    _remote: Remote,
}

impl TwoTrials {
    fn new() -> Self {
        let own = Arc::new(OnceLock::<String>::new());
        let address = Arc::clone(&own);
        let remote = Remote::start(move |request| {
            let path = request.split([' ', '?']).nth(1).unwrap_or_default();
            let run = r#"{"id":"r-1","status":"completed"}"#;
            let trial = |id: &str| {
                let url = address.get().unwrap();
                format!(r#"{{"id":"{id}","task_slug":"t","logs_uri":"{url}/{id}.txt"}}"#)
            };
            match path {
                "/tenants/ten/harbor/runs" => (200, format!("[{run}]")),
                "/tenants/ten/harbor/runs/r-1" => (200, run.to_owned()),
                "/tenants/ten/harbor/runs/r-1/trials" => {
                    (200, format!("[{},{}]", trial("bad"), trial("good")))
                }
                "/bad.txt" => (200, "b".repeat(LOG_BYTES)),
                "/good.txt" => (200, "g".repeat(LOG_BYTES)),
                _ => (404, "{}".to_owned()),
            }
        });
        own.set(remote.url()).unwrap();
        Self {
            sealed: Sealed::new(&remote),
            _remote: remote,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.sealed.home().join(name)
    }

    /// Directory of the logs of a trial.
    fn folder(&self, trial: &str) -> PathBuf {
        self.path("out/r-1").join(format!("t_{trial}"))
    }

    /// Runs a line with a small file system at a folder, as [`on_small_disk`] does.
    fn mounted(
        &self,
        test: &str,
        at: &Path,
        then: &str,
        line: &str,
    ) -> Option<(CommandResult, String)> {
        let mut docks = self.sealed.command();
        docks.args(line.split_whitespace());
        on_small_disk(test, at, then, &docks, &self.path("left"))
    }

    fn artifacts(&self) -> String {
        format!("runs artifacts r-1 -o {}", self.path("out").display())
    }

    /// Checks that one of the two downloads failed for this reason, and that the other is complete.
    fn one_failed(&self, ended: &CommandResult, why: &str) {
        assert_eq!(ended.code, Some(12), "{}", ended.stderr);
        assert!(ended.stderr.contains(why), "{}", ended.stderr);
        assert!(ended.stderr.contains("t_bad"), "the path: {}", ended.stderr);
        let good = std::fs::read(self.folder("good").join("logs.txt")).unwrap();
        assert_eq!(good.len(), LOG_BYTES);
        assert_eq!(names(&self.folder("good")), ["logs.txt"]);
        self.sealed.run("cache verify").expect_success();
    }
}

/// Mounts a small file system at a folder, runs `then` there and then the command; returns also what is left on it,
/// which is written to the file `left`. `None`, and the test is reported as skipped, where mounting needs rights that
/// are missing.
fn on_small_disk(
    test: &str,
    at: &Path,
    then: &str,
    docks: &Command,
    left: &Path,
) -> Option<(CommandResult, String)> {
    std::fs::create_dir_all(at).unwrap();
    if !can_mount(test, at) {
        return None;
    }
    let script = format!(
        "mount -t tmpfs -o size=512k none \"$1\" && cd \"$1\" && {then} && shift &&
         {{ \"$@\"; code=$?; ls -A >\"$LEFT\"; exit $code; }}"
    );
    let mut command = Command::new("unshare");
    command
        .args(["-rm", "sh", "-c", &script, "sh"])
        .arg(at)
        .arg(docks.get_program())
        .args(docks.get_args())
        .environment_of(docks)
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("LEFT", left)
        .stdin(Stdio::null());
    let ended = CommandResult::new(command.output().unwrap());
    let left = std::fs::read_to_string(left);
    Some((ended, left.unwrap()))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn a_full_disk_is_reported_and_other_downloads_continue() {
    let two = TwoTrials::new();
    let Some((ended, left)) = two.mounted(
        "disk::a_full_disk_is_reported_and_other_downloads_continue",
        &two.folder("bad"),
        ":",
        &two.artifacts(),
    ) else {
        return;
    };
    two.one_failed(&ended, "the disk is full");
    assert_eq!(left, "", "no part of it is left to fill the disk");
    // With enough room it is complete; the existing file stays.
    two.sealed.run(&two.artifacts()).expect_success();
    assert_eq!(names(&two.folder("bad")), ["logs.txt"]);
}

#[test]
fn a_full_disk_stops_only_its_file_of_a_harbor_serve() {
    let served = Served::start();
    served.finish();
    served.server.with(|data| {
        data.attempt(NIGHTLY, &attempt("b", "finished"));
        data.job(NIGHTLY, "nightly", "finished");
        data.padding_bytes = LOG_BYTES;
    });
    let trials = served.json("runs trials nightly");
    assert_eq!(trials.as_array().unwrap().len(), 2);
    let out = served.home.path("out");
    let folder = |trial: &str| out.join("11111111-000").join(format!("hello_{trial}"));
    let (full, other) = (folder("aaaaaaaa-000"), folder("bbbbbbbb-000"));
    let line = format!(
        "--harbor-server {} runs artifacts nightly --type result -o {}",
        served.server.url(),
        out.display()
    );
    let Some((ended, left)) = on_small_disk(
        "disk::a_full_disk_stops_only_its_file_of_a_harbor_serve",
        &full,
        ":",
        &served.home.command(&line),
        &served.home.path("left"),
    ) else {
        return;
    };
    assert_eq!(ended.code, Some(12), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("the disk is full"),
        "{}",
        ended.stderr
    );
    assert_eq!(left, "", "no part of it is left to fill the disk");
    assert_eq!(names(&other), ["result.json"]);
    served.home.run(&line).expect_success();
    assert_eq!(names(&full), ["result.json"]);
}

#[test]
fn a_read_only_disk_is_reported_and_other_downloads_continue() {
    let two = TwoTrials::new();
    let then = "mount -o remount,ro . ";
    let Some((ended, left)) = two.mounted(
        "disk::a_read_only_disk_is_reported_and_other_downloads_continue",
        &two.folder("bad"),
        then,
        &two.artifacts(),
    ) else {
        return;
    };
    two.one_failed(&ended, "the file system is read-only");
    assert_eq!(left, "");
}

#[test]
fn a_full_cache_stops_no_download_and_is_reported_by_a_pull() {
    let two = TwoTrials::new();
    let cache = two.path("docks/cache");
    let Some((ended, left)) = two.mounted(
        "disk::a_full_cache_stops_no_download_and_is_reported_by_a_pull",
        &cache,
        ":",
        &two.artifacts(),
    ) else {
        return;
    };
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for trial in ["bad", "good"] {
        assert_eq!(names(&two.folder(trial)), ["logs.txt"]);
    }
    // The secret for the name of who asks is complete or not there.
    assert_eq!(left, "artifacts\nmirror-names.key\n");
    let partial = two.path("docks/cache/artifacts/partial");
    let (ended, left) = two
        .mounted(
            "disk::a_full_cache_stops_no_download_and_is_reported_by_a_pull",
            &partial,
            ":",
            "cache pull r-1",
        )
        .unwrap();
    assert_eq!(ended.code, Some(12), "{}", ended.stderr);
    let why = "the disk is full";
    assert!(ended.stderr.contains(why), "{}", ended.stderr);
    assert_eq!(left, "", "no part of it is left to fill the disk");
}

#[test]
fn a_file_above_the_size_limit_is_reported() {
    let two = TwoTrials::new();
    let docks = two.sealed.command();
    let mut limited = Command::new("sh");
    // In blocks of 512 or 1,024 bytes; either is less than the file.
    let script = "trap '' XFSZ && ulimit -f 200 && exec \"$@\"";
    limited
        .args(["-c", script, "sh"])
        .arg(docks.get_program())
        .args(two.artifacts().split_whitespace())
        .environment_of(&docks)
        .stdin(Stdio::null());
    let ended = CommandResult::new(limited.output().unwrap());
    assert_eq!(ended.code, Some(12), "{}", ended.stderr);
    let why = "the file is larger than the limit";
    assert!(ended.stderr.contains(why), "{}", ended.stderr);
    for trial in ["bad", "good"] {
        assert_eq!(names(&two.folder(trial)), Vec::<String>::new());
    }
}

#[test]
fn a_directory_without_permission_is_reported_and_other_downloads_continue() {
    let two = TwoTrials::new();
    let shut = two.folder("bad");
    std::fs::create_dir_all(&shut).unwrap();
    let mut command = two.sealed.command();
    command.args(two.artifacts().split_whitespace());
    let owner = Command::new("id").arg("-u").output().unwrap().stdout;
    if owner == b"0\n" {
        // Root may write everywhere, so another user runs it.
        let copy = two.path("program");
        copy_program(Path::new(env!("CARGO_BIN_EXE_docks")), &copy);
        let mut other = Command::new(&copy);
        other
            .args(command.get_args())
            .environment_of(&command)
            .stdin(Stdio::null())
            .current_dir(two.sealed.home())
            .gid(NOBODY)
            .uid(NOBODY);
        command = other;
        for path in [".", "out", "out/r-1", "out/r-1/t_bad"] {
            chown(two.path(path), Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    let mode = |mode| std::fs::set_permissions(&shut, std::fs::Permissions::from_mode(mode));
    mode(0o500).unwrap();
    let ended = CommandResult::new(command.output().unwrap());
    mode(0o700).unwrap();
    assert_eq!(names(&shut), Vec::<String>::new());
    assert_eq!(ended.code, Some(12), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("the permission is missing"),
        "{}",
        ended.stderr
    );
    let good = std::fs::read(two.folder("good").join("logs.txt")).unwrap();
    assert_eq!(good.len(), LOG_BYTES);
}
