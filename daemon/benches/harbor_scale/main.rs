//! A jobs directory of any size, with all the files of Harbor 0.26: how soon the real `docksd` answers and has read all of
//! it, in how much memory, what it reads again after a restart, and how soon a change of jobs that run is in the mirror.
//!
//! `cargo build --release && cargo bench -p docksd --bench harbor_scale [-- JOBS TRIALS [DIR]]`
//!
//! A DIR is kept, and used again if it is there: creating 100,000 trials takes minutes.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark stops at the step that fails"
)]
#![expect(clippy::print_stdout, reason = "its figures are its output")]

#[path = "../daemon_process/mod.rs"]
mod daemon_process;
mod live;
mod process;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use docks_proto::freshness::CachePolicy;
use docks_proto::query::ListQuery;
use docks_proto::routes::RunKind;
use docks_proto::settings::LOCAL_TENANT;
use tempfile::TempDir;
use tokio::time::sleep;

use daemon_process::{DEADLINE, Daemon};
use docksd_testkit::harbor_scale::HarborFiles;
use docksd_testkit::measure::{format_count, format_duration};
use process::ProcessCost;

/// How long the daemon is left alone before its memory counts as that of an idle one.
const SETTLE: Duration = Duration::from_secs(30);
/// Lists whose median is taken.
const LISTS: usize = 50;

#[tokio::main]
async fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    arguments.retain(|argument| !argument.starts_with("--"));
    let number = |at: usize, default| arguments.get(at).map_or(default, |n| n.parse().unwrap());
    let (jobs, trials) = (number(0, 100), number(1, 1_000));
    let temporary = tempfile::tempdir().unwrap();
    let dir = arguments
        .get(2)
        .map_or(temporary.path().join("jobs"), PathBuf::from);
    if !dir.exists() {
        HarborFiles::new().create_jobs(&dir, jobs, trials);
    }
    let files = warm_up(&dir);
    println!(
        "\n{} jobs of {} trials each, {} files, in the page cache.",
        format_count(jobs as u64),
        format_count(trials as u64),
        format_count(files)
    );
    measure(&dir, jobs, trials).await;
    live::measure().await;
}

/// Starts a daemon whose default profile is this jobs directory.
fn start_daemon(home: TempDir, dir: &Path) -> Daemon {
    let profile = format!("harbor_jobs = \"{}\"", dir.display());
    Daemon::start(home, LOCAL_TENANT, &profile)
}

/// Reads all files once; returns their number.
fn warm_up(dir: &Path) -> u64 {
    let mut files = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            files += warm_up(&entry.path());
        } else {
            std::fs::read(entry.path()).unwrap();
            files += 1;
        }
    }
    files
}

async fn measure(dir: &Path, jobs: usize, trials: usize) {
    println!(
        "\n| docksd | first list | rows in it | all read | memory then, at most | idle memory | bytes read | processor |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let home = tempfile::tempdir().unwrap();
    let mut daemon = start_daemon(home, dir);
    measure_start("first start", &daemon, jobs, trials).await;
    measure_list(&daemon, jobs).await;
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
    println!(
        "\n| docksd | first list | rows in it | all checked | memory then, at most | idle memory | bytes read | processor |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    daemon.child = daemon_process::spawn(daemon.home.path());
    measure_start("after a restart", &daemon, jobs, trials).await;
}

async fn measure_start(name: &str, daemon: &Daemon, jobs: usize, trials: usize) {
    let pid = daemon.child.id();
    daemon.wait_until_ready().await;
    let client = daemon.client();
    let start = Instant::now();
    let newest = ListQuery::default();
    let first = client.list_runs(RunKind::Evaluation, &newest, CachePolicy::Default);
    let first = first.await.unwrap();
    let first_list = start.elapsed();
    let rows = docks_proto::object::parse_list(&first.body)
        .unwrap()
        .objects
        .len();
    let is_incomplete = first
        .freshness
        .is_some_and(|known| known.incomplete.is_some());
    loop {
        assert!(start.elapsed() < DEADLINE, "the directory is never read");
        let listed = client.list_runs(RunKind::Evaluation, &newest, CachePolicy::NoCache);
        let complete = listed.await.is_ok_and(|answer| {
            let known = answer
                .freshness
                .is_some_and(|known| known.incomplete.is_none());
            known && answer.total == Some(jobs as u64)
        });
        let status = client.status().await.unwrap();
        let mirrored: u64 = status.remotes.iter().map(|remote| remote.rows.trials).sum();
        if complete && mirrored == (jobs * trials) as u64 {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    let all = start.elapsed();
    let cost = ProcessCost::of(pid);
    sleep(SETTLE).await;
    println!(
        "| {name} | {} | {rows}{} | {} | {:.0} MB | {:.0} MB | {:.0} MB | {:.1} s |",
        format_duration(first_list),
        if is_incomplete { ", incomplete" } else { "" },
        format_duration(all),
        cost.most_resident_mb,
        ProcessCost::of(pid).resident_mb,
        cost.read_mb,
        cost.processor.as_secs_f64(),
    );
}

async fn measure_list(daemon: &Daemon, jobs: usize) {
    let client = daemon.client();
    let mut times = Vec::new();
    let mut bytes = 0;
    for round in 0..LISTS {
        // Another limit each time, so that no earlier response is sent again.
        let query = ListQuery {
            limit: (jobs + round) as u64,
            ..ListQuery::default()
        };
        let start = Instant::now();
        let listed = client.list_runs(RunKind::Evaluation, &query, CachePolicy::Default);
        bytes = listed.await.unwrap().body.len();
        times.push(start.elapsed());
    }
    times.sort();
    println!("\n| a list of {jobs} jobs on the socket | bytes |");
    println!("| --- | --- |");
    println!(
        "| {} | {} |",
        format_duration(times[LISTS / 2]),
        format_count(bytes as u64)
    );
}
