//! What the tests share: opening a directory and reading answers as JSON.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use docksd_harbor::{HarborJobs, Options};
use docksd_remote::{Changes, Fetched, Page, PageRequest, Remote};
use serde_json::Value;

/// Longest wait for a change.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Opens a directory as if an hour had passed, so that no file counts as recent.
pub(crate) fn open(dir: &Path) -> HarborJobs {
    let now = Arc::new(|| UnixMs::now().plus(Duration::from_secs(3_600)));
    HarborJobs::open(
        &[dir],
        Options {
            now,
            ..Options::default()
        },
    )
    .unwrap()
}

/// Opens a directory at the present time.
pub(crate) fn open_now(dir: &Path) -> HarborJobs {
    HarborJobs::open(&[dir], Options::default()).unwrap()
}

/// Opens a directory where the system shows no processes.
pub(crate) fn open_without_processes(dir: &Path) -> HarborJobs {
    let options = Options {
        processes: dir.join("no-processes"),
        ..Options::default()
    };
    HarborJobs::open(&[dir], options).unwrap()
}

pub(crate) fn expect_new<T>(fetched: Fetched<T>) -> T {
    match fetched {
        Fetched::New { value, .. } => value,
        Fetched::NotModified => panic!("no validator was sent"),
    }
}

pub(crate) fn values(page: Page) -> Vec<Value> {
    let texts = page
        .objects
        .iter()
        .map(|o| serde_json::from_str(o.text()).unwrap());
    texts.collect()
}

pub(crate) async fn list(jobs: &HarborJobs, kind: RunKind) -> Vec<Value> {
    values(expect_new(
        jobs.list(kind, &PageRequest::default(), None)
            .await
            .unwrap(),
    ))
}

pub(crate) async fn trials(jobs: &HarborJobs, run: &str) -> Vec<Value> {
    values(expect_new(jobs.trials(run, None).await.unwrap()))
}

/// Returns the id of the job in a folder.
pub(crate) async fn id_of(jobs: &HarborJobs, folder: &str) -> String {
    let listed = list(jobs, RunKind::Evaluation).await;
    let job = listed.iter().find(|job| job["name"] == folder).unwrap();
    job["id"].as_str().unwrap().to_owned()
}

pub(crate) async fn run(jobs: &HarborJobs, kind: RunKind, id: &str) -> Value {
    serde_json::from_str(expect_new(jobs.run(kind, id, None).await.unwrap()).text()).unwrap()
}

/// Returns the run of the job in a folder.
pub(crate) async fn run_in_folder(jobs: &HarborJobs, folder: &str) -> Value {
    let id = id_of(jobs, folder).await;
    run(jobs, RunKind::Run, &id).await
}

/// Takes changes until `found` holds of some.
pub(crate) async fn take_changes_until(jobs: &HarborJobs, found: impl Fn(&Changes) -> bool) {
    tokio::time::timeout(DEADLINE, async {
        loop {
            jobs.wait_for_changes().await;
            if found(&jobs.take_changes().await.unwrap()) {
                return;
            }
        }
    })
    .await
    .expect("changes arrive before the deadline");
}
