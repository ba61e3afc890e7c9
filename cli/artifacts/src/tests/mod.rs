//! Whole downloads against a loopback server and temporary directories.

mod faults;
mod hostile;
mod places;
pub(crate) mod server;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use super::download::{ArtifactError, Outcome, fetch_all};
use super::layout::{RunName, Wanted, plan};
use super::source::{FileSource, GcsSettings, GcsSource, HttpSettings, HttpSource, Sources};
use super::{ArtifactRequest, ArtifactType, Finished, Observer, TrialArtifacts};

/// Generous: no test waits for it unless something is broken.
const IDLE: Duration = Duration::from_secs(20);

/// Remembers what it was told.
#[derive(Default)]
struct Memory {
    bytes: Mutex<BTreeMap<usize, u64>>,
    failures: Mutex<BTreeMap<usize, String>>,
}

impl Observer for Memory {
    fn began(&self, index: usize, _: &ArtifactRequest, _: Option<u64>) {
        self.bytes.lock().unwrap().insert(index, 0);
    }

    fn advanced(&self, index: usize, bytes: u64) {
        *self.bytes.lock().unwrap().entry(index).or_default() += bytes;
    }

    fn finished(&self, index: usize, _: &ArtifactRequest, finished: &Finished) {
        assert_eq!(self.bytes.lock().unwrap()[&index], finished.size_bytes);
    }

    fn failed(&self, index: usize, _: &ArtifactRequest, why: &ArtifactError) {
        self.failures.lock().unwrap().insert(index, why.chain());
    }
}

fn http(idle: Duration) -> HttpSettings {
    HttpSettings {
        api_url: None,
        token: None,
        insecure: false,
        idle,
    }
}

fn gcs(endpoint: Option<String>) -> GcsSettings {
    GcsSettings {
        endpoint,
        credentials_file: None,
        on_google_cloud: false,
        idle: IDLE,
    }
}

fn sources(http: HttpSettings, jobs_dir: Option<PathBuf>, gcs: GcsSettings) -> Sources {
    Sources::new(
        HttpSource::new(http),
        FileSource::new(jobs_dir),
        GcsSource::new(gcs),
    )
}

pub(crate) fn usual() -> Sources {
    sources(http(IDLE), None, gcs(None))
}

fn trial(id: &str, task: &str, uris: &[(ArtifactType, String)]) -> TrialArtifacts {
    TrialArtifacts {
        id: id.to_owned(),
        task: task.to_owned(),
        uris: uris.to_vec(),
    }
}

fn logs(uri: impl Into<String>) -> Vec<TrialArtifacts> {
    vec![trial(
        "trial-0001",
        "task",
        &[(ArtifactType::Logs, uri.into())],
    )]
}

async fn fetch(trials: &[TrialArtifacts], sources: &Sources, output: &Path) -> (Outcome, Memory) {
    let planned = plan("run-1", RunName::Short, trials, &Wanted::default());
    let memory = Memory::default();
    let outcome = fetch_all(&planned.requests, sources, output, &memory).await;
    (outcome, memory)
}

/// Fetches one file that must fail; returns why, and checks that nothing is left.
async fn fails(uri: impl Into<String>, sources: &Sources) -> String {
    let output = tempfile::tempdir().unwrap();
    let (outcome, memory) = fetch(&logs(uri), sources, output.path()).await;
    assert_eq!((outcome.finished(), outcome.failed()), (0, 1));
    assert_eq!(files(output.path()), Vec::<String>::new());
    memory.failures.into_inner().unwrap().remove(&0).unwrap()
}

/// Lists all that is no directory below a directory, relative to it.
fn files(root: &Path) -> Vec<String> {
    snapshot(root)
        .into_iter()
        .filter(|(_, content)| content != "directory")
        .map(|(path, _)| path)
        .collect()
}

/// Reads a tree: every path with its content, links unfollowed.
fn snapshot(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let kind = path.symlink_metadata().unwrap().file_type();
            let content = if kind.is_symlink() {
                format!("link to {}", path.read_link().unwrap().display())
            } else if kind.is_dir() {
                left.push(path.clone());
                "directory".to_owned()
            } else {
                format!("file {}", std::fs::read_to_string(&path).unwrap())
            };
            let relative = path.strip_prefix(root).unwrap().to_string_lossy();
            found.insert(relative.into_owned(), content);
        }
    }
    found
}
