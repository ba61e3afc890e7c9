//! Opens one artifact for reading.

use std::fs::File;

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
        if is_local(uri) {
            let file = self.sources.files.open_file(uri).await;
            return Ok(file.map_err(SourceError::from)?);
        }
        let request = ArtifactRequest {
            trial_id: String::new(),
            task: String::new(),
            kind: ArtifactType::Logs,
            uri: uri.to_owned(),
            directories: [String::new(), String::new()],
            file_name: String::new(),
        };
        self.take_over(std::iter::once(uri), cache);
        // Twice: damaged content is removed and downloaded again.
        for _ in 0..2 {
            let finished = self.to_cache(0, &request, cache).await?;
            let opened = cache.open_verified(&finished.sha256);
            if let Some(file) = opened.map_err(ArtifactError::Cache)? {
                cache.prune_to_limit().ok();
                return Ok(file);
            }
        }
        Err(ArtifactError::NotCached)
    }
}
