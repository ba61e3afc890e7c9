//! Fetches many artifacts at once; each one succeeds or fails for itself.

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
use crate::source::Sources;
use crate::version::Version;

pub use error::ArtifactError;
pub use observer::{FileOrigin, FinishedFile, Observer, SilentObserver};

/// Files in flight at once: enough to hide latency, few enough for any server.
pub const DEFAULT_CONCURRENCY: usize = 8;

/// When a source is asked whether it still has what is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revalidation {
    /// Each time.
    Always,
    /// When it last said so longer ago than this.
    IfOlderThan(Duration),
    /// Never: only the cache.
    Never,
}

/// How files are fetched.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// So many at once; at least download.
    pub concurrency: usize,
    /// Whether another file of the same name may be replaced.
    pub overwrite: bool,
    /// When a source is asked.
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

/// How it ended.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What became of each request, in the order of the requests.
    pub results: Vec<Result<FinishedFile, ArtifactError>>,
}

impl Outcome {
    /// Counts the files that are there.
    #[must_use]
    pub fn finished(&self) -> usize {
        self.results.iter().filter(|result| result.is_ok()).count()
    }

    /// Counts those that are not.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.results.len() - self.finished()
    }

    /// Adds up the bytes of the files that are there.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.results.iter().flatten().map(|f| f.size_bytes).sum()
    }
}

/// Fetches artifacts, and says what happens.
pub struct Downloader<'a> {
    /// Where they lie.
    pub sources: &'a Sources,
    /// Where what was fetched is kept.
    pub cache: Option<&'a Cache>,
    /// How.
    pub options: Options,
    /// Who hears of it.
    pub observer: &'a dyn Observer,
}

impl Downloader<'_> {
    /// Fetches everything that is asked for below `output`, made when the first file begins.
    ///
    /// Dropping the future ends all downloads; what is there of large files stays hidden beside
    /// their names, for the next time.
    pub async fn fetch(&self, requests: &[ArtifactRequest], output: &Path) -> Outcome {
        let directory = OnceCell::new();
        let directory = &directory;
        self.run_all(requests, |index, request| async move {
            let directory = directory
                .get_or_try_init(|| async { OutputDirectory::open(output) })
                .await?;
            let place = directory.file(&request.directories, &request.file_name)?;
            self.to_file(index, request, place).await
        })
        .await
    }

    /// Fetches everything that is asked for into the cache.
    pub async fn pull(&self, requests: &[ArtifactRequest], cache: &Cache) -> Outcome {
        self.run_all(requests, |index, request| {
            self.to_cache(index, request, cache)
        })
        .await
    }

    async fn run_all<'r, F: Future<Output = Result<FinishedFile, ArtifactError>>>(
        &self,
        requests: &'r [ArtifactRequest],
        work: impl Fn(usize, &'r ArtifactRequest) -> F,
    ) -> Outcome {
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
            // A cache that is too large until the next time harms nobody.
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

    /// Tells whether what is known counts without asking the source.
    fn is_trusted(&self, known: &AddressRecord) -> bool {
        match (self.options.revalidation, self.cache) {
            (Revalidation::Never, _) => true,
            (Revalidation::IfOlderThan(most), Some(cache)) => cache.is_recent(known, most),
            _ => false,
        }
    }

    /// Remembers what an address gave; a cache that cannot be written only costs time later.
    fn record_content(
        &self,
        key: &Sha256,
        version: Option<Version>,
        sha256: &Sha256,
        size_bytes: u64,
    ) {
        if let Some(cache) = self.cache {
            cache.record_content(key, version, sha256, size_bytes).ok();
        }
    }

    /// Remembers that an address still has what is known of it.
    fn confirm(&self, key: &Sha256, known: &AddressRecord) {
        if let Some(cache) = self.cache {
            cache.confirm(key, known).ok();
        }
    }
}
