//! A job of 2,000 trials: the first look, a second one, and its trials as JSON.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use docks_proto::routes::RunKind;
use docksd::remote::harbor_jobs::{HarborJobs, Options};
use docksd::remote::{Fetched, PageRequest, Remote};

#[path = "../testkit/harbor_jobs.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    reason = "made for tests; the bench needs only the large job"
)]
mod harbor_jobs;

const TRIALS: usize = 2_000;

fn benches(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    harbor_jobs::big_job(dir.path(), "big", TRIALS);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime without drivers can be made");
    let open = || HarborJobs::open(dir.path(), Options::default()).expect("the directory is there");
    let list = |jobs: &HarborJobs| {
        let page = PageRequest::default();
        runtime
            .block_on(jobs.list(RunKind::Evaluation, &page, None))
            .expect("it can be listed")
    };
    let trials = |jobs: &HarborJobs| match runtime.block_on(jobs.trials("big", None)) {
        Ok(Fetched::New { value, .. }) => assert_eq!(value.objects.len(), TRIALS),
        other => panic!("{other:?}"),
    };
    let mut group = criterion.benchmark_group("harbor 2,000 trials");
    group.sample_size(20);
    group.bench_function("first look", |b| b.iter(|| black_box(list(&open()))));
    let jobs = open();
    list(&jobs);
    group.bench_function("second look at the list", |b| {
        b.iter(|| black_box(list(&jobs)))
    });
    trials(&jobs);
    group.bench_function("second look at the trials", |b| b.iter(|| trials(&jobs)));
    group.finish();
}

criterion_group!(harbor, benches);
criterion_main!(harbor);
