//! Downloads one artifact into the cache.

use super::fill::{FillResult, Filler};
use super::{Downloader, Revalidation};
use crate::artifact::ArtifactRequest;
use crate::cache::{AddressRecord, Cache};
use crate::download::error::ArtifactError;
use crate::download::observer::{FileOrigin, FinishedFile};
use crate::partial::PartialFile;

impl Downloader<'_> {
    pub(super) async fn to_cache(
        &self,
        index: usize,
        request: &ArtifactRequest,
        cache: &Cache,
    ) -> Result<FinishedFile, ArtifactError> {
        let key = self.sources.cache_key(&request.uri);
        let kept = |known: &AddressRecord| cache.has(&known.sha256);
        let trusted = |known: &AddressRecord| kept(known) && self.is_trusted(known);
        if let Some(known) = cache.address_record(&key.hash).filter(trusted) {
            return Ok(finished(cache, &known));
        }
        if self.options.revalidation == Revalidation::Never {
            return Err(ArtifactError::NotCached);
        }
        let output_file = cache.partial(&key).map_err(ArtifactError::Cache)?;
        let mut partial = PartialFile::lock(output_file, &key.hash).await?;
        // After taking the lock: another process may have downloaded it in the meantime.
        let known = cache.address_record(&key.hash).filter(kept);
        let unless = known.as_ref().and_then(|known| known.version.as_ref());
        let filler = Filler {
            sources: self.sources,
            observer: self.observer,
            index,
            request,
        };
        let version = match filler
            .fill_from_source(&mut partial, unless, |_| Ok(()))
            .await
        {
            Ok(FillResult::Whole(version)) => version,
            Ok(FillResult::Unchanged) => {
                partial.discard();
                // Only a version that was named in the request can be unchanged.
                let known = known.ok_or(ArtifactError::NotCached)?;
                self.confirm(&key, &known);
                return Ok(finished(cache, &known));
            }
            Err(error) => {
                if !error.keeps_partial_file() {
                    partial.discard();
                }
                return Err(error);
            }
        };
        let (sha256, size_bytes) = partial.sync_and_hash().await?;
        // The record comes first: a process that waits for the file continues once it has its name.
        let remembered = cache.record_content(&key, version, &sha256, size_bytes);
        remembered.map_err(ArtifactError::Cache)?;
        let adopted = partial.publish_with(|file, name| cache.insert_file(file, name, &sha256));
        adopted.map_err(ArtifactError::Cache)?;
        Ok(FinishedFile {
            path: cache.object_path(&sha256),
            size_bytes,
            sha256,
            origin: FileOrigin::Fetched,
        })
    }
}

fn finished(cache: &Cache, known: &AddressRecord) -> FinishedFile {
    FinishedFile {
        path: cache.object_path(&known.sha256),
        size_bytes: known.size_bytes,
        sha256: known.sha256.clone(),
        origin: FileOrigin::Unchanged,
    }
}
