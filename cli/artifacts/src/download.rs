//! Fetches many artifacts at once; each one succeeds or fails for itself.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::sync::OnceCell;

use super::source::{SourceError, Sources};
use super::target::{Target, TargetError};
use super::{ArtifactRequest, Finished, Observer};

/// Files in flight at once: enough to hide latency, few enough for any server.
const AT_ONCE: usize = 8;

/// How often a file is asked for when the failure may pass.
const TRIES: u32 = 3;

/// Says why an artifact is not there.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// It could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It could not be written.
    #[error(transparent)]
    Target(#[from] TargetError),
}

impl ArtifactError {
    /// Returns the whole chain of causes as one line.
    pub fn chain(&self) -> String {
        let mut line = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some libraries repeat their cause in their own text.
            if !line.contains(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            cause = error.source();
        }
        line
    }
}

/// How it ended.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What became of each request, in the order of the requests.
    pub results: Vec<Result<Finished, ArtifactError>>,
}

impl Outcome {
    /// Counts the files that are there.
    pub fn finished(&self) -> usize {
        self.results.iter().filter(|result| result.is_ok()).count()
    }

    /// Counts those that are not.
    pub fn failed(&self) -> usize {
        self.results.len() - self.finished()
    }

    /// Adds up the bytes of the files that are there.
    pub fn bytes(&self) -> u64 {
        self.results.iter().flatten().map(|f| f.size_bytes).sum()
    }
}

/// Fetches everything that is asked for below `output`, which is made when the first file begins.
///
/// Dropping the future ends all downloads and leaves no partial file.
pub async fn fetch_all(
    requests: &[ArtifactRequest],
    sources: &Sources,
    output: &Path,
    observer: &dyn Observer,
) -> Outcome {
    let job = Job {
        sources,
        output,
        target: OnceCell::new(),
        observer,
    };
    let job = &job;
    let mut results: Vec<(usize, Result<Finished, ArtifactError>)> =
        stream::iter(requests.iter().enumerate())
            .map(|(index, request)| async move { (index, job.fetch(index, request).await) })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
    results.sort_by_key(|(index, _)| *index);
    Outcome {
        results: results.into_iter().map(|(_, result)| result).collect(),
    }
}

struct Job<'a> {
    sources: &'a Sources,
    output: &'a Path,
    target: OnceCell<Target>,
    observer: &'a dyn Observer,
}

impl Job<'_> {
    async fn fetch(
        &self,
        index: usize,
        request: &ArtifactRequest,
    ) -> Result<Finished, ArtifactError> {
        let mut tried = 1;
        let result = loop {
            match self.fetch_once(index, request).await {
                Err(ArtifactError::Source(error)) if error.may_pass() && tried < TRIES => {
                    tokio::time::sleep(pause(tried)).await;
                    tried += 1;
                }
                result => break result,
            }
        };
        match &result {
            Ok(finished) => self.observer.finished(index, request, finished),
            Err(error) => self.observer.failed(index, request, error),
        }
        result
    }

    async fn fetch_once(
        &self,
        index: usize,
        request: &ArtifactRequest,
    ) -> Result<Finished, ArtifactError> {
        let mut opened = self.sources.open(&request.uri).await?;
        let target = self
            .target
            .get_or_try_init(|| async { Target::open(self.output) })
            .await?;
        let mut partial = target.begin(&request.directories, &request.file_name)?;
        self.observer.began(index, request, opened.size_bytes);
        while let Some(chunk) = opened.body.next().await {
            let chunk = chunk?;
            partial.write(&chunk).await?;
            self.observer.advanced(index, chunk.len() as u64);
        }
        Ok(partial.finish().await?)
    }
}

/// Half a second, then doubled, with jitter so that eight downloads do not come back as one.
fn pause(tried: u32) -> Duration {
    Duration::from_millis((500 << (tried - 1)) + fastrand::u64(0..250))
}
