//! What `docks daemon status` says of mirrors that were rebuilt, and of artifacts that are still to be fetched.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use crate::daemon::{FakeDaemon, FakeReply};
use crate::remote::Remote;
use crate::test_home::{TestHome, eventually};
use crate::whose_artifacts::files_below;

/// Returns what a row of the status says; `None` if there is no such row.
fn status_row(home: &TestHome, name: &str) -> Option<String> {
    let status = home.run("daemon status").expect_success();
    let values: Vec<String> = status
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix(name))
        .filter(|rest| rest.starts_with(char::is_whitespace))
        .map(|rest| rest.trim().to_owned())
        .collect();
    assert!(values.len() < 2, "{name}: {status}");
    values.into_iter().next()
}

#[test]
fn a_mirror_that_was_rebuilt_says_when_and_what_was_kept() {
    let home = TestHome::with_jobs();
    home.run_jobs("sync --full").expect_success();
    assert_eq!(status_row(&home, "rebuilt"), None);
    let before = home.status()["remotes"][0].clone();
    home.stop();
    let database = Path::new(before["database"].as_str().unwrap());
    let file = OpenOptions::new().write(true).open(database).unwrap();
    file.write_all_at(&[0xa5; 100], 0).unwrap();
    drop(file);

    home.run_jobs("runs eval-list").expect_success();
    let row = status_row(&home, "rebuilt").expect("it was damaged");
    let after = home.status()["remotes"][0].clone();
    let at = after["rebuilt"]["at"].as_str().unwrap();
    let count = |name: &str| before["rows"][name].as_u64().unwrap();
    // A job is a run and an evaluation run.
    let runs = count("runs") + count("evaluation_runs");
    let (trials, events) = (count("trials"), &after["rebuilt"]["events"]);
    assert!(runs > 0 && trials > 0 && events.as_u64() > Some(0));
    let kept = format!(
        "at {at}: kept {runs} runs, {trials} trials and the whole history ({events} events)"
    );
    assert_eq!(row, kept);
}

/// A remote with one run that ends, whose log it cannot send.
struct EndingRun {
    remote: Remote,
    has_ended: Arc<AtomicBool>,
    sends_log: Arc<AtomicBool>,
}

impl EndingRun {
    fn start() -> Self {
        let (has_ended, sends_log) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let url = Arc::new(OnceLock::<String>::new());
        let (ended, sends, own_url) = (has_ended.clone(), sends_log.clone(), url.clone());
        let remote = Remote::start(move |asked| {
            let (path, _) = asked.split_once('?').unwrap_or((asked, ""));
            let ended = ended.load(Ordering::SeqCst);
            let status = |is_ended| if ended { is_ended } else { "running" };
            let run = json!({"id": "run-1", "name": "nightly", "status": status("completed"),
                "created_at": "2026-01-01T00:00:00Z", "updated_at": format!("2026-01-01T00:0{}:00Z", u8::from(ended))});
            let trial = json!({"id": "trial-1", "status": status("success"),
                "logs_uri": format!("{}/files/log.txt", own_url.get().map_or("", String::as_str))});
            let found = match path.trim_start_matches("GET ") {
                "/tenants/ten/runs" => json!([]),
                "/tenants/ten/harbor/runs" => json!([run]),
                "/tenants/ten/harbor/runs/run-1" => run,
                "/tenants/ten/harbor/runs/run-1/trials" => json!([trial]),
                "/files/log.txt" if sends.load(Ordering::SeqCst) => {
                    return (200, "the log\n".to_owned());
                }
                "/files/log.txt" => return (503, "full up".to_owned()),
                _ => return (404, r#"{"detail":"not found"}"#.to_owned()),
            };
            (200, found.to_string())
        });
        url.set(remote.url()).unwrap();
        Self {
            remote,
            has_ended,
            sends_log,
        }
    }
}

#[test]
fn artifacts_that_a_store_does_not_give_are_in_the_status_until_they_are_fetched() {
    let ending = EndingRun::start();
    let home = TestHome::with_remote(&ending.remote);
    let settings = "pull = \"logs\"\nlog_level = \"debug\"\nactive_interval = \"1s\"\n\
                    idle_interval = \"1s\"\n";
    std::fs::write(home.path("docks/daemon.toml"), settings).unwrap();
    home.run("runs trials run-1").expect_success();
    // Only ends after this point count.
    eventually("the daemon waits for ends", || {
        let logs = files_below(&home.path("docks/log")).into_iter();
        let mut logs = logs.map(|path| std::fs::read_to_string(path).unwrap());
        logs.any(|log| log.contains("for runs that have ended"))
    });
    assert_eq!(status_row(&home, "artifacts"), None);
    ending.has_ended.store(true, Ordering::SeqCst);
    let mut row = String::new();
    eventually("the failure is in the status", || {
        row = status_row(&home, "artifacts").unwrap_or_default();
        row.contains("last failure")
    });
    let (row, why) = row.split_once("; last failure: ").unwrap();
    let next = row.strip_prefix("to fetch for 1 ended runs, next attempt 2");
    assert!(next.is_some(), "{row}");
    assert!(why.contains("503"), "{why}");
    ending.sends_log.store(true, Ordering::SeqCst);
    eventually("nothing is left to fetch", || {
        status_row(&home, "artifacts").is_none()
    });
    assert_eq!(status_row(&home, "given up"), None);
}

#[test]
fn artifacts_that_were_given_up_are_in_the_status_with_the_last_reason() {
    let home = TestHome::new();
    let status: Value = {
        let FakeReply::Answer(_, _, text) = crate::daemon::status() else {
            unreachable!("the fake daemon has a status");
        };
        let mut status: Value = serde_json::from_str(&text).unwrap();
        status["remotes"] = json!([{
            "profiles": ["default"], "kind": "docks_api", "location": "http://127.0.0.1 ten",
            "rows": {"runs": 0, "evaluation_runs": 0, "trials": 0, "active": 0, "tombstones": 0},
            "last_success": null, "last_error": null, "next_due": null, "next_step": null,
            "circuit": "closed", "backlog": 0, "requests_last_hour": 0, "not_modified_last_hour": 0,
            "budget_per_minute": 240, "budget_left": 240, "last_sweep": null, "capabilities": {},
            "database": "/mirror.db", "database_bytes": 0, "set_aside": null,
            "prefetch": {
                "pending": 0, "next_attempt": null, "last_error": null, "given_up": 2,
                "last_given_up": {"run": "run-7", "at": "2026-01-02T03:04:05Z", "reason": "no such object"},
            },
        }]);
        status
    };
    let _daemon = FakeDaemon::start(&home.socket(), move |_| {
        FakeReply::Answer(200, Vec::new(), status.to_string())
    });
    let row = status_row(&home, "given up").unwrap();
    assert_eq!(
        row,
        "artifacts of 2 runs, last of run-7 at 2026-01-02T03:04:05Z: no such object"
    );
    assert_eq!(status_row(&home, "artifacts"), None);
}
