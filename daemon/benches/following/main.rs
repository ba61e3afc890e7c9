//! Large and changing jobs directories: the first scan, a rescan, the delay until a change is visible, and
//! what following costs; compared with Harbor's own viewer if `HARBOR_BIN` names Harbor's program.
//!
//! `cargo build --release && cargo bench -p docksd --bench following [-- TRIALS SECONDS]`

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark stops at the step that fails"
)]
#![expect(clippy::print_stdout, reason = "its figures are its output")]

mod directory;
mod running_job;
mod viewer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use docks_proto::query::ListQuery;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use docksd_harbor::{HarborJobs, Options};
use docksd_mirror::{Mirror, Provenance};
use docksd_remote::{Fetched, PageRequest, Remote};

use directory::Shape;
use docksd_testkit::measure::{format_count, format_duration, median};

fn main() {
    let numbers: Vec<u64> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let trials = numbers.first().map_or(100_000, |n| *n as usize);
    let span = Duration::from_secs(numbers.get(1).map_or(20, |n| *n));
    println!(
        "\n| directory | first scan | rescan | rescan of every trial | files read by it | page of 100 | {} |",
        viewer::COLUMNS
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for shape in [
        Shape::new(1, 2_000.min(trials)),
        Shape::new(100, 2_000.min(trials) / 100),
        Shape::new(100, trials / 100),
    ] {
        let dir = tempfile::tempdir().unwrap();
        directory::create_jobs(dir.path(), shape);
        measure_scans(dir.path(), shape);
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(running_job::measure_delay());
    running_job::measure_cost(span);
}

/// Measures scans of a directory in which nothing changes.
fn measure_scans(dir: &Path, shape: Shape) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    // Every trial is checked only every five minutes, so the clock is set forward.
    let forward_ms = Arc::new(AtomicI64::new(3_600_000));
    let ahead = Arc::clone(&forward_ms);
    let now = move || UnixMs(UnixMs::now().0 + ahead.load(Ordering::Relaxed));
    let open = || {
        let now = Arc::new(now.clone());
        HarborJobs::open(
            &[dir],
            Options {
                now,
                ..Options::default()
            },
        )
        .unwrap()
    };
    let list = |jobs: &HarborJobs| {
        let page = PageRequest::default();
        let listed = runtime.block_on(jobs.list(RunKind::Evaluation, &page, None));
        match listed.unwrap() {
            Fetched::New { value, .. } => assert_eq!(value.objects.len(), shape.jobs),
            Fetched::NotModified => panic!("no validator was sent"),
        }
    };
    let jobs = open();
    let start = Instant::now();
    list(&jobs);
    let first = start.elapsed();
    let rescan = median(10, || list(&jobs));
    let before = jobs.scan_cost().files_read;
    let every = median(5, || {
        forward_ms.fetch_add(600_000, Ordering::Relaxed);
        list(&jobs);
    });
    let read = jobs.scan_cost().files_read - before;
    println!(
        "| {} × {} trials | {} | {} | {} | {read} | {} | {} |",
        shape.jobs,
        format_count(shape.trials as u64),
        format_duration(first),
        format_duration(rescan),
        format_duration(every),
        format_duration(measure_page(&jobs, shape)),
        viewer::measure(dir)
    );
}

fn measure_page(jobs: &HarborJobs, shape: Shape) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let home = tempfile::tempdir().unwrap();
    let opened = Mirror::open(&home.path().join("mirror.db"), "bench", UnixMs(1));
    let (mirror, _) = opened.unwrap();
    let fetched = runtime.block_on(jobs.trials("job-000", None)).unwrap();
    let Fetched::New { value, .. } = fetched else {
        panic!("no validator was sent")
    };
    let put = mirror.replace_trials("r", value.objects, UnixMs(1), None, Provenance::Polled);
    runtime.block_on(put).unwrap();
    let query = ListQuery {
        limit: 100,
        offset: shape.trials as u64 / 2,
        ..ListQuery::default()
    };
    let page = median(100, || {
        runtime.block_on(mirror.list_trials("r", &query)).unwrap()
    });
    runtime.block_on(mirror.close());
    page
}
