//! A daemon that is killed again and again while it syncs and serves: its mirror stays intact, keeps
//! every row that a client received, and equals the remote in the end.

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
const ROUNDS: usize = 200;
const ROUNDS_VARIABLE: &str = "DOCKS_KILL_ROUNDS";

/// Kills between two checks of the file, each of which takes as long as some kills.
const CHECK_EVERY: usize = 10;

/// How long a start, or a read after it, may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// Longest time for which a daemon runs before it is killed, on a fast machine.
const LIFETIME: Duration = Duration::from_millis(120);
/// The same on a busy machine.
const MAX_LIFETIME: Duration = Duration::from_secs(1);

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

/// Reads until it is dropped, and records the ids of the latest answer.
async fn read(site: &Site, acknowledged: &Mutex<Vec<String>>, reads: &AtomicU64) {
    loop {
        let client = site.client();
        for allowed in [CachePolicy::Default, CachePolicy::NoCache] {
            // The daemon may be killed before it answers.
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
async fn started(site: &Site) {
    let deadline = Instant::now() + DEADLINE;
    while site.client().status().await.is_err() {
        assert!(Instant::now() < deadline, "the daemon does not start");
        sleep(Duration::from_millis(2)).await;
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

/// Waits until one more read is answered, and returns how long that took.
async fn next_read(reads: &AtomicU64) -> Duration {
    let (start, before) = (Instant::now(), reads.load(Ordering::Relaxed));
    while reads.load(Ordering::Relaxed) == before {
        assert!(start.elapsed() < DEADLINE, "no read is answered");
        sleep(Duration::from_millis(2)).await;
    }
    start.elapsed()
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
        let mut lifetime = LIFETIME;
        for round in 1..=rounds() {
            let mut daemon = Daemon::start(&home);
            started(site_ref).await;
            acknowledged.lock().unwrap().clear();
            if round % CHECK_EVERY == 0 {
                // A check needs rows that a client received from this daemon. How long that takes
                // is also the measure of how long the next daemons run.
                let answered_after = next_read(&reads).await;
                lifetime = (2 * answered_after).clamp(LIFETIME, MAX_LIFETIME);
            }
            let spare = lifetime.mul_f64(fastrand::f64());
            // Half of them in the middle of a full sync.
            let client = site_ref.client();
            let sync = client.sync(round % 2 == 0, |_| {});
            drop(timeout(spare, async { (sync.await, sleep(spare).await) }).await);
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
    assert!(reads.load(Ordering::Relaxed) > 0, "no read was answered");
    let mut last = Daemon::start(&home);
    started(site_ref).await;
    site.becomes_equal("after the last kill").await;
    site.client().shutdown().await.unwrap();
    let status = last.0.wait().unwrap();
    assert!(status.success(), "{status}");
    check(&site, &[], rounds());
    assert!(!site.places().socket.exists(), "it removes its socket");
    site.stop().await;
}
