//! `[[on_end]]` in `daemon.toml`: what is done when a run has ended.

use std::path::{Path, PathBuf};
use std::time::Duration;

use docks_proto::routes::RunKind;
use docksd::config::OnEndRule;
use serde_json::Value;
use tempfile::TempDir;

use crate::test_daemon::{TestDaemon, eventually};
use docksd_testkit::fake_remote::{FakeRemote, RemoteData, TENANT};

/// A home for `remote`.
fn home(remote: &FakeRemote) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let text = format!(
        "[bench]\napi_url = \"{}\"\ntenant_id = \"{TENANT}\"\ntoken = \"s3cret\"\n",
        remote.url()
    );
    std::fs::write(home.path().join("config.toml"), text).unwrap();
    home
}

/// A rule whose command is a line of shell.
fn rule(line: &str, change: impl FnOnce(&mut OnEndRule)) -> OnEndRule {
    let exec = ["/bin/sh", "-c", line].map(str::to_owned);
    let mut rule = OnEndRule {
        exec: exec.into(),
        ..OnEndRule::default()
    };
    change(&mut rule);
    rule
}

/// A rule that adds what it is told to a file.
fn telling(file: &Path, change: impl FnOnce(&mut OnEndRule)) -> OnEndRule {
    rule(&format!("cat >> {}", file.display()), change)
}

async fn start(home: TempDir, rules: Vec<OnEndRule>) -> TestDaemon {
    TestDaemon::start_in(home, |config| {
        config.sync.active_interval = Duration::from_secs(1);
        config.on_end = rules;
    })
    .await
}

fn told(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn runs(file: &Path) -> Vec<String> {
    let told = told(file).into_iter();
    let mut runs: Vec<String> = told
        .map(|event| event["run"]["run_id"].as_str().unwrap().to_owned())
        .collect();
    runs.sort();
    runs
}

/// Waits until the mirror shows a run with a status; nobody asks the remote for that.
async fn shows(daemon: &TestDaemon, run: &str, status: &str) {
    let wanted = format!(r#""status":"{status}""#);
    let path = format!("/harbor/runs/{run}?");
    eventually("the mirror shows it", || async {
        let headers = [
            ("docks-profile", "bench"),
            ("cache-control", "only-if-cached"),
        ];
        let reply = daemon
            .get_with(&format!("/tenants/{TENANT}{path}"), &headers)
            .await;
        String::from_utf8_lossy(&reply.body)
            .replace(' ', "")
            .contains(&wanted)
    })
    .await;
}

/// Waits until the history is followed.
async fn followed(daemon: &TestDaemon) {
    eventually("the history is followed", || async {
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
async fn an_end_is_told_once_whoever_slept_and_what_was_over_before_is_left_alone() {
    let mut data = RemoteData::default();
    data.add_evaluation("old", "failed");
    for run in ["seen", "missed", "fine"] {
        data.add_evaluation(run, "running");
        data.add_trial(run, &format!("{run}-1"), "running");
    }
    data.add_run("plain", "running");
    let remote = FakeRemote::start(data).await;
    let home = home(&remote);
    let (file, failed): (PathBuf, PathBuf) = (home.path().join("told"), home.path().join("failed"));
    let rules = || {
        let only_failed = |rule: &mut OnEndRule| rule.statuses = vec!["failed".into()];
        // Nobody asks for this profile: its rule alone keeps it mirrored.
        let of_bench = |rule: &mut OnEndRule| rule.profiles = vec!["bench".into()];
        vec![telling(&file, of_bench), telling(&failed, only_failed)]
    };
    let daemon = start(home, rules()).await;
    followed(&daemon).await;
    shows(&daemon, "fine", "running").await;
    remote.with_data(|data| {
        data.advance_trial("seen", "seen-1", "failed");
        data.advance(RunKind::Evaluation, "seen", "failed");
        data.advance(RunKind::Run, "plain", "completed");
    });
    eventually("both ends are told", || async { runs(&file).len() == 2 }).await;
    eventually("the failure is told", || async { runs(&failed).len() == 1 }).await;
    let home = daemon.end().await;
    remote.with_data(|data| {
        data.advance_trial("missed", "missed-1", "success");
        data.advance(RunKind::Evaluation, "missed", "completed");
    });
    let daemon = start(home, rules()).await;
    eventually("what happened meanwhile is told", || async {
        runs(&file).len() == 3
    })
    .await;
    // One more, so that whatever would be told twice had its turn.
    remote.with_data(|data| data.advance(RunKind::Evaluation, "fine", "completed"));
    eventually("the last end is told", || async { runs(&file).len() == 4 }).await;
    let _home = daemon.end().await;
    assert_eq!(runs(&file), ["fine", "missed", "plain", "seen"]);
    assert_eq!(runs(&failed), ["seen"]);
    let event = &told(&failed)[0];
    assert_eq!(event["event"], "ended");
    assert_eq!(event["profiles"][0], "bench");
    assert_eq!(
        (&event["from"], &event["run"]["status"]),
        (&"running".into(), &"failed".into())
    );
    assert_eq!(
        event["progress"]["by_status"]["failed"], 1,
        "the trials are those of the end"
    );
}

#[tokio::test]
async fn a_command_that_hangs_is_ended_and_no_more_than_four_run_at_once() {
    let mut data = RemoteData::default();
    let names: Vec<String> = (0..6).map(|number| format!("run-{number}")).collect();
    for run in &names {
        data.add_run(run, "running");
    }
    let remote = FakeRemote::start(data).await;
    let home = home(&remote);
    let (begun, pids) = (home.path().join("begun"), home.path().join("pids"));
    // A hanging child of the command's own must go with it.
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
    followed(&daemon).await;
    eventually("all runs are known", || async {
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
        let alive = |pid: &&str| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
            stat.is_ok_and(|stat| !stat.contains(") Z "))
        };
        text.lines().filter(alive).count()
    };
    let mut most = 0;
    while runs(&begun).len() < names.len() || hanging() > 0 {
        most = most.max(hanging());
        assert!(most <= 4, "{most} at once");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(runs(&begun), names);
    daemon.end().await;
}
