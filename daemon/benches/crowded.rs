//! What everybody else notices while some clients ask for much.
//!
//! `cargo build --release && cargo bench -p docksd --bench crowded [-- ROWS SECONDS]`

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark stops at the step that fails"
)]
#![expect(clippy::print_stdout, reason = "its figures are its output")]

mod daemon_process;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use docks_proto::client::Client;
use docks_proto::freshness::CachePolicy;
use docks_proto::object::RawObject;
use docks_proto::query::ListQuery;
use docks_proto::routes::RunKind;
use docks_proto::settings::Target;
use docks_proto::time::UnixMs;
use docksd::registry::{OwnedRemote, Owner, database_path, identity};
use docksd_mirror::{Confirmation, Mirror, Provenance, Resource, RunBatch};
use tokio::task::JoinSet;
use tokio::time::interval;

use daemon_process::Daemon;
use docksd_testkit::fake_remote::{FakeRemote, RemoteData, TENANT, profile_settings};
use docksd_testkit::measure::{format_count, format_duration};

const SEARCHES: usize = 8;
const BATCH: usize = 10_000;

#[tokio::main]
async fn main() {
    let numbers: Vec<u64> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let rows = numbers.first().map_or(1_000_000, |n| *n as usize);
    let span = Duration::from_secs(numbers.get(1).map_or(60, |n| *n));
    measure_lists_beside_searches(rows, span).await;
    measure_age_under_a_storm(span).await;
}

/// Writes the mirror of a remote that nobody can reach.
async fn mirror_with_rows(home: &Path, api_url: &str, rows: usize) {
    let id = OwnedRemote {
        target: Target::DocksApi {
            api_url: api_url.to_owned(),
            tenant: TENANT.to_owned(),
        },
        owner: Owner::Profile("default".to_owned()),
    };
    let file = database_path(&home.join("cache"), &id);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let (mirror, _) = Mirror::open(&file, &*identity(&id), UnixMs::now()).unwrap();
    for first in (0..rows).step_by(BATCH) {
        let objects = (first..rows.min(first + BATCH)).filter_map(|number| {
            let text = format!(
                r#"{{"id":"run-{number:08}","name":"nightly {number}","status":"completed","created_at":"2026-01-01T00:00:00Z"}}"#
            );
            RawObject::parse(&text).unwrap()
        });
        let batch = RunBatch {
            kind: RunKind::Run,
            objects: objects.collect(),
            observed_at: UnixMs::now(),
            provenance: Provenance::Polled,
        };
        mirror.upsert_runs(batch).await.unwrap();
    }
    let confirmation = Confirmation {
        at: UnixMs::now(),
        validator: None,
        complete: true,
    };
    mirror
        .record_confirmation(Resource::List(RunKind::Run), confirmation)
        .await
        .unwrap();
    mirror.close().await;
}

/// Requests the first rows of a list again and again, while others search a text that no row has.
async fn measure_lists_beside_searches(rows: usize, span: Duration) {
    // Nothing listens at this port of the loopback interface.
    let api_url = "http://127.0.0.1:9";
    let home = tempfile::tempdir().unwrap();
    mirror_with_rows(home.path(), api_url, rows).await;
    let daemon = Daemon::start(home, TENANT, &profile_settings(api_url));
    daemon.wait_until_ready().await;
    println!(
        "\n| a list of 20 of {} runs | p50 | p99 | max | lists | searches |",
        format_count(rows as u64)
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    let client = Arc::new(daemon.client());
    let _warm = list(&client, None).await;
    for searches in [0, 1, SEARCHES] {
        let mut searching = JoinSet::new();
        let until = Instant::now() + span / 3;
        for number in 0..searches {
            let client = Arc::clone(&client);
            searching.spawn(async move {
                let mut count = 0;
                while Instant::now() < until {
                    // Different texts, since equal ones are answered from the response cache.
                    list(&client, Some(format!("no such name {number} {count}"))).await;
                    count += 1;
                }
                count
            });
        }
        let mut times = Vec::new();
        let mut pace = interval(Duration::from_millis(20));
        let mut limit = 0;
        while Instant::now() < until {
            pace.tick().await;
            // A query of its own each time, so that the database is read.
            limit = limit % 50 + 1;
            times.push(list_of(&client, 20 + limit).await);
        }
        let mut done = 0;
        while let Some(count) = searching.join_next().await {
            done += count.unwrap();
        }
        times.sort();
        let at = |share: f64| format_duration(times[(times.len() as f64 * share) as usize]);
        println!(
            "| beside {searches} searches | {} | {} | {} | {} | {done} |",
            at(0.5),
            at(0.99),
            at(1.0 - f64::EPSILON),
            times.len()
        );
    }
}

async fn list_of(client: &Client, limit: u64) -> Duration {
    let query = ListQuery {
        limit,
        ..ListQuery::default()
    };
    timed(client, &query).await
}

async fn list(client: &Client, search: Option<String>) -> Duration {
    let query = ListQuery {
        search,
        ..ListQuery::default()
    };
    timed(client, &query).await
}

async fn timed(client: &Client, query: &ListQuery) -> Duration {
    let start = Instant::now();
    client
        .list_runs(RunKind::Run, query, CachePolicy::Default)
        .await
        .unwrap();
    start.elapsed()
}

/// Twelve reads a second that the remote must confirm, of a remote that changes ten times a second:
/// how old does the list get that everybody reads?
async fn measure_age_under_a_storm(span: Duration) {
    const RUNS: usize = 500;
    let mut data = RemoteData::default();
    for number in 0..RUNS {
        let status = if number % 50 == 0 {
            "running"
        } else {
            "completed"
        };
        data.add_run(&format!("run-{number:04}"), status);
    }
    let remote = Arc::new(FakeRemote::start(data).await);
    let daemon = Daemon::start(
        tempfile::tempdir().unwrap(),
        TENANT,
        &profile_settings(&remote.url()),
    );
    daemon.wait_until_ready().await;
    let client = Arc::new(daemon.client());
    client.sync(true, |_| {}).await.unwrap();
    remote.take_log();

    let mut storm = JoinSet::new();
    let start = Instant::now();
    let mut reads = interval(Duration::from_millis(1_000 / 12));
    let mut changes = interval(Duration::from_millis(100));
    let mut looks = interval(Duration::from_millis(500));
    let (mut oldest, mut read, mut changed) = (Duration::ZERO, 0, 0);
    while start.elapsed() < span {
        tokio::select! {
            _ = reads.tick() => {
                let client = Arc::clone(&client);
                let id = format!("run-{:04}", read % RUNS);
                read += 1;
                storm.spawn(async move {
                    // Some get no answer in time; that is what the budget is for.
                    drop(client.run(RunKind::Run, &id, CachePolicy::NoCache).await);
                });
            }
            _ = changes.tick() => {
                changed += 1;
                let (id, name) = (format!("run-{:04}", changed * 7 % RUNS), format!("n{changed}"));
                remote.with_data(|w| w.set(RunKind::Run, &id, "name", name.as_str().into()));
            }
            _ = looks.tick() => {
                let query = ListQuery::default();
                let answer = client.list_runs(RunKind::Run, &query, CachePolicy::Default).await;
                oldest = oldest.max(answer.unwrap().freshness.unwrap().age);
            }
        }
    }
    let requests = remote.take_log();
    let lists = requests
        .iter()
        .filter(|r| r.target.contains("/runs?"))
        .count();
    storm.shutdown().await;
    println!(
        "\n| {read} reads that the remote must confirm, {changed} changes, {} s | oldest list | requests | of these lists |",
        span.as_secs()
    );
    println!("| --- | --- | --- | --- |");
    println!(
        "| | {} | {} | {lists} |",
        format_duration(oldest),
        requests.len()
    );
}
