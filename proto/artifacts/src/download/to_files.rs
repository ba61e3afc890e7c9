//! One artifact into one file of the output directory.

use std::fs::File;
use std::io;

use super::{ArtifactError, Downloader, Revalidation};
use crate::cache::{AddressRecord, Cache};
use crate::digest::Sha256;
use crate::download::fill::{FillResult, Filler};
use crate::output_directory::{OutputError, OutputFile};
use crate::partial::PartialFile;
use crate::source::{OpenRequest, OpenResponse};
use crate::version::Version;
use crate::{ArtifactRequest, FileOrigin, FinishedFile};

/// The file that has the name already.
struct ExistingFile {
    file: File,
    size_bytes: u64,
    sha256: Option<Sha256>,
}

impl ExistingFile {
    async fn has_content(&mut self, sha256: &Sha256, size_bytes: u64) -> io::Result<bool> {
        if self.size_bytes != size_bytes {
            return Ok(false);
        }
        if self.sha256.is_none() {
            let mut file = self.file.try_clone()?;
            let hashed = tokio::task::spawn_blocking(move || Sha256::of_reader(&mut file)).await;
            let (found, _) = hashed.unwrap_or_else(|_| Err(io::Error::other("cut short")))?;
            self.sha256 = Some(found);
        }
        Ok(self.sha256.as_ref() == Some(sha256))
    }
}

impl Downloader<'_> {
    pub(super) async fn to_file(
        &self,
        index: usize,
        request: &ArtifactRequest,
        place: OutputFile,
    ) -> Result<FinishedFile, ArtifactError> {
        let key = self.sources.cache_key(&request.uri);
        if let Some(finished) = self.find_unchanged(&request.uri, &place, &key).await? {
            return Ok(finished);
        }
        let mut partial = PartialFile::lock(place, &key).await?;
        let download = FileDownload {
            downloader: self,
            filler: Filler {
                sources: self.sources,
                observer: self.observer,
                index,
                request,
            },
            // Only now: another process may have fetched it while this one waited.
            known: self.cache.and_then(|cache| cache.address_record(&key)),
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
}

impl Downloader<'_> {
    /// Finds that a file which was written here before is still what its source has.
    ///
    /// That is what most files are when a command is given again. Nothing is made for it: a part
    /// that is made and removed thousands of times costs a file system more than everything else.
    /// Whatever is unclear, or failed, is left to whoever holds the part.
    async fn find_unchanged(
        &self,
        uri: &str,
        place: &OutputFile,
        key: &Sha256,
    ) -> Result<Option<FinishedFile>, ArtifactError> {
        let Some(known) = self.cache.and_then(|cache| cache.address_record(key)) else {
            return Ok(None);
        };
        let Some((file, size_bytes)) = place.open_existing()? else {
            return Ok(None);
        };
        let mut existing = ExistingFile {
            file,
            size_bytes,
            sha256: None,
        };
        let same = existing.has_content(&known.sha256, known.size_bytes).await;
        if !same.unwrap_or(false) || PartialFile::exists(place) {
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
            path: place.display_path.clone(),
            size_bytes: known.size_bytes,
            sha256: known.sha256,
            origin: FileOrigin::Unchanged,
        }))
    }
}

struct FileDownload<'a> {
    downloader: &'a Downloader<'a>,
    filler: Filler<'a>,
    key: Sha256,
    known: Option<AddressRecord>,
}

enum Prepared {
    /// The file that is there is the download.
    AlreadyThere(FinishedFile),
    /// The partial file is.
    Ready(ReadyFile),
}

struct ReadyFile {
    sha256: Sha256,
    size_bytes: u64,
    version: Option<Version>,
    origin: FileOrigin,
}

impl FileDownload<'_> {
    async fn prepare(&self, partial: &mut PartialFile) -> Result<Prepared, ArtifactError> {
        let place = partial.place();
        let mut existing = place
            .open_existing()?
            .map(|(file, size_bytes)| ExistingFile {
                file,
                size_bytes,
                sha256: None,
            });
        // Whether it is what was written here last time, and nobody touched it since.
        let ours = match (&mut existing, &self.known) {
            (Some(existing), Some(known)) => existing
                .has_content(&known.sha256, known.size_bytes)
                .await
                .map_err(|error| place.write_error(error))?,
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
            let path = partial.place().display_path.clone();
            let unless = usable.and_then(|known| known.version.as_ref());
            let check = |size_bytes: Option<u64>| match (size_bytes, existing_bytes) {
                // Already by its size it is another file; nothing needs to be moved.
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
            let place = partial.place();
            let same = existing.has_content(&sha256, size_bytes).await;
            if same.map_err(|error| place.write_error(error))? {
                self.record_content(version, &sha256, size_bytes);
                return Ok(Prepared::AlreadyThere(
                    self.finished(partial, sha256, size_bytes),
                ));
            }
            if !may_replace {
                return Err(place.differs().into());
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
            return Err(partial.place().differs().into());
        }
        let copied = self.filler.fill_from_cache(partial, cache, known).await?;
        Ok(copied.then(|| ReadyFile {
            sha256: known.sha256.clone(),
            size_bytes: known.size_bytes,
            version: known.version.clone(),
            origin: FileOrigin::Cached,
        }))
    }

    /// Gives the cache its copy, and the file its name.
    ///
    /// In this order: whoever waits for the file goes on when it has its name, and shall find then
    /// that it is known.
    async fn publish(
        &self,
        partial: PartialFile,
        ready: ReadyFile,
    ) -> Result<FinishedFile, ArtifactError> {
        let finished = FinishedFile {
            path: partial.place().display_path.clone(),
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
                // Not kept, or not known, is fetched again, and nothing worse.
                cache.insert_copy(&file, &sha256, size_bytes).ok();
                cache
                    .record_content(&key, version, &sha256, size_bytes)
                    .ok();
            }
            partial.publish()
        });
        published.await.unwrap_or_else(|_| {
            let source = io::Error::other("writing was cut short");
            Err(OutputError::Write { path, source })
        })?;
        Ok(finished)
    }

    fn unchanged(&self, partial: &PartialFile, known: &AddressRecord) -> Prepared {
        Prepared::AlreadyThere(self.finished(partial, known.sha256.clone(), known.size_bytes))
    }

    fn finished(&self, partial: &PartialFile, sha256: Sha256, size_bytes: u64) -> FinishedFile {
        FinishedFile {
            path: partial.place().display_path.clone(),
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
