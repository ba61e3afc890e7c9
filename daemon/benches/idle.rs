//! What an idle daemon costs, and how late it notices a change.
//!
//! `cargo build --release && cargo bench -p docksd --bench idle [-- ROWS SECONDS]`

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark stops at the step that fails"
)]
#![expect(clippy::print_stdout, reason = "its figures are its output")]

mod daemon_process;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

use docks_proto::routes::RunKind;
use docks_proto::status::DaemonStatus;
use rusqlite::{Connection, OpenFlags};
use tokio::time::sleep;

use daemon_process::{DEADLINE, Daemon};
use docksd_testkit::fake_remote::{FakeRemote, RemoteData, TENANT, profile_settings};
use docksd_testkit::measure::{format_count, format_duration};

const ACTIVE: usize = 100;

#[tokio::main]
async fn main() {
    let numbers: Vec<u64> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let rows = numbers.first().map_or(100_000, |n| *n as usize);
    // Whole minutes, since each list is polled at most once a minute.
    let span = Duration::from_secs(numbers.get(1).map_or(60, |n| *n));
    measure_idle_cost(rows, span).await;
    measure_delay(span * 3).await;
}

/// Kills the daemon and starts it again.
fn restart(daemon: &mut Daemon) {
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
    daemon.child = daemon_process::spawn(daemon.home.path());
}

/// Has the daemon sync everything now, as `docks sync` does; on its own it takes its time.
async fn sync(daemon: &Daemon) {
    daemon.wait_until_ready().await;
    let mut error = None;
    let client = daemon.client();
    client.sync(false, |line| error = line.error).await.unwrap();
    assert!(error.is_none(), "{error:?}");
}

/// Waits until the mirror holds that many runs of both kinds and nothing is left to do.
async fn wait_until_caught_up(daemon: &Daemon, rows: usize) -> DaemonStatus {
    let client = daemon.client();
    let start = Instant::now();
    loop {
        assert!(start.elapsed() < DEADLINE, "the first sync takes too long");
        if let Ok(status) = client.status().await
            && let [remote] = &status.remotes[..]
            && remote.rows.runs + remote.rows.evaluation_runs == rows as u64
            && remote.backlog == 0
        {
            return status;
        }
        sleep(Duration::from_millis(200)).await;
    }
}

async fn measure_idle_cost(rows: usize, span: Duration) {
    let mut data = RemoteData::default();
    for number in 0..rows {
        data.add_run(&format!("run-{number:08}"), "completed");
    }
    let remote = FakeRemote::start(data).await;
    let mut daemon = Daemon::start(
        tempfile::tempdir().unwrap(),
        TENANT,
        &profile_settings(&remote.url()),
    );
    let start = Instant::now();
    sync(&daemon).await;
    let first_sync = start.elapsed();
    wait_until_caught_up(&daemon, rows).await;

    println!(
        "\n| {} runs mirrored, {} s | resident | of a core | requests/min |",
        format_count(rows as u64),
        span.as_secs()
    );
    println!("| --- | --- | --- | --- |");
    measure_quiet_time("after the first sync", &daemon, &remote, span).await;
    restart(&mut daemon);
    wait_until_caught_up(&daemon, rows).await;
    measure_quiet_time("after a restart", &daemon, &remote, span).await;
    println!("\nThe first sync took {}.", format_duration(first_sync));
}

async fn measure_quiet_time(name: &str, daemon: &Daemon, remote: &FakeRemote, span: Duration) {
    sleep(Duration::from_secs(10)).await;
    let pid = daemon.child.id();
    remote.take_log();
    let before = cpu_ticks(pid);
    sleep(span).await;
    // Linux counts 100 ticks a second, so ticks per second are per cent of a core.
    let share = (cpu_ticks(pid) - before) as f64 / span.as_secs_f64();
    let minutes = span.as_secs_f64() / 60.0;
    println!(
        "| {name} | {:.1} MB | {share:.2} % | {:.1} |",
        resident_mb(pid),
        remote.take_log().len() as f64 / minutes
    );
}

/// Changes active runs at random times, and reads the mirror's file until each change is in it.
/// The daemon itself is not asked, since it would count that as somebody viewing the runs.
async fn measure_delay(span: Duration) {
    let mut data = RemoteData::default();
    for number in 0..5 * ACTIVE {
        let active = number >= 4 * ACTIVE;
        let status = if active { "running" } else { "completed" };
        data.add_evaluation(&format!("eval-{number:04}"), status);
    }
    let remote = FakeRemote::start(data).await;
    let daemon = Daemon::start(
        tempfile::tempdir().unwrap(),
        TENANT,
        &profile_settings(&remote.url()),
    );
    sync(&daemon).await;
    let status = wait_until_caught_up(&daemon, 5 * ACTIVE).await;
    sleep(Duration::from_secs(10)).await;
    let database = &status.remotes[0].database;
    let file = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut held = file.prepare("SELECT body FROM runs WHERE id = ?1").unwrap();

    remote.take_log();
    let start = Instant::now();
    let mut next = start;
    let mut made = 0;
    let mut waiting: HashMap<String, (String, Instant)> = HashMap::new();
    let mut times = Vec::new();
    while start.elapsed() < span {
        if Instant::now() >= next {
            let id = format!("eval-{:04}", 4 * ACTIVE + fastrand::usize(..ACTIVE));
            if let Entry::Vacant(entry) = waiting.entry(id) {
                made += 1;
                let mark = format!("mark-{made}");
                let id = entry.key();
                remote.with_data(|w| w.set(RunKind::Evaluation, id, "name", mark.as_str().into()));
                entry.insert((format!("\"{mark}\""), Instant::now()));
            }
            next += Duration::from_millis(fastrand::u64(..1_000));
        }
        waiting.retain(|id, (mark, changed)| {
            let body: String = held.query_row([id], |row| row.get(0)).unwrap();
            let is_mirrored = body.contains(mark.as_str());
            if is_mirrored {
                times.push(changed.elapsed());
            }
            assert!(
                is_mirrored || changed.elapsed() < DEADLINE,
                "a change never reaches the mirror"
            );
            !is_mirrored
        });
        sleep(Duration::from_millis(10)).await;
    }
    let requests = remote.take_log().len() as f64 / (start.elapsed().as_secs_f64() / 60.0);
    times.sort();
    let at = |share: f64| format_duration(times[(times.len() as f64 * share) as usize]);
    println!("\n| {ACTIVE} active runs, change → in the mirror | p50 | p99 | max | requests/min |");
    println!("| --- | --- | --- | --- | --- |");
    println!(
        "| {} changes | {} | {} | {} | {requests:.1} |",
        times.len(),
        at(0.5),
        at(0.99),
        at(1.0 - f64::EPSILON)
    );
}

fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("Linux provides it");
    let after = stat.rsplit(") ").next().expect("the name is in brackets");
    let fields: Vec<&str> = after.split(' ').collect();
    let number = |at: usize| fields[at].parse::<u64>().expect("a number");
    number(11) + number(12)
}

fn resident_mb(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("Linux provides it");
    let line = status.lines().find(|l| l.starts_with("VmRSS:"));
    let number = line.and_then(|l| l.split_whitespace().nth(1)?.parse::<f64>().ok());
    number.expect("a number of kilobytes") * 1024.0 / 1e6
}
