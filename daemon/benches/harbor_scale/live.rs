//! Jobs that run: how soon the end of a trial is in the mirror, and what that costs.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use tokio::time::sleep;

use crate::daemon_process::{DEADLINE, Daemon};
use crate::process::ProcessCost;
use crate::start_daemon;
use docksd_testkit::harbor_scale::{HarborFiles, LiveJob, job_id, trial_name};
use docksd_testkit::measure::{format_count, format_duration};

/// Number of jobs that run.
const JOBS: usize = 8;
/// Trials of each.
const TRIALS: usize = 3_750;
/// Trials of each that have begun at first.
const STARTED: usize = 3_400;
/// Trials of each that run at once.
const RUNNING: usize = 64;
/// Trials that end in a second, in all jobs.
const ENDS_PER_SECOND: u32 = 40;
/// How long they are watched.
const SPAN: Duration = Duration::from_secs(30);

/// Ends trials, and reads the file of the mirror until each result is there.
pub(crate) async fn measure() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("jobs");
    fs::create_dir(&dir).unwrap();
    let files = HarborFiles::new();
    let jobs: Vec<LiveJob> = (0..JOBS)
        .map(|job| files.create_live_job(&dir, job, TRIALS, (STARTED, RUNNING)))
        .collect();
    let daemon = start_daemon(home, &dir);
    let mirror = wait_until_mirrored(&daemon).await;
    sleep(Duration::from_secs(5)).await;
    let pid = daemon.child.id();
    let before = ProcessCost::of(pid).processor;
    let start = Instant::now();
    let mut waiting: BTreeMap<(usize, usize), Instant> = BTreeMap::new();
    let mut times = Vec::new();
    let mut ended = 0;
    let mut is_passed = mirror
        .prepare(
            "SELECT t.status NOT IN ('running', 'pending') FROM trials t JOIN trial_list l ON l.seq = t.list
             WHERE l.run = ?1 AND t.id = ?2",
        )
        .unwrap();
    while start.elapsed() < SPAN || !waiting.is_empty() {
        if start.elapsed() < SPAN
            && start.elapsed() >= ended * Duration::from_secs(1) / ENDS_PER_SECOND
        {
            let (job, round) = (ended as usize % JOBS, ended as usize / JOBS);
            let trial = STARTED - RUNNING + round;
            files.end_live_trial(&jobs[job], trial, trial + 1);
            waiting.insert((job, trial), Instant::now());
            files.start_live_trial(&jobs[job], STARTED + round);
            ended += 1;
        }
        waiting.retain(|(job, trial), at| {
            assert!(at.elapsed() < DEADLINE, "a change never reaches the mirror");
            let found = is_passed.query_row((job_id(*job), trial_name(*trial)), |row| row.get(0));
            let is_there = found.unwrap_or(false);
            if is_there {
                times.push(at.elapsed());
            }
            !is_there
        });
        sleep(Duration::from_millis(2)).await;
    }
    let share =
        (ProcessCost::of(pid).processor - before).as_secs_f64() / start.elapsed().as_secs_f64();
    times.sort();
    let at = |share: usize| format_duration(times[(times.len() - 1) * share / 100]);
    println!(
        "\n| {JOBS} jobs that run, {} trials: change on disk → in the mirror | p50 | p99 | max | of a core | memory |",
        format_count((JOBS * TRIALS) as u64)
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    println!(
        "| {ended} trials that end, {ENDS_PER_SECOND} a second | {} | {} | {} | {:.1} % | {:.0} MB |",
        at(50),
        at(99),
        at(100),
        share * 100.0,
        ProcessCost::of(pid).most_resident_mb,
    );
}

async fn wait_until_mirrored(daemon: &Daemon) -> Connection {
    daemon.wait_until_ready().await;
    let client = daemon.client();
    let start = Instant::now();
    loop {
        assert!(start.elapsed() < DEADLINE, "the jobs are never mirrored");
        let policy = docks_proto::freshness::CachePolicy::Default;
        let newest = docks_proto::query::ListQuery::default();
        let kind = docks_proto::routes::RunKind::Evaluation;
        drop(client.list_runs(kind, &newest, policy).await);
        let status = client.status().await.unwrap();
        if let [remote] = &status.remotes[..]
            && remote.rows.trials == (JOBS * TRIALS) as u64
            && remote.following.as_deref() == Some("events")
        {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
            return Connection::open_with_flags(&remote.database, flags).unwrap();
        }
        sleep(Duration::from_millis(100)).await;
    }
}
