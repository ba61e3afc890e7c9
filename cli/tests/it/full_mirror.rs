//! The mirror's disk fills in the middle of the first sync: what is missing is said at once, and the mirror
//! becomes complete by itself when there is room again.
//!
//! The disk is a file system that docksd mounts in a namespace of its own; without the rights for that, the
//! test is skipped.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::remote::{Remote, query_number};
use crate::sealed::can_mount;
use crate::test_home::{TestHome, docksd, eventually};

const RUNS: usize = 400;
/// The largest page of the remote.
const PAGE: usize = 50;
/// Of each run; all runs together need several times the room that there is at first.
const DESCRIPTION_BYTES: usize = 16 << 10;
/// How long a request for rows that may still come waits, in docksd. Nobody may wait for what cannot come.
const WAIT_FOR_ROWS: Duration = Duration::from_secs(15);
/// Longest wait for the next sweep, which begins a minute at most after one that could not be stored.
const NEXT_SWEEP: Duration = Duration::from_secs(240);

fn remote() -> Remote {
    Remote::start(|asked| {
        let (path, query) = asked.split_once('?').unwrap_or((asked, ""));
        let number = |name: &str, usual| query_number(query, name, usual);
        if !path.ends_with("/tenants/ten/runs") {
            return (200, "[]".to_owned());
        }
        let first = number("offset", 0);
        let end = (first + number("limit", PAGE).min(PAGE)).min(RUNS);
        let rows: Vec<_> = (first..end)
            .map(|number| {
                format!(
                    r#"{{"id":"run-{number:03}","name":"nightly","status":"completed","created_at":"2026-01-01T00:{:02}:{:02}Z","description":"{number:0width$}"}}"#,
                    (RUNS - number) / 60,
                    (RUNS - number) % 60,
                    width = DESCRIPTION_BYTES
                )
            })
            .collect();
        (200, format!("[{}]", rows.join(",")))
    })
}

/// docksd whose mirrors are on a small disk, which grows when the file `grow` is there.
struct SmallDisk(Child);

impl SmallDisk {
    fn start(home: &TestHome) -> Self {
        // The loop ends with docksd, whose process the shell becomes.
        let script = "mount -t tmpfs -o size=3m none \"$1\" || exit 1
             { while kill -0 $$ && [ ! -e \"$2\" ]; do sleep 0.1; done
               mount -o remount,size=256m \"$1\"; } 2>/dev/null &
             exec \"$3\" --foreground";
        let mut command = Command::new("unshare");
        command
            .args(["-rm", "sh", "-c", script, "sh"])
            .args([home.path("docks/cache"), home.path("grow"), docksd()])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", home.path(""))
            .env("DOCKS_HOME", home.path("docks"))
            .env("DOCKS_USE_KEYRING", "false")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // It may have exited already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A list with its rows and what is said of it.
struct Listed {
    meta: Value,
    rows: usize,
    stderr: String,
}

/// Lists all runs, which nobody may have to wait for.
fn list(home: &TestHome, options: &str) -> Listed {
    let started = Instant::now();
    let listed = home.run(&format!("runs list -n 0 --meta {options}"));
    let took = started.elapsed();
    assert!(took < WAIT_FOR_ROWS, "{options}: {took:?}");
    assert_eq!(listed.code, Some(0), "{options}: {}", listed.stderr);
    let meta: Value = serde_json::from_str(&listed.stdout).unwrap();
    Listed {
        rows: meta["data"].as_array().unwrap().len(),
        meta,
        stderr: listed.stderr,
    }
}

/// Returns the head of docksd's own answer to a request for all rows of the mirror.
fn head_of_mirrored_list(home: &TestHome) -> String {
    let mut socket = UnixStream::connect(home.socket()).unwrap();
    let request = "GET /tenants/ten/runs?limit=0 HTTP/1.1\r\nHost: docks\r\nDocks-Profile: default\r\n\
                   Cache-Control: only-if-cached\r\nConnection: close\r\n\r\n";
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    let text = String::from_utf8_lossy(&answer).into_owned();
    text.split("\r\n\r\n").next().unwrap().to_ascii_lowercase()
}

#[test]
fn a_disk_that_fills_during_the_first_sync_is_said_and_the_mirror_completes_itself() {
    let remote = remote();
    let home = TestHome::with_remote(&remote);
    std::fs::create_dir(home.path("docks/cache")).unwrap();
    let test = "full_mirror::a_disk_that_fills_during_the_first_sync_is_said_and_the_mirror_completes_itself";
    if !can_mount(test, &home.path("docks/cache")) {
        return;
    }
    let small = SmallDisk::start(&home);
    eventually("docksd answers", || {
        home.run("daemon status").code == Some(0)
    });
    // The first request opens the mirror and starts the sync.
    home.run("runs list").expect_success();
    let last_error = || home.status()["remotes"][0]["last_error"]["message"].clone();
    eventually("the disk is full", || {
        last_error()
            .as_str()
            .is_some_and(|error| error.contains("full"))
    });

    let offline = list(&home, "--offline");
    assert!((1..RUNS).contains(&offline.rows), "{}", offline.rows);
    assert_eq!(offline.meta["incomplete"], true, "{}", offline.stderr);
    let reason = offline.meta["incomplete_reason"].as_str().unwrap();
    assert!(
        reason.contains("is full") && reason.contains("make room"),
        "{reason}"
    );
    let note = format!("note: rows may be missing: {reason}");
    assert!(offline.stderr.contains(&note), "{}", offline.stderr);
    let head = head_of_mirrored_list(&home);
    assert!(
        head.contains(&format!("docks-incomplete: \"{reason}\"")),
        "{head}"
    );
    // Where the remote can be asked, rows are there or are said to be missing.
    for options in ["", "--max-age 1h", "--fresh"] {
        let listed = list(&home, options);
        let is_said =
            listed.meta["incomplete"] == true && listed.stderr.contains("rows may be missing");
        assert!(
            listed.rows == RUNS || is_said,
            "{options}: {} rows",
            listed.rows
        );
    }

    std::fs::write(home.path("grow"), "").unwrap();
    // Nobody asks for anything but what is mirrored.
    let deadline = Instant::now() + NEXT_SWEEP;
    loop {
        let listed = list(&home, "--offline");
        if listed.meta["incomplete"] == Value::Null {
            assert_eq!(listed.rows, RUNS);
            break;
        }
        assert!(Instant::now() < deadline, "the mirror is never complete");
    }
    assert!(!head_of_mirrored_list(&home).contains("docks-incomplete"));
    drop(small);
}
