//! One artifact for somebody who reads it.

use std::fs::File;

use super::Downloader;
use super::error::ArtifactError;
use crate::artifact::{ArtifactRequest, ArtifactType};
use crate::cache::Cache;
use crate::source::{SourceError, is_local};

impl Downloader<'_> {
    /// Opens what lies at an address: a file of this machine as it is, anything else from the
    /// cache, where it is pulled to first and found to be right.
    ///
    /// # Errors
    ///
    /// Why it cannot be read.
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
        // Twice: what turns out to be damaged is removed, and fetched anew.
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
