//! Daemons that are killed again and again while they sync and clients read: the mirror stays sound, no
//! confirmed object is lost, and in the end it equals the remote. Once with a Docks API, and once with a
//! jobs directory that changes meanwhile.
//!
//! Rounds are paced by what the daemon has reached, not by time, so a slow machine kills at the
//! same moments as a fast one.

mod docks_api;
mod jobs_directory;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use docks_proto::client::{Client, body};
use docks_proto::freshness::CachePolicy;
use docks_proto::object::RunFields;
use docks_proto::paths::Paths;
use docks_proto::routes::RunKind;
use tokio::time::{Instant, sleep, timeout};

use crate::upstream_support::everything;

/// Number of kills in both tests together, unless the environment sets another one.
const ROUNDS: usize = 200;
const ROUNDS_VARIABLE: &str = "DOCKS_KILL_ROUNDS";

/// Kills between two checks of the file, each of which takes as long as several rounds.
const CHECK_EVERY: usize = 10;

/// Longest wait for a state that the daemon must reach, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// Longest wait for work that may not come, because the daemon has nothing left to do.
const ENOUGH_WAITING: Duration = Duration::from_millis(300);

/// A daemon that is killed when the test ends, however it ends.
struct Daemon(Child);

impl Daemon {
    fn start(home: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_docksd"));
        command
            .arg("--home")
            .arg(home)
            .arg("--foreground")
            .args(["--log-level", "error"])
            .env_clear()
            .env("DOCKS_USE_KEYRING", "false")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have exited already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// What the readers beside a daemon have seen.
#[derive(Default)]
struct Seen {
    /// Ids of the last answer: these objects count as acknowledged.
    acknowledged: Mutex<Vec<String>>,
    reads: AtomicU64,
}

/// Reads until it is dropped.
async fn read(client: impl Fn() -> Client, seen: &Seen) {
    loop {
        let client = client();
        for allowed in [CachePolicy::Default, CachePolicy::NoCache] {
            // A daemon that is being killed may not answer.
            let all = everything();
            let listed = client.list_runs(RunKind::Evaluation, &all, allowed);
            if let Ok(Ok(answer)) = timeout(DEADLINE, listed).await {
                let list = body::parse_list(&answer.body).expect("an answer is a complete list");
                let ids = list
                    .objects
                    .iter()
                    .filter_map(|o| RunFields::from_object(o).id.text());
                *seen.acknowledged.lock().unwrap() = ids.collect();
                seen.reads.fetch_add(1, Ordering::Relaxed);
            }
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until the daemon accepts requests.
async fn wait_until_it_answers(client: impl Fn() -> Client) {
    let deadline = Instant::now() + DEADLINE;
    while client().status().await.is_err() {
        assert!(Instant::now() < deadline, "the daemon does not start");
        sleep(Duration::from_millis(2)).await;
    }
}

/// Waits until the readers have got one more answer.
async fn wait_until_read(seen: &Seen) {
    let before = seen.reads.load(Ordering::Relaxed);
    let deadline = Instant::now() + DEADLINE;
    while seen.reads.load(Ordering::Relaxed) == before {
        assert!(Instant::now() < deadline, "no list is ever answered");
        sleep(Duration::from_millis(2)).await;
    }
}

/// Returns the path of the only mirror.
fn database(places: &Paths) -> PathBuf {
    let files = std::fs::read_dir(places.cache_dir()).unwrap();
    let mut found: Vec<PathBuf> = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.to_string_lossy().contains(".db"))
        .filter(|path| !path.to_string_lossy().ends_with("-wal"))
        .filter(|path| !path.to_string_lossy().ends_with("-shm"))
        .collect();
    assert_eq!(found.len(), 1, "nothing was set aside: {found:?}");
    found.remove(0)
}

/// Checks the file as the next daemon would find it.
fn check(places: &Paths, acknowledged: &[String], round: usize) {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
    let file = rusqlite::Connection::open_with_flags(database(places), flags).unwrap();
    let verdict: String = file
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(verdict, "ok", "after kill {round}");
    let mut found = file.prepare("SELECT 1 FROM runs WHERE id = ?1").unwrap();
    for id in acknowledged {
        assert!(found.exists([id]).unwrap(), "{id} is lost by kill {round}");
    }
}

/// Returns the number of kills of one of the two tests.
fn rounds() -> usize {
    let variable = std::env::var(ROUNDS_VARIABLE).ok();
    let both = variable.map_or(ROUNDS, |text| text.parse().unwrap());
    both.div_ceil(2)
}
