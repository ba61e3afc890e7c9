//! A daemon that is killed again and again while it syncs and clients read: its mirror stays
//! sound, no confirmed object is lost, and in the end the mirror equals the remote.
//!
//! Rounds are paced by what the daemon has reached, not by time, so a slow machine kills at the
//! same moments as a fast one.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use docks_proto::freshness::CachePolicy;
use docks_proto::object::RunFields;
use docks_proto::routes::RunKind;
use docks_proto::{client::Limits, client::body};
use tokio::time::{Instant, sleep, timeout};

use crate::upstream_support::{Site, everything};
use docksd_testkit::fake_remote::RemoteData;

/// Number of kills, unless the environment sets another one.
/// Number of kills, unless the environment sets another one.
const ROUNDS: usize = 200;
const ROUNDS_VARIABLE: &str = "DOCKS_KILL_ROUNDS";

/// Kills between two checks of the file, each of which takes as long as several rounds.
const CHECK_EVERY: usize = 10;

/// Longest wait for a state that the daemon must reach, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// Longest wait for requests that may not come, because the daemon has nothing left to fetch.
const ENOUGH_WAITING: Duration = Duration::from_millis(300);

/// When a round kills its daemon.
#[derive(Clone, Copy)]
enum KillPoint {
    /// As soon as it answers on its socket.
    Started,
    /// After this many requests to the remote: in the middle of a sync.
    Requests(usize),
    /// After it has answered a list.
    Answered,
}

impl KillPoint {
    fn of_round(round: usize) -> Self {
        match round % 4 {
            0 => KillPoint::Answered,
            1 => KillPoint::Started,
            _ => KillPoint::Requests(fastrand::usize(1..30)),
        }
    }
}

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

/// Changes the remote; it grows up to 300 runs.
async fn change(site: &Site, turn: u64) {
    site.remote.with_data(|data| {
        let count = data.evaluations.len();
        let at = usize::try_from(turn).unwrap() % count;
        let id = data.evaluations[at].id.clone();
        match turn % 5 {
            0 if count < 300 => {
                let id = format!("run-{turn}");
                data.add_evaluation(&id, "running");
                data.add_run(&format!("plain-{turn}"), "running");
                data.add_trial(&id, &format!("trial-{turn}"), "running");
            }
            1 => data.advance(RunKind::Evaluation, &id, "completed"),
            2 => data.advance(RunKind::Evaluation, &id, "running"),
            _ => data.set(RunKind::Evaluation, &id, "turn", turn.into()),
        }
    });
    sleep(Duration::from_millis(3)).await;
}

/// Reads until it is dropped; the objects of an answer count as acknowledged.
async fn read(site: &Site, acknowledged: &Mutex<Vec<String>>, reads: &AtomicU64) {
    loop {
        let client = site.client();
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
                *acknowledged.lock().unwrap() = ids.collect();
                reads.fetch_add(1, Ordering::Relaxed);
            }
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until the daemon accepts requests.
async fn wait_until_it_answers(site: &Site) {
    let deadline = Instant::now() + DEADLINE;
    while site.client().status().await.is_err() {
        assert!(Instant::now() < deadline, "the daemon does not start");
        sleep(Duration::from_millis(2)).await;
    }
}

/// Waits until the daemon has reached the moment at which it is to be killed.
async fn wait_until_reached(point: KillPoint, site: &Site, reads: &AtomicU64) {
    match point {
        KillPoint::Started => {}
        KillPoint::Requests(count) => {
            let enough = site.remote.log().len() + count;
            let reached = async {
                while site.remote.log().len() < enough {
                    sleep(Duration::from_millis(1)).await;
                }
            };
            // A daemon with nothing left to fetch is killed then.
            timeout(ENOUGH_WAITING, reached).await.ok();
        }
        KillPoint::Answered => {
            let before = reads.load(Ordering::Relaxed);
            let deadline = Instant::now() + DEADLINE;
            while reads.load(Ordering::Relaxed) == before {
                assert!(Instant::now() < deadline, "no list is ever answered");
                sleep(Duration::from_millis(2)).await;
            }
        }
    }
}

/// Returns the path of the only mirror.
fn database(site: &Site) -> PathBuf {
    let files = std::fs::read_dir(site.places().cache_dir()).unwrap();
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
fn check(site: &Site, acknowledged: &[String], round: usize) {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
    let file = rusqlite::Connection::open_with_flags(database(site), flags).unwrap();
    let verdict: String = file
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(verdict, "ok", "after kill {round}");
    let mut found = file.prepare("SELECT 1 FROM runs WHERE id = ?1").unwrap();
    for id in acknowledged {
        assert!(found.exists([id]).unwrap(), "{id} is lost by kill {round}");
    }
}

fn rounds() -> usize {
    let variable = std::env::var(ROUNDS_VARIABLE).ok();
    variable.map_or(ROUNDS, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_killed_at_any_moment_loses_nothing_and_needs_no_repair() {
    let mut site = Site::new(RemoteData::sample(20, 3), None, Limits::default()).await;
    let settings = "budget_per_minute = 60000\nactive_interval = \"1s\"\nidle_interval = \"1s\"\n";
    std::fs::write(site.places().daemon_file(), settings).unwrap();
    let (home, site_ref) = (site.places().home, &site);
    let (acknowledged, reads) = (Arc::new(Mutex::new(Vec::new())), AtomicU64::new(0));
    let kills = async {
        for round in 1..=rounds() {
            let mut daemon = Daemon::start(&home);
            wait_until_it_answers(site_ref).await;
            acknowledged.lock().unwrap().clear();
            site_ref.remote.take_log();
            let client = site_ref.client();
            let sync = async {
                // Half of the rounds are in a full sync; it may end before the kill.
                client.sync(round % 2 == 0, |_| {}).await.ok();
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = sync => {}
                () = wait_until_reached(KillPoint::of_round(round), site_ref, &reads) => {}
            }
            daemon.kill();
            if round % CHECK_EVERY == 0 {
                let acknowledged = acknowledged.lock().unwrap().clone();
                check(site_ref, &acknowledged, round);
            }
        }
    };
    let changes = async {
        for turn in 1.. {
            change(site_ref, turn).await;
        }
    };
    tokio::select! {
        () = kills => {}
        () = changes => {}
        () = read(site_ref, &acknowledged, &reads) => {}
        () = read(site_ref, &acknowledged, &reads) => {}
    }
    let mut last = Daemon::start(&home);
    wait_until_it_answers(site_ref).await;
    site.becomes_equal("after the last kill").await;
    site.client().shutdown().await.unwrap();
    let ended = last.0.wait().unwrap();
    assert!(ended.success(), "{ended}");
    check(&site, &[], rounds());
    assert!(!site.places().socket.exists(), "it leaves no socket");
    site.stop().await;
}
