//! How fast trials come in, and whether a list costs the same in a large mirror as in a small one.

#![expect(clippy::unwrap_used, reason = "a benchmark ends where a step fails")]

use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use docks_proto::object::RawObject;
use docks_proto::query::ListQuery;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use docksd::mirror::{Learned, Mirror, RunBatch};
use tokio::runtime::Runtime;

const KIND: RunKind = RunKind::Evaluation;
const TRIALS: u64 = 10_000;
const BATCH: u64 = 5_000;

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

fn ingest(criterion: &mut Criterion, runtime: &Runtime) {
    let directory = tempfile::tempdir().unwrap();
    let mirror = open(&directory);
    let mut group = criterion.benchmark_group("ingest");
    group.throughput(Throughput::Elements(TRIALS));
    group.sample_size(10);
    group.measurement_time(Duration::from_secs(5));
    let mut next = 0;
    // Ten runs at once, as a backfill has them in its queue.
    let put = async |from: u64, lists: Vec<Vec<RawObject>>, at: i64| {
        let puts = lists.into_iter().enumerate().map(|(i, trials)| {
            let (mirror, run) = (mirror.clone(), format!("run-{}", from + i as u64));
            async move {
                let put = mirror.put_trials(&run, trials, UnixMs(at), None, Learned::Polled);
                put.await.unwrap()
            }
        });
        futures_util::future::join_all(puts).await
    };
    let lists = |from: u64| -> Vec<Vec<RawObject>> {
        (from..from + 10)
            .map(|run| (0..TRIALS / 10).map(|n| trial(run, n)).collect())
            .collect()
    };
    group.bench_function("new trials", |bencher| {
        bencher.iter_batched(
            || {
                next += 10;
                (next, lists(next))
            },
            |(from, lists)| runtime.block_on(put(from, lists, 1)),
            BatchSize::PerIteration,
        );
    });
    let mut at = 1;
    group.bench_function("unchanged trials", |bencher| {
        bencher.iter_batched(
            || {
                at += 1;
                (lists(10), at)
            },
            |(lists, at)| runtime.block_on(put(10, lists, at)),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn lists(criterion: &mut Criterion, runtime: &Runtime) {
    let directory = tempfile::tempdir().unwrap();
    let mirror = open(&directory);
    let mut group = criterion.benchmark_group("list");
    group.sample_size(20);
    group.measurement_time(Duration::from_secs(2));
    group.warm_up_time(Duration::from_millis(500));
    let failed = ListQuery {
        status: vec!["failed".into()],
        ..ListQuery::default()
    };
    let mut rows = 0;
    for size in [1_000u64, 100_000, 1_000_000] {
        while rows < size {
            let end = (rows + BATCH).min(size);
            let batch = RunBatch {
                kind: KIND,
                objects: (rows..end).map(run).collect(),
                observed_at: UnixMs(1),
                learned: Learned::Polled,
                sweep: None,
            };
            runtime.block_on(mirror.put_runs(batch)).unwrap();
            rows = end;
        }
        for (name, query) in [("newest 20", &ListQuery::default()), ("failed 20", &failed)] {
            group.bench_function(format!("{name} of {size}"), |bencher| {
                bencher.iter(|| runtime.block_on(mirror.list_runs(KIND, query)).unwrap());
            });
        }
        let page = (size - 1_000..size).map(run).collect::<Vec<_>>();
        group.bench_function(format!("unchanged page of 1,000 in {size}"), |bencher| {
            bencher.iter(|| {
                let batch = RunBatch {
                    kind: KIND,
                    objects: page.clone(),
                    observed_at: UnixMs(2),
                    learned: Learned::Polled,
                    sweep: None,
                };
                runtime.block_on(mirror.put_runs(batch)).unwrap()
            });
        });
    }
    group.finish();
}

fn all(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    ingest(criterion, &runtime);
    lists(criterion, &runtime);
}

criterion_group!(mirror, all);
criterion_main!(mirror);
