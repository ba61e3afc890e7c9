//! Downloads one artifact into a file of the output directory.

use super::Downloader;
use super::existing_file::ExistingFile;
use super::file_download::{FileDownload, Prepared};
use super::fill::Filler;
use crate::artifact::ArtifactRequest;
use crate::download::error::ArtifactError;
use crate::download::observer::{FileOrigin, FinishedFile};
use crate::output_directory::OutputFile;
use crate::owner::AddressKey;
use crate::partial::PartialFile;
use crate::source::{OpenRequest, OpenResponse};

impl Downloader<'_> {
    pub(super) async fn to_file(
        &self,
        index: usize,
        request: &ArtifactRequest,
        output_file: OutputFile,
    ) -> Result<FinishedFile, ArtifactError> {
        let key = self.sources.cache_key(&request.uri);
        if let Some(finished) = self
            .find_unchanged(&request.uri, &output_file, &key)
            .await?
        {
            return Ok(finished);
        }
        let mut partial = PartialFile::lock(output_file, &key.hash).await?;
        let download = FileDownload {
            downloader: self,
            filler: Filler {
                sources: self.sources,
                observer: self.observer,
                index,
                request,
            },
            // After taking the lock: another process may have downloaded it in the meantime.
            known: self.cache.and_then(|cache| cache.address_record(&key.hash)),
            key,
        };
        match download.prepare(&mut partial).await {
            Ok(Prepared::AlreadyThere(finished)) => {
                partial.discard();
                Ok(finished)
            }
            Ok(Prepared::Ready(ready)) => download.publish(partial, ready).await,
            Err(error) => {
                if !error.keeps_partial_file() {
                    partial.discard();
                }
                Err(error)
            }
        }
    }

    /// Returns the file if it was downloaded before and its source still has the same content.
    ///
    /// That is the common case when a command is repeated. It creates no partial file: creating and
    /// removing thousands of them would cost more than everything else. `None` if anything is
    /// unclear or fails; the caller then downloads the file.
    async fn find_unchanged(
        &self,
        uri: &str,
        output_file: &OutputFile,
        key: &AddressKey,
    ) -> Result<Option<FinishedFile>, ArtifactError> {
        let Some(known) = self.cache.and_then(|cache| cache.address_record(&key.hash)) else {
            return Ok(None);
        };
        let Some(mut existing) = ExistingFile::open(output_file)? else {
            return Ok(None);
        };
        let same = existing.has_content(&known.sha256, known.size_bytes).await;
        if !same.unwrap_or(false) || PartialFile::exists(output_file) {
            return Ok(None);
        }
        if !self.is_trusted(&known) {
            let Some(version) = &known.version else {
                return Ok(None);
            };
            let ask = OpenRequest {
                uri,
                resume: None,
                unless: Some(version),
            };
            match self.sources.open(ask).await {
                Ok(OpenResponse::Unchanged) => {}
                _ => return Ok(None),
            }
            self.confirm(key, &known);
        }
        Ok(Some(FinishedFile {
            path: output_file.display_path.clone(),
            size_bytes: known.size_bytes,
            sha256: known.sha256,
            origin: FileOrigin::Unchanged,
        }))
    }
}
