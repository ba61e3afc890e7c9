//! A job of 2,000 trials: its first list, a second one, and its trials as JSON.
//!
//! `cargo bench -p docksd --bench harbor [-- TRIALS]`

#![expect(clippy::print_stdout, reason = "its figures are its output")]

use docks_proto::query::ListQuery;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use docksd_harbor::{HarborJobs, Options};
use docksd_mirror::{Mirror, Provenance};
use docksd_remote::{Fetched, PageRequest, Remote};

use docksd_testkit::harbor_jobs;
use docksd_testkit::measure::{format_count, format_duration, median};

fn main() {
    let number = std::env::args().find_map(|a| a.parse().ok());
    let count: usize = number.unwrap_or(2_000);
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    harbor_jobs::big_job(dir.path(), "big", count);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime without drivers can be made");
    let open =
        || HarborJobs::open(&[dir.path()], Options::default()).expect("the directory is there");
    let list = |jobs: &HarborJobs| {
        let page = PageRequest::default();
        runtime
            .block_on(jobs.list(RunKind::Evaluation, &page, None))
            .expect("it can be listed")
    };
    let trials = |jobs: &HarborJobs| match runtime.block_on(jobs.trials("big", None)) {
        Ok(Fetched::New { value, .. }) => {
            assert_eq!(value.objects.len(), count);
            value.objects
        }
        other => panic!("{other:?}"),
    };
    let first = median(10, || list(&open()));
    let jobs = open();
    list(&jobs);
    let second = median(100, || list(&jobs));
    let objects = median(20, || trials(&jobs));

    let mirror = Mirror::open(&dir.path().join("mirror.db"), "bench", UnixMs(1));
    let (mirror, _) = mirror.expect("a new mirror can be made");
    let put = mirror.replace_trials("big", trials(&jobs), UnixMs(1), None, Provenance::Polled);
    runtime.block_on(put).expect("trials can be stored");
    let query = ListQuery {
        limit: 100,
        offset: count as u64 / 2,
        ..ListQuery::default()
    };
    let page = median(200, || {
        runtime
            .block_on(mirror.list_trials("big", &query))
            .expect("it can be listed")
    });
    runtime.block_on(mirror.close());

    println!(
        "\n| a job of {} trials | took |",
        format_count(count as u64)
    );
    println!("| --- | --- |");
    println!("| first list | {} |", format_duration(first));
    println!("| second list | {} |", format_duration(second));
    println!("| all its trials as JSON | {} |", format_duration(objects));
    println!(
        "| a page of 100 trials from the mirror | {} |",
        format_duration(page)
    );
}
