//! Size of the cache, and what is removed from it: pruning, clearing, verifying.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::{Cache, entries, files_in_shards, is_locked, remove};
use crate::digest::Sha256;

/// Contents of the cache, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Number of objects.
    pub objects: u64,
    /// Their total size in bytes.
    pub size_bytes: u64,
    /// Total size of the objects of pinned runs, in bytes.
    pub pinned_bytes: u64,
    /// Number of addresses with a record.
    pub addresses: u64,
    /// Number of downloads that can be resumed.
    pub partial: u64,
}

/// What was removed, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removal {
    /// Number of objects.
    pub objects: u64,
    /// Their total size in bytes.
    pub size_bytes: u64,
}

/// Result of verifying every object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verification {
    /// Number of objects with the right hash.
    pub good: u64,
    /// Damaged objects, which were removed.
    pub removed: Removal,
}

pub(super) struct Object {
    pub(super) path: PathBuf,
    pub(super) size_bytes: u64,
    used: SystemTime,
    pinned: bool,
}

impl Cache {
    /// Measures the cache.
    ///
    /// # Errors
    ///
    /// When the cache cannot be listed.
    pub fn usage(&self) -> io::Result<Usage> {
        let objects = self.objects()?;
        let partial = entries(&self.root.join("partial"))?;
        let is_part = |path: &&PathBuf| path.extension().is_some_and(|e| e == "part");
        Ok(Usage {
            objects: objects.len() as u64,
            size_bytes: objects.iter().map(|object| object.size_bytes).sum(),
            pinned_bytes: objects
                .iter()
                .filter(|object| object.pinned)
                .map(|object| object.size_bytes)
                .sum(),
            addresses: files_in_shards(&self.root.join("known"))?.len() as u64,
            partial: partial.iter().filter(is_part).count() as u64,
        })
    }

    /// Removes the least recently used objects until the rest fits the limit; keeps those of pinned runs.
    ///
    /// # Errors
    ///
    /// When the cache cannot be listed or a file cannot be removed.
    pub fn prune(&self, limit_bytes: u64) -> io::Result<Removal> {
        let held = self.lock()?;
        let removed = self.prune_locked(limit_bytes)?;
        drop(held);
        Ok(removed)
    }

    /// Prunes to the configured limit, unless another process holds the lock.
    pub(crate) fn prune_to_limit(&self) -> io::Result<()> {
        let file = self.lock_file()?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => self.prune_locked(self.limit_bytes).map(drop),
            Err(Errno::WOULDBLOCK) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Removes everything; with `pinned`, also pinned runs and their objects.
    ///
    /// # Errors
    ///
    /// When a file cannot be removed.
    pub fn clear(&self, pinned: bool) -> io::Result<Removal> {
        let held = self.lock()?;
        let removed = if pinned {
            self.prune_objects(|_| true)?
        } else {
            self.prune_objects(|object| !object.pinned)?
        };
        let kept: HashSet<Sha256> = self.objects()?.iter().filter_map(object_hash).collect();
        for (path, _) in files_in_shards(&self.root.join("known"))? {
            let known = recorded_hash(&path);
            if known.is_none_or(|sha256| !kept.contains(&sha256)) {
                remove(&path)?;
            }
        }
        for path in entries(&self.root.join("partial"))? {
            // A download in progress removes its own file when it stops.
            if !is_locked(&path) {
                remove(&path)?;
            }
        }
        for record in self.runs()? {
            if pinned || !record.pinned {
                remove(&self.run_path(&record.run))?;
            }
        }
        drop(held);
        Ok(removed)
    }

    /// Hashes every object and removes the damaged ones.
    ///
    /// # Errors
    ///
    /// When an object cannot be listed or read.
    pub fn verify(&self) -> io::Result<Verification> {
        let mut verified = Verification::default();
        for object in self.objects()? {
            let found = match File::open(&object.path) {
                Ok(mut file) => Sha256::of_reader(&mut file)?.0,
                // Another process has pruned it in the meantime.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if object_hash(&object).as_ref() == Some(&found) {
                verified.good += 1;
            } else {
                remove(&object.path)?;
                verified.removed.objects += 1;
                verified.removed.size_bytes += object.size_bytes;
            }
        }
        Ok(verified)
    }

    fn prune_locked(&self, limit_bytes: u64) -> io::Result<Removal> {
        let mut left_bytes: u64 = self.objects()?.iter().map(|object| object.size_bytes).sum();
        if left_bytes <= limit_bytes {
            return Ok(Removal::default());
        }
        self.prune_objects(|object| {
            let should_remove = left_bytes > limit_bytes && !object.pinned;
            if should_remove {
                left_bytes -= object.size_bytes;
            }
            should_remove
        })
    }

    /// Removes objects, the least recently used first.
    pub(super) fn prune_objects(
        &self,
        mut should_remove: impl FnMut(&Object) -> bool,
    ) -> io::Result<Removal> {
        let mut objects = self.objects()?;
        objects.sort_by_key(|object| object.used);
        let mut removed = Removal::default();
        for object in &objects {
            if should_remove(object) {
                remove(&object.path)?;
                removed.objects += 1;
                removed.size_bytes += object.size_bytes;
            }
        }
        Ok(removed)
    }

    pub(super) fn objects(&self) -> io::Result<Vec<Object>> {
        let pinned: HashSet<Sha256> = self
            .runs()?
            .into_iter()
            .filter(|record| record.pinned)
            .flat_map(|record| record.keys)
            .filter_map(|key| Some(self.address_record(&key)?.sha256))
            .collect();
        let files = files_in_shards(&self.root.join("objects"))?;
        Ok(files
            .into_iter()
            .map(|(path, meta)| {
                let mut object = Object {
                    path,
                    size_bytes: meta.len(),
                    used: meta.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                    pinned: false,
                };
                object.pinned = object_hash(&object).is_some_and(|sha256| pinned.contains(&sha256));
                object
            })
            .collect())
    }
}

pub(super) fn object_hash(object: &Object) -> Option<Sha256> {
    let name = object.path.file_name()?.to_str()?;
    Sha256::try_from(name.to_owned()).ok()
}

fn recorded_hash(path: &Path) -> Option<Sha256> {
    let known: super::address_records::AddressRecord =
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    Some(known.sha256)
}
