//! Whole downloads against a loopback server and temporary directories.

#![expect(
    clippy::unwrap_used,
    reason = "a failed step fails the test, also in shared functions"
)]

mod faults;
mod files_and_buckets;
mod hostile;
mod remote_tail;
mod resume;
mod server;
mod shared;
mod short_writes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use docks_proto::settings::{StoreKeys, TrustSettings};
use docks_proto::time::UnixMs;

use docks_artifacts::cache::{Cache, DEFAULT_LIMIT_BYTES};
use docks_artifacts::download::{ArtifactError, Downloader, Options, Outcome};
use docks_artifacts::layout::{ArtifactSelector, RunName, plan};
use docks_artifacts::owner::AddressOwner;
use docks_artifacts::source::{FileSource, HttpSettings, HttpSource, Sources};
use docks_artifacts::{
    ArtifactRequest, ArtifactType, FileOrigin, FinishedFile, Observer, TrialArtifacts,
};
use docksd_stores::{ObjectStores, StoreEnvironment, StoreVariables};

/// Generous: no test waits this long unless something is broken.
const IDLE: Duration = Duration::from_secs(20);

/// Records all notifications.
#[derive(Default)]
struct RecordingObserver {
    bytes: Mutex<BTreeMap<usize, u64>>,
    moved: Mutex<u64>,
    failures: Mutex<BTreeMap<usize, String>>,
}

impl Observer for RecordingObserver {
    fn began(&self, index: usize, _: &ArtifactRequest, _: Option<u64>, offset_bytes: u64) {
        self.bytes.lock().unwrap().insert(index, offset_bytes);
    }

    fn advanced(&self, index: usize, bytes: u64) {
        *self.bytes.lock().unwrap().entry(index).or_default() += bytes;
        *self.moved.lock().unwrap() += bytes;
    }

    fn finished(&self, index: usize, _: &ArtifactRequest, finished: &FinishedFile) {
        if finished.origin == FileOrigin::Fetched {
            assert_eq!(self.bytes.lock().unwrap()[&index], finished.size_bytes);
        }
    }

    fn failed(&self, index: usize, _: &ArtifactRequest, why: &ArtifactError) {
        self.failures.lock().unwrap().insert(index, why.chain());
    }
}

fn http(idle_timeout: Duration) -> HttpSettings {
    HttpSettings {
        api_url: None,
        token: None,
        // The servers of these tests are on loopback.
        hosts: vec!["127.0.0.1".to_owned()],
        trust: TrustSettings::default(),
        idle_timeout,
    }
}

/// Sources for this environment.
fn sources(http: HttpSettings, jobs_dir: Option<PathBuf>, variables: &[(&str, &str)]) -> Sources {
    let variables = StoreVariables::read(|name| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).into())
    });
    let environment = StoreEnvironment {
        variables: &variables,
        keys: &StoreKeys::default(),
        file: &|path| std::fs::read_to_string(path).ok(),
        machine: "",
    };
    Sources {
        http: HttpSource::new(http),
        files: FileSource::new(jobs_dir.into_iter().collect()),
        buckets: Box::new(ObjectStores::from_environment(environment, IDLE)),
        owner: AddressOwner::user(),
    }
}

fn default_sources() -> Sources {
    sources(http(IDLE), None, &[])
}

/// A new cache.
fn cache(home: &Path) -> Cache {
    Cache::new(home.join("cache"), DEFAULT_LIMIT_BYTES, UnixMs(1_000_000))
}

fn downloader<'a>(
    sources: &'a Sources,
    cache: Option<&'a Cache>,
    observer: &'a dyn Observer,
) -> Downloader<'a> {
    Downloader {
        sources,
        cache,
        options: Options::default(),
        observer,
    }
}

fn trial(id: &str, task: &str, uris: &[(ArtifactType, String)]) -> TrialArtifacts {
    TrialArtifacts {
        id: id.to_owned(),
        task: task.to_owned(),
        status: String::new(),
        uris: uris.to_vec(),
        files: Vec::new(),
    }
}

fn logs(uri: impl Into<String>) -> Vec<TrialArtifacts> {
    vec![trial(
        "trial-0001",
        "task",
        &[(ArtifactType::Logs, uri.into())],
    )]
}

async fn fetch(
    trials: &[TrialArtifacts],
    sources: &Sources,
    output: &Path,
) -> (Outcome, RecordingObserver) {
    let planned = plan(
        "run-1",
        RunName::Short,
        trials,
        &ArtifactSelector::default(),
    );
    let observer = RecordingObserver::default();
    let outcome = downloader(sources, None, &observer)
        .fetch(&planned.requests, output)
        .await;
    (outcome, observer)
}

/// Downloads one file, which must fail; returns the error, and checks that nothing is left.
async fn fails(uri: impl Into<String>, sources: &Sources) -> String {
    let output = tempfile::tempdir().unwrap();
    let (outcome, observer) = fetch(&logs(uri), sources, output.path()).await;
    assert_eq!((outcome.finished(), outcome.failed()), (0, 1));
    assert_eq!(files(output.path()), Vec::<String>::new());
    observer.failures.into_inner().unwrap().remove(&0).unwrap()
}

/// Lists everything except directories below a directory, relative to it.
fn files(root: &Path) -> Vec<String> {
    snapshot(root)
        .into_iter()
        .filter(|(_, content)| content != "directory")
        .map(|(path, _)| path)
        .collect()
}

/// Reads a tree: every path with its content, without following links.
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
                format!(
                    "file {}",
                    String::from_utf8_lossy(&std::fs::read(&path).unwrap())
                )
            };
            let relative = path.strip_prefix(root).unwrap().to_string_lossy();
            found.insert(relative.into_owned(), content);
        }
    }
    found
}
