//! One download into a partial file, up to the point where the file gets its name.

use std::io;

use super::existing_file::ExistingFile;
use super::fill::{FillResult, Filler};
use super::{Downloader, Revalidation};
use crate::cache::{AddressRecord, Cache};
use crate::digest::Sha256;
use crate::download::error::ArtifactError;
use crate::download::observer::{FileOrigin, FinishedFile};
use crate::output_directory::OutputError;
use crate::owner::AddressKey;
use crate::partial::PartialFile;
use crate::version::Version;

/// A download into one file.
pub(super) struct FileDownload<'a> {
    pub(super) downloader: &'a Downloader<'a>,
    pub(super) filler: Filler<'a>,
    pub(super) key: AddressKey,
    pub(super) known: Option<AddressRecord>,
}

/// What is ready for the final name.
pub(super) enum Prepared {
    /// The existing file has the content.
    AlreadyThere(FinishedFile),
    /// The partial file has it.
    Ready(ReadyFile),
}

/// A synced partial file.
pub(super) struct ReadyFile {
    sha256: Sha256,
    size_bytes: u64,
    version: Option<Version>,
    origin: FileOrigin,
}

impl FileDownload<'_> {
    /// Fills the partial file from the cache or the source, unless the existing file has the content.
    pub(super) async fn prepare(
        &self,
        partial: &mut PartialFile,
    ) -> Result<Prepared, ArtifactError> {
        let output_file = partial.output_file();
        let mut existing = ExistingFile::open(output_file)?;
        // Whether docks wrote the existing file and it has not changed since.
        let ours = match (&mut existing, &self.known) {
            (Some(existing), Some(known)) => existing
                .has_content(&known.sha256, known.size_bytes)
                .await
                .map_err(|error| output_file.write_error(error))?,
            _ => false,
        };
        let may_replace = existing.is_none() || ours || self.downloader.options.overwrite;
        if let Some(known) = self
            .known
            .as_ref()
            .filter(|known| self.downloader.is_trusted(known))
        {
            if ours {
                return Ok(self.unchanged(partial, known));
            }
            if let Some(ready) = self.copy_cached(partial, known, may_replace).await? {
                return Ok(Prepared::Ready(ready));
            }
        }
        if self.downloader.options.revalidation == Revalidation::Never {
            return Err(ArtifactError::NotCached);
        }
        let mut usable = self
            .known
            .as_ref()
            .filter(|known| ours || self.cache().is_some_and(|cache| cache.has(&known.sha256)));
        let version = loop {
            let existing_bytes = existing.as_ref().map(|existing| existing.size_bytes);
            let path = partial.output_file().display_path.clone();
            let unless = usable.and_then(|known| known.version.as_ref());
            let check = |size_bytes: Option<u64>| match (size_bytes, existing_bytes) {
                // The size differs, so the content does; nothing needs to be downloaded.
                (Some(new), Some(old)) if new != old && !may_replace => {
                    Err(OutputError::Differs { path: path.clone() })
                }
                _ => Ok(()),
            };
            match self.filler.fill_from_source(partial, unless, check).await? {
                FillResult::Whole(version) => break version,
                FillResult::Unchanged => {}
            }
            if let Some(known) = usable.take() {
                self.downloader.confirm(&self.key, known);
                if ours {
                    return Ok(self.unchanged(partial, known));
                }
                if let Some(ready) = self.copy_cached(partial, known, may_replace).await? {
                    return Ok(Prepared::Ready(ready));
                }
            }
        };
        let (sha256, size_bytes) = partial.sync_and_hash().await?;
        if let Some(existing) = &mut existing {
            let output_file = partial.output_file();
            let same = existing.has_content(&sha256, size_bytes).await;
            if same.map_err(|error| output_file.write_error(error))? {
                self.record_content(version, &sha256, size_bytes);
                return Ok(Prepared::AlreadyThere(
                    self.finished(partial, sha256, size_bytes),
                ));
            }
            if !may_replace {
                return Err(output_file.differs().into());
            }
        }
        Ok(Prepared::Ready(ReadyFile {
            sha256,
            size_bytes,
            version,
            origin: FileOrigin::Fetched,
        }))
    }

    async fn copy_cached(
        &self,
        partial: &mut PartialFile,
        known: &AddressRecord,
        may_replace: bool,
    ) -> Result<Option<ReadyFile>, ArtifactError> {
        let Some(cache) = self.cache() else {
            return Ok(None);
        };
        if !may_replace {
            return Err(partial.output_file().differs().into());
        }
        let copied = self.filler.fill_from_cache(partial, cache, known).await?;
        Ok(copied.then(|| ReadyFile {
            sha256: known.sha256.clone(),
            size_bytes: known.size_bytes,
            version: known.version.clone(),
            origin: FileOrigin::Cached,
        }))
    }

    /// Copies the file into the cache, and renames it to its final name.
    ///
    /// In this order: a process that waits for the file continues once it has its name, and must
    /// then find the record in the cache.
    pub(super) async fn publish(
        &self,
        partial: PartialFile,
        ready: ReadyFile,
    ) -> Result<FinishedFile, ArtifactError> {
        let finished = FinishedFile {
            path: partial.output_file().display_path.clone(),
            size_bytes: ready.size_bytes,
            sha256: ready.sha256.clone(),
            origin: ready.origin,
        };
        let cache = self
            .cache()
            .filter(|_| ready.origin == FileOrigin::Fetched)
            .cloned();
        let key = self.key.clone();
        let path = finished.path.clone();
        let published = tokio::task::spawn_blocking(move || {
            if let Some(cache) = cache {
                let ReadyFile {
                    sha256,
                    size_bytes,
                    version,
                    ..
                } = ready;
                let file = partial.file()?;
                // If this fails, the artifact is downloaded again the next time.
                cache.insert_copy(&file, &sha256, size_bytes).ok();
                cache
                    .record_content(&key, version, &sha256, size_bytes)
                    .ok();
            }
            partial.publish()
        });
        published.await.unwrap_or_else(|_| {
            let source = io::Error::other("writing was cancelled");
            Err(OutputError::Write { path, source })
        })?;
        Ok(finished)
    }

    fn unchanged(&self, partial: &PartialFile, known: &AddressRecord) -> Prepared {
        Prepared::AlreadyThere(self.finished(partial, known.sha256.clone(), known.size_bytes))
    }

    fn finished(&self, partial: &PartialFile, sha256: Sha256, size_bytes: u64) -> FinishedFile {
        FinishedFile {
            path: partial.output_file().display_path.clone(),
            size_bytes,
            sha256,
            origin: FileOrigin::Unchanged,
        }
    }

    fn record_content(&self, version: Option<Version>, sha256: &Sha256, size_bytes: u64) {
        self.downloader
            .record_content(&self.key, version, sha256, size_bytes);
    }

    fn cache(&self) -> Option<&Cache> {
        self.downloader.cache
    }
}
