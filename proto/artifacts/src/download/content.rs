//! Opens one artifact for reading.

use std::fs::File;

use docks_proto::time::UnixMs;

use super::Downloader;
use super::error::ArtifactError;
use crate::artifact::{ArtifactRequest, ArtifactType};
use crate::cache::Cache;
use crate::source::{SourceError, is_local};

impl Downloader<'_> {
    /// Opens the content of an address: a local file directly, anything else from the cache, after
    /// downloading and verifying it.
    ///
    /// # Errors
    ///
    /// When the artifact cannot be read or cached.
    pub async fn open_content(&self, uri: &str, cache: &Cache) -> Result<File, ArtifactError> {
        let opened = self.open_unpruned(uri, cache).await?;
        if !is_local(uri) {
            cache.prune_to_limit().ok();
        }
        Ok(opened)
    }

    /// As [`Downloader::open_content`], and leaves the cache over its limit: looking through it takes longer than
    /// to download one of many small files.
    ///
    /// # Errors
    ///
    /// As [`Downloader::open_content`].
    pub async fn open_unpruned(&self, uri: &str, cache: &Cache) -> Result<File, ArtifactError> {
        if is_local(uri) {
            let file = self.sources.files.open_file(uri).await;
            return Ok(file.map_err(SourceError::from)?);
        }
        let request = ArtifactRequest {
            trial_id: String::new(),
            task: String::new(),
            kind: ArtifactType::Logs,
            uri: uri.to_owned(),
            directories: Vec::new(),
            file_name: String::new(),
        };
        self.take_over(std::iter::once(uri), cache);
        // Twice: damaged content is removed and downloaded again.
        for _ in 0..2 {
            let finished = self.to_cache(0, &request, cache).await?;
            let opened = cache.open_verified(&finished.sha256);
            if let Some(file) = opened.map_err(ArtifactError::Cache)? {
                return Ok(file);
            }
        }
        Err(ArtifactError::NotCached)
    }

    /// Opens the cached content of an address without asking its source, and says when the source last
    /// confirmed it; `None` if there is none.
    #[must_use]
    pub fn open_cached(&self, uri: &str, cache: &Cache) -> Option<(File, UnixMs)> {
        let known = cache.address_record(&self.sources.cache_key(uri).hash)?;
        let file = cache.open_verified(&known.sha256).ok()??;
        let confirmed_ms = i64::try_from(known.confirmed_ms).unwrap_or(i64::MAX);
        Some((file, UnixMs(confirmed_ms)))
    }
}
