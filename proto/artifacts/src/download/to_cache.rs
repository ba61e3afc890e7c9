//! One artifact into the cache.

use super::{ArtifactError, Asking, Downloader};
use crate::cache::{Cache, Known};
use crate::download::fill::{Fill, Filled};
use crate::partial::Partial;
use crate::{ArtifactRequest, Finished, How};

impl Downloader<'_> {
    pub(super) async fn to_cache(
        &self,
        index: usize,
        request: &ArtifactRequest,
        cache: &Cache,
    ) -> Result<Finished, ArtifactError> {
        let key = self.sources.key(&request.uri);
        let kept = |known: &Known| cache.has(&known.sha256);
        let trusted = |known: &Known| kept(known) && self.trusts(known);
        if let Some(known) = cache.known(&key).filter(trusted) {
            return Ok(finished(cache, &known));
        }
        if self.options.asking == Asking::Never {
            return Err(ArtifactError::NotCached);
        }
        let place = cache.partial(&key).map_err(ArtifactError::Cache)?;
        let mut partial = Partial::lock(place, &key).await?;
        // Only now: another process may have pulled it while this one waited.
        let known = cache.known(&key).filter(kept);
        let unless = known.as_ref().and_then(|known| known.version.as_ref());
        let fill = Fill {
            sources: self.sources,
            observer: self.observer,
            index,
            request,
        };
        let version = match fill.ask_source(&mut partial, unless, |_| Ok(())).await {
            Ok(Filled::Whole(version)) => version,
            Ok(Filled::Unchanged) => {
                partial.discard();
                // Only what was named can be unchanged.
                let known = known.ok_or(ArtifactError::NotCached)?;
                self.confirm(&key, &known);
                return Ok(finished(cache, &known));
            }
            Err(error) => {
                if !error.leaves_a_part() {
                    partial.discard();
                }
                return Err(error);
            }
        };
        let (sha256, size_bytes) = partial.seal().await?;
        // Known first: whoever waits goes on when it has its name, and shall find then that it is.
        let remembered = cache.remember(&key, version, &sha256, size_bytes);
        remembered.map_err(ArtifactError::Cache)?;
        let adopted = partial.publish_by(|file, name| cache.adopt(file, name, &sha256));
        adopted.map_err(ArtifactError::Cache)?;
        Ok(Finished {
            path: cache.object_path(&sha256),
            size_bytes,
            sha256,
            how: How::Fetched,
        })
    }
}

fn finished(cache: &Cache, known: &Known) -> Finished {
    Finished {
        path: cache.object_path(&known.sha256),
        size_bytes: known.size_bytes,
        sha256: known.sha256.clone(),
        how: How::Unchanged,
    }
}
