//! Writes that end in the middle: no incomplete file gets its name, in the output directory or in the cache.

use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::server::{Answer, Object, Server};
use super::*;

/// Several of the blocks that a download writes at once.
const SIZE_BYTES: u64 = 700 * 1024;

/// Writes end in every n-th of these, unless the environment sets another distance.
const SECTOR_BYTES: u64 = 512;
const DISTANCE: usize = 131;
const DISTANCE_VARIABLE: &str = "DOCKS_FAULT_EVERY";

/// Set in the child process whose writes are limited: no other test can bear that.
const CHILD: &str = "DOCKS_TEST_ARTIFACT_SHORT_WRITES";

const TEST: &str = "short_writes::a_write_that_ends_anywhere_leaves_no_incomplete_file";

#[test]
fn a_write_that_ends_anywhere_leaves_no_incomplete_file() {
    if std::env::var_os(CHILD).is_some() {
        return tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(try_all_lengths());
    }
    // Without the trap, the first write beyond the limit would kill the process.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ && exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", TEST, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}{errors}");
    let figures = log.lines().filter(|line| line.contains("short writes"));
    print(&figures.collect::<Vec<_>>().join("\n"));
}

#[expect(clippy::print_stdout, reason = "the figures of a proof")]
fn print(figures: &str) {
    println!("{figures}");
}

/// Limits the length of the files that this process writes: what is beyond is not written.
fn limit_files_to(bytes: Option<u64>) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Fsize);
    let current = bytes.or(maximum);
    setrlimit(Resource::Fsize, Rlimit { current, maximum }).unwrap();
}

async fn try_all_lengths() {
    let mut random = fastrand::Rng::with_seed(7);
    let content: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
        .take(usize::try_from(SIZE_BYTES).unwrap())
        .collect();
    let object = Object::new(content.clone(), |_| usize::MAX);
    let server = Server::start(&[("/logs.txt", Answer::Object(object))]).await;
    let uri = format!("{}/logs.txt", server.url);
    let variable = std::env::var(DISTANCE_VARIABLE).ok();
    let distance = variable.map_or(DISTANCE, |text| text.parse().unwrap());
    let mut tried = 0;
    for sector in (0..SIZE_BYTES / SECTOR_BYTES).step_by(distance) {
        // Within a sector as well as at its beginning.
        let limit = sector * SECTOR_BYTES + sector % 3;
        download_to_a_directory(&uri, &content, limit).await;
        download_to_the_cache(&uri, &content, limit).await;
        tried += 2;
    }
    print(&format!("{tried} short writes of an artifact survived"));
}

async fn download_to_a_directory(uri: &str, content: &[u8], limit: u64) {
    let home = tempfile::tempdir().unwrap();
    let (cache, output) = (cache(home.path()), home.path().join("output"));
    let trials = logs(uri);
    let planned = plan(
        "run-1",
        RunName::Short,
        &trials,
        &ArtifactSelector::default(),
    );
    let sources = default_sources();
    let fetch = async || {
        let observer = RecordingObserver::default();
        let fetching = downloader(&sources, Some(&cache), &observer);
        let outcome = fetching.fetch(&planned.requests, &output).await;
        (outcome.finished(), observer.failures.into_inner().unwrap())
    };
    limit_files_to(Some(limit));
    let (finished, failures) = fetch().await;
    limit_files_to(None);
    assert_eq!(finished, 0, "with {limit} bytes");
    assert!(failures[&0].contains("File too large"), "{failures:?}");
    let left = files(&output);
    let has_no_name = |path: &String| path.contains("/.logs.txt.part");
    assert!(left.iter().all(has_no_name), "with {limit} bytes: {left:?}");
    assert_eq!(cache.verify().unwrap(), Default::default());
    let (finished, failures) = fetch().await;
    assert_eq!(finished, 1, "after {limit} bytes: {failures:?}");
    assert_eq!(files(&output), ["run-1/task_trial-0001/logs.txt"]);
    let written = std::fs::read(output.join("run-1/task_trial-0001/logs.txt")).unwrap();
    assert!(written == content, "after {limit} bytes");
    assert_eq!(cache.verify().unwrap().good, 1);
}

async fn download_to_the_cache(uri: &str, content: &[u8], limit: u64) {
    let home = tempfile::tempdir().unwrap();
    let cache = cache(home.path());
    let (sources, observer) = (default_sources(), RecordingObserver::default());
    let fetching = downloader(&sources, None, &observer);
    limit_files_to(Some(limit));
    let failed = fetching.open_content(uri, &cache).await;
    limit_files_to(None);
    let why = failed.unwrap_err().chain();
    assert!(why.contains("File too large"), "with {limit} bytes: {why}");
    assert_eq!(cache.verify().unwrap(), Default::default());
    let mut opened = fetching.open_content(uri, &cache).await.unwrap();
    let mut read = Vec::new();
    std::io::Read::read_to_end(&mut opened, &mut read).unwrap();
    assert!(read == content, "after {limit} bytes");
    let verified = cache.verify().unwrap();
    assert_eq!((verified.good, verified.removed.objects), (1, 0));
    assert_eq!(cache.usage().unwrap().partial, 0);
}
