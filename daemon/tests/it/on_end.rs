//! `[[on_end]]` rules of `daemon.toml`: what the daemon does when a run has ended.

use std::path::{Path, PathBuf};
use std::time::Duration;

use docks_proto::routes::RunKind;
use docksd::config::OnEndRule;
use serde_json::Value;
use tempfile::TempDir;

use crate::test_daemon::{TestDaemon, eventually};
use docksd_testkit::fake_remote::{FakeRemote, RemoteData, TENANT};

/// Creates a home with a profile for `remote`.
fn home(remote: &FakeRemote) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let text = format!(
        "[bench]\napi_url = \"{}\"\ntenant_id = \"{TENANT}\"\ntoken = \"s3cret\"\n",
        remote.url()
    );
    std::fs::write(home.path().join("config.toml"), text).unwrap();
    home
}

/// Returns a rule that runs a line of shell.
fn rule(line: &str, change: impl FnOnce(&mut OnEndRule)) -> OnEndRule {
    let exec = ["/bin/sh", "-c", line].map(str::to_owned);
    let mut rule = OnEndRule {
        exec: exec.into(),
        ..OnEndRule::default()
    };
    change(&mut rule);
    rule
}

/// Returns a rule that appends its report to a file.
fn appending(file: &Path, change: impl FnOnce(&mut OnEndRule)) -> OnEndRule {
    rule(&format!("cat >> {}", file.display()), change)
}

async fn start(home: TempDir, rules: Vec<OnEndRule>) -> TestDaemon {
    TestDaemon::start_in(home, |config| {
        config.sync.active_interval = Duration::from_secs(1);
        config.on_end = rules;
    })
    .await
}

/// Returns the reports in a file; the last line may still be written.
fn reports(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn runs(file: &Path) -> Vec<String> {
    let reports = reports(file).into_iter();
    let mut runs: Vec<String> = reports
        .map(|event| event["run"]["run_id"].as_str().unwrap().to_owned())
        .collect();
    runs.sort();
    runs
}

/// Waits until the mirror has a run with a status, without a request to the remote.
async fn mirror_shows(daemon: &TestDaemon, run: &str, status: &str) {
    let expected = format!(r#""status":"{status}""#);
    let path = format!("/harbor/runs/{run}?");
    eventually("the mirror shows the status", || async {
        let headers = [
            ("docks-profile", "bench"),
            ("cache-control", "only-if-cached"),
        ];
        let reply = daemon
            .get_with(&format!("/tenants/{TENANT}{path}"), &headers)
            .await;
        String::from_utf8_lossy(&reply.body)
            .replace(' ', "")
            .contains(&expected)
    })
    .await;
}

/// Waits until the position in the history is stored.
async fn cursor_is_stored(daemon: &TestDaemon) {
    eventually("the position in the history is stored", || async {
        let files = std::fs::read_dir(daemon.places().cache_dir());
        let paths = files.into_iter().flatten().map(|file| file.unwrap().path());
        let mut mirrors = paths.filter(|path| path.extension().is_some_and(|e| e == "db"));
        mirrors.any(|path| {
            let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
            let file = rusqlite::Connection::open_with_flags(path, flags).unwrap();
            let note = "SELECT value FROM note WHERE key = 'acted_to'";
            file.query_row(note, [], |_| Ok(())).is_ok()
        })
    })
    .await;
}

#[tokio::test]
async fn each_end_runs_the_rules_once_across_restarts_and_earlier_ends_run_none() {
    let mut data = RemoteData::default();
    data.add_evaluation("old", "failed");
    for run in ["seen", "missed", "fine"] {
        data.add_evaluation(run, "running");
        data.add_trial(run, &format!("{run}-1"), "running");
    }
    data.add_run("plain", "running");
    let remote = FakeRemote::start(data).await;
    let home = home(&remote);
    let (file, failed): (PathBuf, PathBuf) = (home.path().join("all"), home.path().join("failed"));
    let rules = || {
        let only_failed = |rule: &mut OnEndRule| rule.statuses = vec!["failed".into()];
        // No request names this profile: the rule alone keeps it mirrored.
        let of_bench = |rule: &mut OnEndRule| rule.profiles = vec!["bench".into()];
        vec![appending(&file, of_bench), appending(&failed, only_failed)]
    };
    let daemon = start(home, rules()).await;
    cursor_is_stored(&daemon).await;
    mirror_shows(&daemon, "fine", "running").await;
    remote.with_data(|data| {
        data.advance_trial("seen", "seen-1", "failed");
        data.advance(RunKind::Evaluation, "seen", "failed");
        data.advance(RunKind::Run, "plain", "completed");
    });
    eventually("both ends are reported", || async {
        runs(&file).len() == 2
    })
    .await;
    eventually("the failure is reported", || async {
        runs(&failed).len() == 1
    })
    .await;
    let home = daemon.end().await;
    remote.with_data(|data| {
        data.advance_trial("missed", "missed-1", "success");
        data.advance(RunKind::Evaluation, "missed", "completed");
    });
    let daemon = start(home, rules()).await;
    eventually(
        "an end while the daemon was stopped is reported",
        || async { runs(&file).len() == 3 },
    )
    .await;
    // Another end, after which any repeated report would have appeared.
    remote.with_data(|data| data.advance(RunKind::Evaluation, "fine", "completed"));
    eventually("the last end is reported", || async {
        runs(&file).len() == 4
    })
    .await;
    let _home = daemon.end().await;
    assert_eq!(runs(&file), ["fine", "missed", "plain", "seen"]);
    assert_eq!(runs(&failed), ["seen"]);
    let event = &reports(&failed)[0];
    assert_eq!(event["event"], "ended");
    assert_eq!(event["profiles"][0], "bench");
    assert_eq!(
        (&event["from"], &event["run"]["status"]),
        (&"running".into(), &"failed".into())
    );
    assert_eq!(
        event["progress"]["by_status"]["failed"], 1,
        "the trials are those at the end of the run"
    );
}

#[tokio::test]
async fn a_command_that_hangs_is_killed_and_at_most_four_run_at_once() {
    let mut data = RemoteData::default();
    let names: Vec<String> = (0..6).map(|number| format!("run-{number}")).collect();
    for run in &names {
        data.add_run(run, "running");
    }
    let remote = FakeRemote::start(data).await;
    let home = home(&remote);
    let (begun, pids) = (home.path().join("begun"), home.path().join("pids"));
    // The command's own child hangs, and must be killed with it.
    let line = format!(
        "cat >> {}; sleep 600 & echo $! >> {}; wait",
        begun.display(),
        pids.display()
    );
    let rules = vec![rule(&line, |rule| {
        rule.profiles = vec!["bench".into()];
        rule.timeout = Duration::from_secs(3);
    })];
    let daemon = start(home, rules).await;
    cursor_is_stored(&daemon).await;
    eventually("all runs are mirrored", || async {
        let path = format!("/tenants/{TENANT}/runs?limit=0");
        let reply = daemon.get_with(&path, &[("docks-profile", "bench")]).await;
        String::from_utf8_lossy(&reply.body)
            .matches("running")
            .count()
            == 6
    })
    .await;
    remote.with_data(|data| {
        for run in &names {
            data.advance(RunKind::Run, run, "failed");
        }
    });
    let hanging = || {
        let text = std::fs::read_to_string(&pids).unwrap_or_default();
        text.lines().filter(|pid| is_alive(pid)).count()
    };
    eventually("all commands have run and are killed", || async {
        let hanging = hanging();
        assert!(hanging <= 4, "{hanging} at once");
        runs(&begun).len() == names.len() && hanging == 0
    })
    .await;
    assert_eq!(runs(&begun), names);
    daemon.end().await;
}

/// Whether a process runs and is not being killed. On a busy machine a killed process can stay for
/// a while until it is scheduled once more.
fn is_alive(pid: &str) -> bool {
    const SIGKILL: u64 = 1 << 8;
    let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) else {
        return false;
    };
    let field = |name| status.lines().find_map(|line| line.strip_prefix(name));
    let pending = |name| {
        let mask = field(name).and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        mask.is_some_and(|mask| mask & SIGKILL != 0)
    };
    let is_zombie = field("State:").is_none_or(|state| state.trim().starts_with('Z'));
    !is_zombie && !pending("SigPnd:") && !pending("ShdPnd:")
}
