//! One artifact into one file of the output directory.

use std::fs::File;
use std::io;

use super::{ArtifactError, Asking, Downloader};
use crate::cache::{Cache, Known};
use crate::digest::Sha256;
use crate::download::fill::{Fill, Filled};
use crate::output_directory::{Place, TargetError};
use crate::partial::Partial;
use crate::source::{OpenRequest, OpenResponse};
use crate::version::Version;
use crate::{ArtifactRequest, Finished, How};

/// The file that has the name already.
struct There {
    file: File,
    size_bytes: u64,
    sha256: Option<Sha256>,
}

impl There {
    async fn is(&mut self, sha256: &Sha256, size_bytes: u64) -> io::Result<bool> {
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
        place: Place,
    ) -> Result<Finished, ArtifactError> {
        let key = self.sources.key(&request.uri);
        if let Some(finished) = self.still_there(&request.uri, &place, &key).await? {
            return Ok(finished);
        }
        let mut partial = Partial::lock(place, &key).await?;
        let one = One {
            downloader: self,
            fill: Fill {
                sources: self.sources,
                observer: self.observer,
                index,
                request,
            },
            // Only now: another process may have fetched it while this one waited.
            known: self.cache.and_then(|cache| cache.known(&key)),
            key,
        };
        match one.bring(&mut partial).await {
            Ok(Brought::There(finished)) => {
                partial.discard();
                Ok(finished)
            }
            Ok(Brought::Sealed(sealed)) => one.publish(partial, sealed).await,
            Err(error) => {
                if !error.leaves_a_part() {
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
    async fn still_there(
        &self,
        uri: &str,
        place: &Place,
        key: &Sha256,
    ) -> Result<Option<Finished>, ArtifactError> {
        let Some(known) = self.cache.and_then(|cache| cache.known(key)) else {
            return Ok(None);
        };
        let Some((file, size_bytes)) = place.existing()? else {
            return Ok(None);
        };
        let mut there = There {
            file,
            size_bytes,
            sha256: None,
        };
        let same = there.is(&known.sha256, known.size_bytes).await;
        if !same.unwrap_or(false) || Partial::is_begun(place) {
            return Ok(None);
        }
        if !self.trusts(&known) {
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
        Ok(Some(Finished {
            path: place.shown.clone(),
            size_bytes: known.size_bytes,
            sha256: known.sha256,
            how: How::Unchanged,
        }))
    }
}

struct One<'a> {
    downloader: &'a Downloader<'a>,
    fill: Fill<'a>,
    key: Sha256,
    known: Option<Known>,
}

enum Brought {
    /// The file that is there is the one.
    There(Finished),
    /// The partial file is.
    Sealed(Sealed),
}

struct Sealed {
    sha256: Sha256,
    size_bytes: u64,
    version: Option<Version>,
    how: How,
}

impl One<'_> {
    async fn bring(&self, partial: &mut Partial) -> Result<Brought, ArtifactError> {
        let place = partial.place();
        let mut there = place.existing()?.map(|(file, size_bytes)| There {
            file,
            size_bytes,
            sha256: None,
        });
        // Whether it is what was written here last time, and nobody touched it since.
        let ours = match (&mut there, &self.known) {
            (Some(there), Some(known)) => there
                .is(&known.sha256, known.size_bytes)
                .await
                .map_err(|error| place.failed(error))?,
            _ => false,
        };
        let may_replace = there.is_none() || ours || self.downloader.options.overwrite;
        if let Some(known) = self
            .known
            .as_ref()
            .filter(|known| self.downloader.trusts(known))
        {
            if ours {
                return Ok(self.unchanged(partial, known));
            }
            if let Some(sealed) = self.copy_cached(partial, known, may_replace).await? {
                return Ok(Brought::Sealed(sealed));
            }
        }
        if self.downloader.options.asking == Asking::Never {
            return Err(ArtifactError::NotCached);
        }
        let mut usable = self
            .known
            .as_ref()
            .filter(|known| ours || self.cache().is_some_and(|cache| cache.has(&known.sha256)));
        let version = loop {
            let size_there = there.as_ref().map(|there| there.size_bytes);
            let path = partial.place().shown.clone();
            let unless = usable.and_then(|known| known.version.as_ref());
            let check = |size_bytes: Option<u64>| match (size_bytes, size_there) {
                // Already by its size it is another file; nothing needs to be moved.
                (Some(new), Some(old)) if new != old && !may_replace => {
                    Err(TargetError::Differs { path: path.clone() })
                }
                _ => Ok(()),
            };
            match self.fill.ask_source(partial, unless, check).await? {
                Filled::Whole(version) => break version,
                Filled::Unchanged => {}
            }
            if let Some(known) = usable.take() {
                self.downloader.confirm(&self.key, known);
                if ours {
                    return Ok(self.unchanged(partial, known));
                }
                if let Some(sealed) = self.copy_cached(partial, known, may_replace).await? {
                    return Ok(Brought::Sealed(sealed));
                }
            }
        };
        let (sha256, size_bytes) = partial.seal().await?;
        if let Some(there) = &mut there {
            let place = partial.place();
            let same = there.is(&sha256, size_bytes).await;
            if same.map_err(|error| place.failed(error))? {
                self.remember(version, &sha256, size_bytes);
                return Ok(Brought::There(self.finished(partial, sha256, size_bytes)));
            }
            if !may_replace {
                return Err(place.differs().into());
            }
        }
        Ok(Brought::Sealed(Sealed {
            sha256,
            size_bytes,
            version,
            how: How::Fetched,
        }))
    }

    async fn copy_cached(
        &self,
        partial: &mut Partial,
        known: &Known,
        may_replace: bool,
    ) -> Result<Option<Sealed>, ArtifactError> {
        let Some(cache) = self.cache() else {
            return Ok(None);
        };
        if !may_replace {
            return Err(partial.place().differs().into());
        }
        let copied = self.fill.copy_cached(partial, cache, known).await?;
        Ok(copied.then(|| Sealed {
            sha256: known.sha256.clone(),
            size_bytes: known.size_bytes,
            version: known.version.clone(),
            how: How::Cached,
        }))
    }

    /// Gives the cache its copy, and the file its name.
    ///
    /// In this order: whoever waits for the file goes on when it has its name, and shall find then
    /// that it is known.
    async fn publish(&self, partial: Partial, sealed: Sealed) -> Result<Finished, ArtifactError> {
        let finished = Finished {
            path: partial.place().shown.clone(),
            size_bytes: sealed.size_bytes,
            sha256: sealed.sha256.clone(),
            how: sealed.how,
        };
        let cache = self.cache().filter(|_| sealed.how == How::Fetched).cloned();
        let key = self.key.clone();
        let path = finished.path.clone();
        let published = tokio::task::spawn_blocking(move || {
            if let Some(cache) = cache {
                let Sealed {
                    sha256,
                    size_bytes,
                    version,
                    ..
                } = sealed;
                let file = partial.file()?;
                // Not kept, or not known, is fetched again, and nothing worse.
                cache.keep(&file, &sha256, size_bytes).ok();
                cache.remember(&key, version, &sha256, size_bytes).ok();
            }
            partial.publish()
        });
        published.await.unwrap_or_else(|_| {
            let source = io::Error::other("writing was cut short");
            Err(TargetError::Write { path, source })
        })?;
        Ok(finished)
    }

    fn unchanged(&self, partial: &Partial, known: &Known) -> Brought {
        Brought::There(self.finished(partial, known.sha256.clone(), known.size_bytes))
    }

    fn finished(&self, partial: &Partial, sha256: Sha256, size_bytes: u64) -> Finished {
        Finished {
            path: partial.place().shown.clone(),
            size_bytes,
            sha256,
            how: How::Unchanged,
        }
    }

    fn remember(&self, version: Option<Version>, sha256: &Sha256, size_bytes: u64) {
        self.downloader
            .remember(&self.key, version, sha256, size_bytes);
    }

    fn cache(&self) -> Option<&Cache> {
        self.downloader.cache
    }
}
