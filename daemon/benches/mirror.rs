//! How fast trials are stored, and whether a list costs the same in a large mirror as in a small one.
//!
//! `cargo bench -p docksd --bench mirror [-- ROWS…]`

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark stops at the step that fails"
)]
#![expect(clippy::print_stdout, reason = "its figures are its output")]

use std::time::{Duration, Instant};

use docks_proto::object::RawObject;
use docks_proto::query::ListQuery;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use docksd_mirror::{Mirror, Provenance, RunBatch};
use tokio::runtime::Runtime;

use docksd_testkit::measure::{format_count, format_duration, median};

const KIND: RunKind = RunKind::Evaluation;
const TRIALS: u64 = 10_000;
const BATCH: u64 = 5_000;
const INGEST_ROUNDS: i64 = 20;
const LIST_ROUNDS: usize = 500;

fn object(text: &str) -> RawObject {
    RawObject::parse(text).unwrap().unwrap()
}

fn run(n: u64) -> RawObject {
    let status = ["completed", "completed", "failed", "cancelled"][(n % 4) as usize];
    let created = UnixMs(1_700_000_000_000 + i64::try_from(n).unwrap() * 1_000).rfc3339();
    object(&format!(
        r#"{{"id":"5f0c8a52-7c1e-4b61-9a53-{n:012x}","name":"nightly-{n}","status":"{status}","dataset_uri":"gs://bucket/datasets/terminal-bench","total_trials":20,"completed_trials":20,"passed_trials":12,"failed_trials":8,"created_at":"{created}","completed_at":"{created}","leaderboard":[{{"variant_name":"base","trial_count":20,"avg_pass_rate":0.6}}]}}"#
    ))
}

fn trial(run: u64, n: u64) -> RawObject {
    object(&format!(
        r#"{{"id":"{run:08x}-7c1e-4b61-9a53-{n:012x}","task_slug":"task-{}","agent_variant":"base","status":"success","duration_seconds":{}.5,"created_at":"2026-01-01T00:00:00Z","completed_at":"2026-01-01T00:10:00Z","logs_uri":"gs://bucket/trials/{n}/logs.txt","trajectory_uri":"gs://bucket/trials/{n}/trajectory.json","result_data":{{"reward":1.0,"tests_passed":4,"tests_total":4,"prompt_tokens":120345}}}}"#,
        n % 90,
        n % 600
    ))
}

fn open(directory: &tempfile::TempDir) -> Mirror {
    Mirror::open(&directory.path().join("mirror.db"), "bench", UnixMs(1))
        .unwrap()
        .0
}

/// Returns the trials of ten runs at once, as a backfill queues them.
fn lists(from: u64) -> Vec<Vec<RawObject>> {
    (from..from + 10)
        .map(|run| (0..TRIALS / 10).map(|n| trial(run, n)).collect())
        .collect()
}

async fn put(mirror: &Mirror, from: u64, lists: Vec<Vec<RawObject>>, at: i64) {
    let puts = lists.into_iter().enumerate().map(|(i, trials)| {
        let (mirror, run) = (mirror.clone(), format!("run-{}", from + i as u64));
        async move {
            let put = mirror.replace_trials(&run, trials, UnixMs(at), None, Provenance::Polled);
            put.await.unwrap()
        }
    });
    futures_util::future::join_all(puts).await;
}

/// Returns the median number of trials per second.
fn measure_ingest(runtime: &Runtime, mirror: &Mirror, from: impl Fn(i64) -> u64) -> u64 {
    let mut times: Vec<Duration> = (1..=INGEST_ROUNDS)
        .map(|round| {
            let from = from(round);
            let lists = lists(from);
            let start = Instant::now();
            runtime.block_on(put(mirror, from, lists, round));
            start.elapsed()
        })
        .collect();
    times.sort();
    (TRIALS as f64 / times[times.len() / 2].as_secs_f64()) as u64
}

fn measure_trials(runtime: &Runtime) {
    let directory = tempfile::tempdir().unwrap();
    let mirror = open(&directory);
    println!("\n| trials into the mirror, from memory | trials/s |");
    println!("| --- | --- |");
    let new = measure_ingest(runtime, &mirror, |round| 10 * round.unsigned_abs());
    println!(
        "| new, history and commits included | {} |",
        format_count(new)
    );
    let unchanged = measure_ingest(runtime, &mirror, |_| 10);
    println!("| unchanged | {} |", format_count(unchanged));
    runtime.block_on(mirror.close());
}

fn measure_runs(runtime: &Runtime, sizes: &[u64]) {
    let directory = tempfile::tempdir().unwrap();
    let mirror = open(&directory);
    let failed = ListQuery {
        status: vec!["failed".into()],
        ..ListQuery::default()
    };
    println!("\n| from the mirror | newest 20 | `failed`, 20 rows | an unchanged page of 1,000 |");
    println!("| --- | --- | --- | --- |");
    let mut rows = 0;
    for &size in sizes {
        while rows < size {
            let end = (rows + BATCH).min(size);
            let batch = batch((rows..end).map(run).collect(), 1);
            runtime.block_on(mirror.upsert_runs(batch)).unwrap();
            rows = end;
        }
        let list = |query: &ListQuery| {
            median(LIST_ROUNDS, || {
                runtime.block_on(mirror.list_runs(KIND, query)).unwrap()
            })
        };
        let (newest, failed) = (list(&ListQuery::default()), list(&failed));
        let page = (size - 1_000.min(size)..size).map(run).collect::<Vec<_>>();
        let unchanged = median(LIST_ROUNDS / 10, || {
            runtime
                .block_on(mirror.upsert_runs(batch(page.clone(), 2)))
                .unwrap()
        });
        println!(
            "| {} runs | {} | {} | {} |",
            format_count(size),
            format_duration(newest),
            format_duration(failed),
            format_duration(unchanged)
        );
    }
    runtime.block_on(mirror.close());
}

fn batch(objects: Vec<RawObject>, at: i64) -> RunBatch {
    RunBatch {
        kind: KIND,
        objects,
        observed_at: UnixMs(at),
        provenance: Provenance::Polled,
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let numbers: Vec<u64> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    measure_trials(&runtime);
    if numbers.is_empty() {
        measure_runs(&runtime, &[1_000, 100_000, 1_000_000]);
    } else {
        measure_runs(&runtime, &numbers);
    }
}
