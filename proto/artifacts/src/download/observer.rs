//! What a download reports: files that start, advance, finish or fail.

use std::path::PathBuf;

use crate::artifact::ArtifactRequest;
use crate::digest::Sha256;
use crate::download::error::ArtifactError;

/// How a file came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileOrigin {
    /// From its source.
    Fetched,
    /// From the cache.
    Cached,
    /// It was there already, identical.
    Unchanged,
}

/// A file that lies whole under its final name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedFile {
    /// Where, as the user wrote the output directory.
    pub path: PathBuf,
    /// Its size.
    pub size_bytes: u64,
    /// Its content.
    pub sha256: Sha256,
    /// How it came to be there.
    pub origin: FileOrigin,
}

/// Hears what happens while files are fetched; `index` counts requests from 0.
pub trait Observer: Sync {
    /// A request is answered: the size in all, if the source says one, and what of it is there.
    fn began(
        &self,
        index: usize,
        request: &ArtifactRequest,
        size_bytes: Option<u64>,
        offset_bytes: u64,
    );
    /// That many more bytes are written.
    fn advanced(&self, index: usize, bytes: u64);
    /// The file is there.
    fn finished(&self, index: usize, request: &ArtifactRequest, finished: &FinishedFile);
    /// The file is not there.
    fn failed(&self, index: usize, request: &ArtifactRequest, why: &ArtifactError);
}

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct SilentObserver;

impl Observer for SilentObserver {
    fn began(&self, _: usize, _: &ArtifactRequest, _: Option<u64>, _: u64) {}
    fn advanced(&self, _: usize, _: u64) {}
    fn finished(&self, _: usize, _: &ArtifactRequest, _: &FinishedFile) {}
    fn failed(&self, _: usize, _: &ArtifactRequest, _: &ArtifactError) {}
}
