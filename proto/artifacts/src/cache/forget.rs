//! Removes what one owner has downloaded.

use std::collections::{BTreeSet, HashSet};
use std::io;

use docks_proto::mirrors::MirrorId;

use super::pruning::object_hash;
use super::{AddressRecord, Cache, entries, files_in_shards, is_locked, remove};
use crate::digest::Sha256;
use crate::owner::RunKey;

/// Whose artifacts are removed.
#[derive(Debug, Clone)]
pub struct ArtifactsOf {
    /// The mirror of the owner.
    pub mirror: MirrorId,
    /// The remote of which runs without an owner belong to it as well: jobs directories, and what an
    /// earlier release has recorded.
    pub unowned_runs_of: Option<String>,
}

/// What was removed of one owner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Number of artifacts. Of some, others may have the same content.
    pub artifacts: u64,
    /// Size of the content that was deleted, in bytes.
    pub size_bytes: u64,
}

impl ArtifactsOf {
    fn includes(&self, run: &RunKey) -> bool {
        match run.owner {
            Some(owner) => owner == self.mirror,
            None => {
                self.unowned_runs_of.as_ref() == Some(&run.remote)
                    || MirrorId::of_former_api(&run.remote) == self.mirror
            }
        }
    }
}

impl Cache {
    /// Removes the artifacts of one owner, and the content that nobody else has as well.
    ///
    /// Pins do not protect them. Objects that belong to the user of this machine are removed if only
    /// runs of this owner name them.
    ///
    /// # Errors
    ///
    /// When the cache cannot be listed or a file cannot be removed.
    pub fn forget(&self, whose: &ArtifactsOf) -> io::Result<Forgotten> {
        if !self.root.exists() {
            return Ok(Forgotten::default());
        }
        let held = self.lock()?;
        // First, so that nothing is inherited from what is left if this is interrupted.
        if whose.unowned_runs_of.is_some() {
            self.mark_forgotten(whose.mirror)?;
        }
        let (of_owner, others): (Vec<_>, Vec<_>) = self
            .runs()?
            .into_iter()
            .partition(|record| whose.includes(&record.run));
        let keys_of = |records: &[super::RunRecord]| -> BTreeSet<Sha256> {
            let keys = records.iter().flat_map(|record| record.keys.clone());
            keys.collect()
        };
        let (named, named_by_others) = (keys_of(&of_owner), keys_of(&others));
        let only_named_here = |key: &Sha256| named.contains(key) && !named_by_others.contains(key);
        let mut forgotten = Forgotten::default();
        let mut kept = HashSet::new();
        for (path, _) in files_in_shards(&self.root.join("known"))? {
            let record: Option<AddressRecord> =
                serde_json::from_slice(&std::fs::read(&path).unwrap_or_default()).ok();
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned());
            let key = name.and_then(|name| Sha256::try_from(name).ok());
            let (Some(record), Some(key)) = (record, key) else {
                continue;
            };
            let is_forgotten = match record.owner {
                Some(owner) => owner == whose.mirror,
                None => only_named_here(&key),
            };
            if is_forgotten {
                remove(&path)?;
                forgotten.artifacts += 1;
            } else {
                kept.insert(record.sha256);
            }
        }
        // Also earlier content of an address, which no record names any more.
        let is_unnamed =
            |sha256: Option<Sha256>| sha256.is_none_or(|sha256| !kept.contains(&sha256));
        let removed = self.prune_objects(|object| is_unnamed(object_hash(object)))?;
        forgotten.size_bytes = removed.size_bytes;
        let prefix = format!("{}-", whose.mirror);
        for path in entries(&self.root.join("partial"))? {
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned());
            let name = name.unwrap_or_default();
            // Hidden, and with an extension.
            let name = name.trim_start_matches('.');
            let key = name.get(..64).map(str::to_owned);
            let key = key.and_then(|key| Sha256::try_from(key).ok());
            let is_forgotten =
                name.starts_with(&prefix) || key.is_some_and(|key| only_named_here(&key));
            // A download in progress removes its own file when it stops.
            if is_forgotten && !is_locked(&path) {
                remove(&path)?;
            }
        }
        for record in &of_owner {
            remove(&self.run_path(&record.run))?;
        }
        drop(held);
        Ok(forgotten)
    }

    /// Lists the mirrors whose owners have downloaded something.
    ///
    /// # Errors
    ///
    /// When the cache cannot be listed.
    pub fn owners(&self) -> io::Result<BTreeSet<MirrorId>> {
        let runs = self
            .runs()?
            .into_iter()
            .filter_map(|record| record.run.owner);
        let mut owners: BTreeSet<MirrorId> = runs.collect();
        for (path, _) in files_in_shards(&self.root.join("known"))? {
            let text = std::fs::read(&path).unwrap_or_default();
            let record: Option<AddressRecord> = serde_json::from_slice(&text).ok();
            owners.extend(record.and_then(|record| record.owner));
        }
        Ok(owners)
    }
}
