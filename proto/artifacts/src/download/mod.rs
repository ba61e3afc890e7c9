//! Downloads many artifacts concurrently; each one succeeds or fails independently.

mod content;
mod error;
mod existing_file;
mod file_download;
mod fill;
mod observer;
mod to_cache;
mod to_files;

use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::OnceCell;

use crate::artifact::ArtifactRequest;
use crate::cache::{AddressRecord, Cache};
use crate::digest::Sha256;
use crate::output_directory::OutputDirectory;
use crate::owner::AddressKey;
use crate::source::Sources;
use crate::version::Version;

pub use error::ArtifactError;
pub use observer::{FileOrigin, FinishedFile, Observer, SilentObserver};

/// Default number of concurrent downloads: enough to hide latency, few enough for any server.
pub const DEFAULT_CONCURRENCY: usize = 8;

/// When a source is asked whether it still has the cached content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revalidation {
    /// Every time.
    Always,
    /// If its last confirmation is older than this.
    IfOlderThan(Duration),
    /// Never; only the cache is used.
    Never,
}

/// Options of a download.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Number of concurrent downloads; 0 counts as 1.
    pub concurrency: usize,
    /// Whether a different file of the same name may be replaced.
    pub overwrite: bool,
    /// When a source is asked whether cached content is current.
    pub revalidation: Revalidation,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            concurrency: DEFAULT_CONCURRENCY,
            overwrite: false,
            revalidation: Revalidation::Always,
        }
    }
}

/// The results of a download.
#[derive(Debug, Default)]
pub struct Outcome {
    /// One result per request, in the order of the requests.
    pub results: Vec<Result<FinishedFile, ArtifactError>>,
}

impl Outcome {
    /// Returns the number of files that are complete.
    #[must_use]
    pub fn finished(&self) -> usize {
        self.results.iter().filter(|result| result.is_ok()).count()
    }

    /// Returns the number of files that failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.results.len() - self.finished()
    }

    /// Returns the total size of the complete files in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.results.iter().flatten().map(|f| f.size_bytes).sum()
    }
}

/// Downloads artifacts and notifies an observer.
pub struct Downloader<'a> {
    /// The sources to read from.
    pub sources: &'a Sources,
    /// The cache, if there is one.
    pub cache: Option<&'a Cache>,
    /// Options.
    pub options: Options,
    /// Is notified of the progress.
    pub observer: &'a dyn Observer,
}

impl Downloader<'_> {
    /// Downloads all requested files below `output`, which is created when the first one starts.
    ///
    /// Dropping the future stops all downloads; large partial files remain under hidden names, so
    /// that the next download resumes.
    pub async fn fetch(&self, requests: &[ArtifactRequest], output: &Path) -> Outcome {
        let directory = OnceCell::new();
        let directory = &directory;
        self.run_all(requests, |index, request| async move {
            let directory = directory
                .get_or_try_init(|| async { OutputDirectory::open(output) })
                .await?;
            let output_file = directory.file(&request.directories, &request.file_name)?;
            self.to_file(index, request, output_file).await
        })
        .await
    }

    /// Downloads all requested files into the cache.
    pub async fn pull(&self, requests: &[ArtifactRequest], cache: &Cache) -> Outcome {
        self.run_all(requests, |index, request| {
            self.to_cache(index, request, cache)
        })
        .await
    }

    /// Moves what an earlier release has cached to its owner.
    fn take_over<'r>(&self, uris: impl Iterator<Item = &'r str>, cache: &Cache) {
        let keys = uris.map(|uri| self.sources.cache_key(uri));
        // If that fails, it is downloaded again.
        cache.take_over(&self.sources.owner, keys).ok();
    }

    async fn run_all<'r, F: Future<Output = Result<FinishedFile, ArtifactError>>>(
        &self,
        requests: &'r [ArtifactRequest],
        work: impl Fn(usize, &'r ArtifactRequest) -> F,
    ) -> Outcome {
        if let Some(cache) = self.cache {
            let uris = requests.iter().map(|request| request.uri.as_str());
            self.take_over(uris, cache);
        }
        let mut left = requests.iter().enumerate();
        let mut running = FuturesUnordered::new();
        let mut results = Vec::with_capacity(requests.len());
        loop {
            while running.len() < self.options.concurrency.max(1)
                && let Some((index, request)) = left.next()
            {
                running.push(self.run_one(index, request, work(index, request)));
            }
            match running.next().await {
                Some(result) => results.push(result),
                None => break,
            }
        }
        results.sort_by_key(|(index, _)| *index);
        if let Some(cache) = self.cache {
            // A cache over its limit does no harm until it is pruned the next time.
            cache.prune_to_limit().ok();
        }
        Outcome {
            results: results.into_iter().map(|(_, result)| result).collect(),
        }
    }

    async fn run_one(
        &self,
        index: usize,
        request: &ArtifactRequest,
        work: impl Future<Output = Result<FinishedFile, ArtifactError>>,
    ) -> (usize, Result<FinishedFile, ArtifactError>) {
        let result = work.await;
        match &result {
            Ok(finished) => self.observer.finished(index, request, finished),
            Err(error) => self.observer.failed(index, request, error),
        }
        (index, result)
    }

    /// Returns whether a record is used without asking the source.
    fn is_trusted(&self, known: &AddressRecord) -> bool {
        match (self.options.revalidation, self.cache) {
            (Revalidation::Never, _) => true,
            (Revalidation::IfOlderThan(max_age), Some(cache)) => cache.is_recent(known, max_age),
            _ => false,
        }
    }

    /// Records the content of an address; if that fails, it only costs time later.
    fn record_content(
        &self,
        key: &AddressKey,
        version: Option<Version>,
        sha256: &Sha256,
        size_bytes: u64,
    ) {
        if let Some(cache) = self.cache {
            cache.record_content(key, version, sha256, size_bytes).ok();
        }
    }

    /// Records that an address still has the recorded content.
    fn confirm(&self, key: &AddressKey, known: &AddressRecord) {
        if let Some(cache) = self.cache {
            cache.confirm(key, known).ok();
        }
    }
}
