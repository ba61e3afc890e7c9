//! One cache and several downloads: nothing is transferred twice, and nothing is wrong.

use super::server::{Answer, Object, Server};
use super::*;
use docks_artifacts::download::Revalidation;

fn whole(_: usize) -> usize {
    usize::MAX
}

/// A server with one object, a home with a cache, and a trial with that object.
struct TestSetup {
    object: Object,
    _server: Server,
    trials: Vec<TrialArtifacts>,
    home: tempfile::TempDir,
}

impl TestSetup {
    async fn new(content: &[u8]) -> Self {
        let object = Object::new(content.to_vec(), whole);
        let server = Server::start(&[("/x.txt", Answer::Object(object.clone()))]).await;
        let trials = logs(format!("{}/x.txt", server.url));
        Self {
            object,
            _server: server,
            trials,
            home: tempfile::tempdir().unwrap(),
        }
    }

    fn cache(&self) -> Cache {
        cache(self.home.path())
    }

    fn sent(&self) -> usize {
        std::mem::take(&mut *self.object.sent.lock().unwrap())
    }

    fn change(&self, content: &[u8], tag: &str) {
        *self.object.now.lock().unwrap() = (content.to_vec(), tag.to_owned());
    }

    /// Downloads into a directory of the home; returns the origin of the file or the error.
    async fn fetch(&self, output: &str, options: Options) -> Result<FileOrigin, String> {
        let (sources, cache, observer) = (
            default_sources(),
            self.cache(),
            RecordingObserver::default(),
        );
        let planned = plan(
            "run-1",
            RunName::Short,
            &self.trials,
            &ArtifactSelector::default(),
        );
        let downloader = Downloader {
            options,
            ..downloader(&sources, Some(&cache), &observer)
        };
        let output = self.home.path().join(output);
        let outcome = downloader.fetch(&planned.requests, &output).await;
        let result = outcome.results.into_iter().next().unwrap();
        result.map(|f| f.origin).map_err(|error| error.chain())
    }

    fn file(&self, output: &str) -> PathBuf {
        self.home
            .path()
            .join(output)
            .join("run-1/task_trial-0001/logs.txt")
    }
}

fn overwrite() -> Options {
    Options {
        overwrite: true,
        ..Options::default()
    }
}

fn offline() -> Options {
    Options {
        revalidation: Revalidation::Never,
        ..Options::default()
    }
}

#[tokio::test]
async fn an_identical_file_is_not_downloaded_again() {
    let setup = TestSetup::new(b"content").await;
    assert_eq!(
        setup.fetch("a", Options::default()).await,
        Ok(FileOrigin::Fetched)
    );
    assert_eq!(setup.sent(), 7);
    assert_eq!(
        setup.fetch("a", Options::default()).await,
        Ok(FileOrigin::Unchanged)
    );
    assert_eq!(
        setup.fetch("b", Options::default()).await,
        Ok(FileOrigin::Cached)
    );
    assert_eq!(setup.sent(), 0);
    assert_eq!(std::fs::read(setup.file("b")).unwrap(), b"content");
}

#[tokio::test]
async fn no_file_is_created_if_the_source_has_not_changed() {
    use std::fs::{File, FileTimes};
    use std::time::SystemTime;
    let setup = TestSetup::new(b"content").await;
    setup.fetch("a", Options::default()).await.unwrap();
    let recent = Options {
        revalidation: Revalidation::IfOlderThan(Duration::from_secs(60)),
        ..Options::default()
    };
    let folder = setup.file("a").parent().unwrap().to_owned();
    for options in [Options::default(), recent, offline()] {
        let old = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH);
        File::open(&folder).unwrap().set_times(old).unwrap();
        assert_eq!(setup.fetch("a", options).await, Ok(FileOrigin::Unchanged));
        // The time of a directory changes with every file created or removed in it.
        let modified = folder.metadata().unwrap().modified().unwrap();
        assert_eq!(modified, SystemTime::UNIX_EPOCH, "{options:?}");
    }
    let part = folder.join(".logs.txt.part");
    std::fs::write(&part, "left over").unwrap();
    assert_eq!(
        setup.fetch("a", Options::default()).await,
        Ok(FileOrigin::Unchanged)
    );
    assert!(!part.exists());
}

#[tokio::test]
async fn a_changed_object_replaces_what_was_written_before() {
    let setup = TestSetup::new(b"content").await;
    setup.fetch("a", Options::default()).await.unwrap();
    setup.change(b"longer content", "\"v2\"");
    assert_eq!(
        setup.fetch("a", Options::default()).await,
        Ok(FileOrigin::Fetched)
    );
    assert_eq!(std::fs::read(setup.file("a")).unwrap(), b"longer content");
}

#[tokio::test]
async fn a_file_that_was_edited_is_replaced_only_with_overwrite() {
    for there in ["edited!", "much longer than it was"] {
        let setup = TestSetup::new(b"content").await;
        setup.fetch("a", Options::default()).await.unwrap();
        std::fs::write(setup.file("a"), there).unwrap();
        let why = setup.fetch("a", Options::default()).await.unwrap_err();
        assert!(why.contains("--overwrite"), "{why}");
        assert_eq!(std::fs::read_to_string(setup.file("a")).unwrap(), there);
        assert_eq!(setup.fetch("a", overwrite()).await, Ok(FileOrigin::Cached));
        assert_eq!(std::fs::read(setup.file("a")).unwrap(), b"content");
    }
}

#[tokio::test]
async fn without_a_record_an_equal_file_is_accepted_and_a_different_one_refused() {
    for (there, expected) in [
        (&b"content"[..], Ok(FileOrigin::Unchanged)),
        (b"c0ntent", Err(())),
        (b"other", Err(())),
    ] {
        let setup = TestSetup::new(b"content").await;
        std::fs::create_dir_all(setup.file("a").parent().unwrap()).unwrap();
        std::fs::write(setup.file("a"), there).unwrap();
        let result = setup.fetch("a", Options::default()).await;
        assert_eq!(result.map_err(drop), expected);
        assert_eq!(std::fs::read(setup.file("a")).unwrap(), there);
    }
}

#[tokio::test]
async fn offline_returns_cached_artifacts_and_reports_the_others() {
    let setup = TestSetup::new(b"content").await;
    let why = setup.fetch("a", offline()).await.unwrap_err();
    assert!(why.contains("docks cache pull"), "{why}");
    let (sources, cache) = (default_sources(), setup.cache());
    let planned = plan(
        "run-1",
        RunName::Short,
        &setup.trials,
        &ArtifactSelector::default(),
    );
    let pulled = downloader(&sources, Some(&cache), &docks_artifacts::SilentObserver)
        .pull(&planned.requests, &cache)
        .await;
    assert_eq!(pulled.finished(), 1);
    assert_eq!(setup.sent(), 7);
    assert_eq!(setup.fetch("a", offline()).await, Ok(FileOrigin::Cached));
    assert_eq!(setup.fetch("a", offline()).await, Ok(FileOrigin::Unchanged));
    assert_eq!(setup.sent(), 0);
}

#[tokio::test]
async fn damaged_content_is_downloaded_again() {
    let setup = TestSetup::new(b"content").await;
    setup.fetch("a", Options::default()).await.unwrap();
    let sha256 = docks_artifacts::digest::Sha256::of_text("content");
    std::fs::write(setup.cache().object_path(&sha256), b"c0ntent").unwrap();
    assert_eq!(
        setup.fetch("b", Options::default()).await,
        Ok(FileOrigin::Fetched)
    );
    assert_eq!(std::fs::read(setup.file("b")).unwrap(), b"content");
    assert!(
        setup.fetch("c", offline()).await.is_ok(),
        "it is cached again"
    );
}

#[tokio::test]
async fn two_downloads_of_one_artifact_transfer_it_once() {
    let setup = TestSetup::new(&[7; 300_000]).await;
    let (one, other) = tokio::join!(
        setup.fetch("a", Options::default()),
        setup.fetch("a", Options::default())
    );
    let mut origins = [one.unwrap(), other.unwrap()];
    origins.sort_by_key(|origin| *origin != FileOrigin::Fetched);
    assert_eq!(origins, [FileOrigin::Fetched, FileOrigin::Unchanged]);
    assert_eq!(setup.sent(), 300_000);
    assert_eq!(files(&setup.home.path().join("a")).len(), 1);
}

#[tokio::test]
async fn a_download_succeeds_if_the_cache_cannot_be_written() {
    let setup = TestSetup::new(b"content").await;
    std::fs::write(setup.home.path().join("cache"), "a file in its place").unwrap();
    assert_eq!(
        setup.fetch("a", Options::default()).await,
        Ok(FileOrigin::Fetched)
    );
    assert_eq!(
        setup.fetch("a", Options::default()).await,
        Ok(FileOrigin::Unchanged)
    );
}
