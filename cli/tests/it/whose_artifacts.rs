//! What one credential has downloaded is never shown to another.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use docks_artifacts::cache::{AddressRecord, Cache};
use docks_artifacts::digest::Sha256;
use docks_proto::hash::fnv1a_64;
use docks_proto::time::UnixMs;

use crate::remote::Remote;
use crate::sealed::CommandResult;
use crate::test_home::{TestHome, eventually};

/// The run and its trial, which all tokens see.
pub(crate) const RUN: &str = "run-1";
pub(crate) const LOGS: &str = "runs logs run-1 trial-1";

/// What a token is shown at the address of the log.
pub(crate) fn log_of(token: &str) -> String {
    format!("as {token} sees it\n")
}

/// A remote with one run, whose only file, at one address, depends on the token.
pub(crate) struct Files {
    pub(crate) remote: Remote,
    ended: Arc<AtomicBool>,
}

impl Files {
    pub(crate) fn start() -> Self {
        let ended = Arc::new(AtomicBool::new(true));
        let has_ended = Arc::clone(&ended);
        let own = Arc::new(OnceLock::<String>::new());
        let address = Arc::clone(&own);
        let remote = Remote::start_for_tokens(move |request, token| {
            let Some(token) = token else {
                return (401, r#"{"detail":"no token"}"#.to_owned());
            };
            let path = request.split([' ', '?']).nth(1).unwrap_or_default();
            let status = if has_ended.load(Ordering::Relaxed) {
                "completed"
            } else {
                "running"
            };
            let run = format!(
                r#"{{"id":"{RUN}","name":"nightly","status":"{status}","created_at":"2026-01-01T00:00:00Z"}}"#
            );
            let url = address.get().unwrap();
            let trial = format!(
                r#"{{"id":"trial-1","task_slug":"sum","status":"{status}","logs_uri":"{url}/files/log.txt"}}"#
            );
            match path {
                "/tenants/ten/runs" => (200, "[]".to_owned()),
                "/tenants/ten/harbor/runs" => (200, format!("[{run}]")),
                "/tenants/ten/harbor/runs/run-1" => (200, run),
                "/tenants/ten/harbor/runs/run-1/trials" => (200, format!("[{trial}]")),
                "/tenants/ten/harbor/runs/run-1/trials/trial-1" => (200, trial),
                "/files/log.txt" => (200, log_of(token)),
                _ => (404, r#"{"detail":"Not Found"}"#.to_owned()),
            }
        });
        own.set(remote.url()).unwrap();
        Self { remote, ended }
    }

    fn is_running(&self, running: bool) {
        self.ended.store(!running, Ordering::Relaxed);
    }
}

/// Writes one profile per name and token.
pub(crate) fn profiles(home: &TestHome, url: &str, tokens: &[(&str, &str)]) {
    let text: String = tokens
        .iter()
        .map(|(name, token)| {
            format!("[{name}]\napi_url = \"{url}\"\ntenant_id = \"ten\"\ntoken = \"{token}\"\n\n")
        })
        .collect();
    home.write_settings(text);
}

/// Runs a line with a token from the environment.
pub(crate) fn run_as(home: &TestHome, token: &str, line: &str) -> CommandResult {
    let mut command = home.command(line);
    CommandResult::new(command.env("DOCKS_TOKEN", token).output().unwrap())
}

/// A home with profiles `a` and `b` of one tenant, whose daemon has mirrored the trial for both.
pub(crate) fn home_of_two(files: &Files) -> TestHome {
    let home = TestHome::new();
    let tokens = [("a", "admin"), ("b", "guest")];
    profiles(&home, &files.remote.url(), &tokens);
    home.run("daemon start").expect_success();
    for (profile, _) in tokens {
        home.run(&format!("-p {profile} runs trial run-1 trial-1"))
            .expect_success();
    }
    home
}

/// Lists every file below a directory.
pub(crate) fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut left = vec![directory.to_owned()];
    let mut found = Vec::new();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        } else if path.is_file() {
            found.push(path);
        }
    }
    found
}

#[test]
fn two_profiles_see_their_own_content_of_one_address() {
    let files = Files::start();
    let home = home_of_two(&files);
    for _ in 0..2 {
        for (profile, token) in [("a", "admin"), ("b", "guest")] {
            let read = |more: &str| {
                home.run(&format!("-p {profile} {LOGS} {more}"))
                    .expect_success()
            };
            assert_eq!(read(""), log_of(token));
            assert_eq!(read("--max-age 1h"), log_of(token));
            assert_eq!(read("--offline"), log_of(token));
        }
    }
    for (profile, token) in [("a", "admin"), ("b", "guest")] {
        let line = format!("-p {profile} runs artifacts run-1 -o {profile} --offline");
        home.run(&line).expect_success();
        let written = home.path(&format!("{profile}/run-1/sum_trial-1/logs.txt"));
        assert_eq!(std::fs::read_to_string(written).unwrap(), log_of(token));
    }
}

#[test]
fn what_another_has_downloaded_is_not_read_offline() {
    let files = Files::start();
    let home = home_of_two(&files);
    home.run("-p a cache pull run-1").expect_success();
    home.run("-p a cache pin run-1").expect_success();
    files.remote.take_requests();
    assert_eq!(
        home.run(&format!("-p a {LOGS} --offline")).expect_success(),
        log_of("admin")
    );
    for line in [
        format!("-p b {LOGS} --offline"),
        "-p b runs artifacts run-1 -o b --offline".to_owned(),
    ] {
        let refused = home.run(&line);
        assert!(matches!(refused.code, Some(5 | 12)), "{refused:?}");
        assert!(refused.stdout.is_empty(), "{refused:?}");
    }
    let asked = files.remote.requests();
    assert!(
        !asked.iter().any(|line| line.contains("/files/")),
        "{asked:?}"
    );
    // Another owner's run has its own record and its own pin.
    let status = home.run("cache status --format json").expect_success();
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["runs"].as_array().unwrap().len(), 2, "{status}");
    home.run("-p b cache unpin run-1").expect_success();
    home.run("cache prune --to 0").expect_success();
    home.run(&format!("-p a {LOGS} --offline")).expect_success();
}

#[test]
fn a_token_from_the_environment_has_the_same_artifacts_with_and_without_a_daemon() {
    let files = Files::start();
    let home = TestHome::new();
    profiles(&home, &files.remote.url(), &[("default", "admin")]);
    let pull = "cache pull run-1 --no-daemon";
    run_as(&home, "guest", pull).expect_success();
    run_as(&home, "admin", pull).expect_success();
    home.run("daemon start").expect_success();
    for token in ["admin", "guest", "other"] {
        run_as(&home, token, "runs trial run-1 trial-1").expect_success();
    }
    files.remote.take_requests();
    let offline = format!("{LOGS} --offline");
    assert_eq!(
        run_as(&home, "guest", &offline).expect_success(),
        log_of("guest")
    );
    // The profile's own token is the profile.
    assert_eq!(
        run_as(&home, "admin", &offline).expect_success(),
        log_of("admin")
    );
    assert_eq!(home.run(&offline).expect_success(), log_of("admin"));
    let other = run_as(&home, "other", &offline);
    assert_eq!(
        (other.code, other.stdout.as_str()),
        (Some(5), ""),
        "{}",
        other.stderr
    );
    let asked = files.remote.requests();
    assert!(
        !asked.iter().any(|line| line.contains("/files/")),
        "{asked:?}"
    );
}

#[test]
fn no_file_and_no_name_lets_a_token_be_found_out() {
    let files = Files::start();
    let home = TestHome::new();
    profiles(&home, &files.remote.url(), &[("default", "admin")]);
    let token = "the-token-of-a-guest";
    run_as(&home, token, "cache pull run-1 --no-daemon").expect_success();
    home.run("daemon start").expect_success();
    run_as(&home, token, LOGS).expect_success();
    run_as(&home, token, "profile list").expect_success();
    let guesses = [
        token.to_owned(),
        Sha256::of_text(token).to_string(),
        format!("{:016x}", fnv1a_64(token)),
        docks_proto::credentials::fingerprint(token),
    ];
    let cached = log_of(token);
    let found = files_below(&home.path("docks"));
    assert!(found.len() > 5, "{found:?}");
    for path in found {
        let name = path.to_string_lossy().into_owned();
        let content = std::fs::read(&path).unwrap();
        let content = String::from_utf8_lossy(&content).replace(&cached, "");
        for guess in &guesses {
            assert!(!name.contains(guess), "{name}");
            assert!(!content.contains(guess), "{name} contains {guess}");
        }
    }
}

#[test]
fn the_daemon_fetches_the_artifacts_of_a_run_that_ends_for_its_owner() {
    let files = Files::start();
    files.is_running(true);
    let home = TestHome::new();
    profiles(
        &home,
        &files.remote.url(),
        &[("a", "admin"), ("b", "guest")],
    );
    let settings = "pull = \"logs\"\nlog_level = \"debug\"\n";
    std::fs::write(home.path("docks/daemon.toml"), settings).unwrap();
    home.run("daemon start").expect_success();
    home.run("-p a runs trials run-1").expect_success();
    let watched = "-p a runs eval-list --fresh";
    assert!(home.run(watched).expect_success().contains("running"));
    // Only ends after this point count.
    eventually("the daemon waits for ends", || {
        let logs = files_below(&home.path("docks/log")).into_iter();
        let mut logs = logs.map(|path| std::fs::read_to_string(path).unwrap());
        logs.any(|log| log.contains("for runs that have ended"))
    });
    files.is_running(false);
    let cache = Cache::new(home.path("docks/cache/artifacts"), 1 << 30, UnixMs::now());
    eventually("the log is in the cache", || {
        home.run(watched).expect_success();
        cache.usage().is_ok_and(|usage| usage.objects > 0)
    });
    let offline = |profile: &str| home.run(&format!("-p {profile} {LOGS} --offline"));
    assert_eq!(offline("a").expect_success(), log_of("admin"));
    home.run("-p b runs trial run-1 trial-1").expect_success();
    assert_eq!(offline("b").code, Some(5));
}

/// Writes the cache of an earlier release, which knew no owners: an object, its address at the remote,
/// and a pinned run.
pub(crate) fn write_earlier_cache(root: &Path, url: &str, content: &str) {
    let (remote, address) = (format!("{url} ten"), format!("{url}\0{url}/files/log.txt"));
    let write = |directory: &str, key: &Sha256, content: &str| {
        let shard = if directory == "runs" {
            ""
        } else {
            &key.hex()[..2]
        };
        let directory = root.join(directory).join(shard);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(key.hex()), content).unwrap();
    };
    let (object, key) = (Sha256::of_text(content), Sha256::of_text(&address));
    write("objects", &object, content);
    let record = AddressRecord {
        version: None,
        sha256: object,
        size_bytes: content.len() as u64,
        confirmed_ms: 1,
        owner: None,
    };
    write("known", &key, &serde_json::to_string(&record).unwrap());
    let run = serde_json::json!({
        "run": {"remote": remote, "run_id": RUN},
        "pinned": true,
        "keys": [key],
    });
    let run_key = Sha256::of_text(&format!("{remote}\0{RUN}"));
    write("runs", &run_key, &run.to_string());
}

#[test]
fn what_an_earlier_release_has_cached_goes_to_the_first_profile() {
    let files = Files::start();
    let home = home_of_two(&files);
    let url = files.remote.url();
    let root = home.path("docks/cache/artifacts");
    write_earlier_cache(&root, &url, "cached long ago\n");
    let offline = |profile: &str| home.run(&format!("-p {profile} {LOGS} --offline"));
    assert_eq!(offline("b").code, Some(5));
    assert_eq!(offline("a").expect_success(), "cached long ago\n");
    assert_eq!(offline("b").code, Some(5));
    // It is still pinned, now for its owner.
    home.run("cache prune --to 0").expect_success();
    assert_eq!(offline("a").expect_success(), "cached long ago\n");
    assert!(
        home.run("-p b cache unpin run-1")
            .stderr
            .contains("was not pinned")
    );
    assert!(
        home.run("-p a cache unpin run-1")
            .stderr
            .contains("is no longer pinned")
    );
    let owners: BTreeSet<_> = Cache::new(root, 0, UnixMs::now())
        .runs()
        .unwrap()
        .into_iter()
        .map(|record| record.run.owner.is_some())
        .collect();
    assert_eq!(owners, BTreeSet::from([true]));
}
