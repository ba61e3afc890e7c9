//! What a download reports: files that start, advance, finish or fail.

use std::path::PathBuf;

use crate::artifact::ArtifactRequest;
use crate::digest::Sha256;
use crate::download::error::ArtifactError;

/// Where the content of a file came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileOrigin {
    /// It was downloaded from its source.
    Fetched,
    /// It was copied from the cache.
    Cached,
    /// An identical file was already there.
    Unchanged,
}

/// A complete file under its final name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedFile {
    /// Path, starting with the output directory as the user wrote it.
    pub path: PathBuf,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Hash of the content.
    pub sha256: Sha256,
    /// Where the content came from.
    pub origin: FileOrigin,
}

/// Is notified of the progress of downloads; `index` is the position of the request, from 0.
pub trait Observer: Sync {
    /// A download starts at `offset_bytes`; `size_bytes` is the total size, if the source reports it.
    fn began(
        &self,
        index: usize,
        request: &ArtifactRequest,
        size_bytes: Option<u64>,
        offset_bytes: u64,
    );
    /// This many more bytes were received.
    fn advanced(&self, index: usize, bytes: u64);
    /// The file is complete.
    fn finished(&self, index: usize, request: &ArtifactRequest, finished: &FinishedFile);
    /// The download failed.
    fn failed(&self, index: usize, request: &ArtifactRequest, why: &ArtifactError);
}

/// Ignores all notifications.
#[derive(Debug, Clone, Copy, Default)]
pub struct SilentObserver;

impl Observer for SilentObserver {
    fn began(&self, _: usize, _: &ArtifactRequest, _: Option<u64>, _: u64) {}
    fn advanced(&self, _: usize, _: u64) {}
    fn finished(&self, _: usize, _: &ArtifactRequest, _: &FinishedFile) {}
    fn failed(&self, _: usize, _: &ArtifactRequest, _: &ArtifactError) {}
}
