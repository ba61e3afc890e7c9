//! Fills a partial file with all bytes of one version, however often the connection breaks.

use std::time::Duration;

use futures_util::StreamExt;

use crate::artifact::ArtifactRequest;
use crate::cache::{AddressRecord, Cache};
use crate::download::error::ArtifactError;
use crate::download::observer::Observer;
use crate::output_directory::OutputError;
use crate::partial::PartialFile;
use crate::source::{OpenRequest, OpenResponse, SourceError, Sources};
use crate::version::Version;

/// Attempts without progress after transient failures.
const MAX_ATTEMPTS: u32 = 3;

/// Interrupted responses of one download; a server that sends more is not worth waiting for.
const MAX_RESPONSES: u32 = 10_000;

/// Fills the partial file of one request.
pub(crate) struct Filler<'a> {
    pub(crate) sources: &'a Sources,
    pub(crate) observer: &'a dyn Observer,
    pub(crate) index: usize,
    pub(crate) request: &'a ArtifactRequest,
}

/// How a partial file was filled.
pub(crate) enum FillResult {
    /// The source still has the named version; the partial file is empty.
    Unchanged,
    /// All bytes are in the partial file.
    Whole(Option<Version>),
}

impl Filler<'_> {
    /// Requests the content until it is complete; `check` gets the size before anything is written.
    pub(crate) async fn fill_from_source(
        &self,
        partial: &mut PartialFile,
        unless: Option<&Version>,
        check: impl Fn(Option<u64>) -> Result<(), OutputError>,
    ) -> Result<FillResult, ArtifactError> {
        let (mut attempts, mut responses, mut max_bytes) = (1, 0, partial.written_bytes());
        loop {
            let error = match self.attempt(partial, unless, &check).await {
                Err(ArtifactError::Source(error)) if error.is_transient() => error,
                done => return done,
            };
            responses += 1;
            if partial.written_bytes() > max_bytes {
                max_bytes = partial.written_bytes();
                attempts = 1;
            } else {
                attempts += 1;
            }
            if attempts > MAX_ATTEMPTS || responses > MAX_RESPONSES {
                return Err(error.into());
            }
            // After progress the next attempt follows immediately: the server is up.
            if attempts > 1 {
                tokio::time::sleep(pause(attempts - 1)).await;
            }
        }
    }

    async fn attempt(
        &self,
        partial: &mut PartialFile,
        unless: Option<&Version>,
        check: &impl Fn(Option<u64>) -> Result<(), OutputError>,
    ) -> Result<FillResult, ArtifactError> {
        let resume = partial.resume_point();
        // The file may be complete and lack only its name; then there is no rest to request.
        let complete = resume
            .as_ref()
            .filter(|at| at.size_bytes == Some(at.offset_bytes))
            .map(|at| at.version.clone());
        let ask = OpenRequest {
            uri: &self.request.uri,
            resume: resume.as_ref().filter(|_| complete.is_none()),
            unless: complete.as_ref().or(unless.filter(|_| resume.is_none())),
        };
        let mut opened = match self.sources.open(ask).await? {
            OpenResponse::Unchanged if complete.is_some() => {
                return Ok(FillResult::Whole(complete));
            }
            OpenResponse::Unchanged => return Ok(FillResult::Unchanged),
            OpenResponse::Opened(opened) => opened,
        };
        check(opened.size_bytes)?;
        if opened.begins_at == 0 {
            partial.start_over(opened.version.clone(), opened.size_bytes)?;
        }
        let (size_bytes, there) = (opened.size_bytes, opened.begins_at);
        self.observer
            .began(self.index, self.request, size_bytes, there);
        while let Some(chunk) = opened.body.next().await {
            let chunk = chunk?;
            partial.write(&chunk).await?;
            self.observer.advanced(self.index, chunk.len() as u64);
        }
        let got_bytes = partial.written_bytes();
        match size_bytes {
            Some(size_bytes) if size_bytes != got_bytes => Err(SourceError::Short {
                got_bytes,
                size_bytes,
            }
            .into()),
            _ => Ok(FillResult::Whole(opened.version)),
        }
    }

    /// Copies from the cache; `false` if the content is not cached, with the partial file empty.
    ///
    /// The content is hashed while it is read; damaged content is removed from the cache.
    pub(crate) async fn fill_from_cache(
        &self,
        partial: &mut PartialFile,
        cache: &Cache,
        known: &AddressRecord,
    ) -> Result<bool, ArtifactError> {
        let Some(file) = cache.open(&known.sha256) else {
            return Ok(false);
        };
        partial.start_over(None, None)?;
        self.observer
            .began(self.index, self.request, Some(known.size_bytes), 0);
        loop {
            let copied_bytes = partial.copy_from(&file).await?;
            self.observer.advanced(self.index, copied_bytes);
            if partial.written_bytes() >= known.size_bytes || copied_bytes == 0 {
                break;
            }
        }
        let (sha256, _) = partial.sync_and_hash().await?;
        if sha256 == known.sha256 {
            return Ok(true);
        }
        cache.remove_object(&known.sha256);
        partial.start_over(None, None)?;
        Ok(false)
    }
}

/// Returns the delay after `failures` failures: 0.5 s, doubled each time, with jitter.
fn pause(failures: u32) -> Duration {
    Duration::from_millis((500 << (failures - 1).min(6)) + fastrand::u64(0..250))
}
