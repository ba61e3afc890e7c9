//! What an earlier release has cached for all who asked a remote goes to the profile that inherits it.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

use docks_proto::mirrors::MirrorId;

use super::{Cache, remove};
use crate::digest::Sha256;
use crate::owner::{AddressKey, AddressOwner, RunKey};

impl Cache {
    /// Moves what an earlier release has cached of these addresses to their owner.
    ///
    /// # Errors
    ///
    /// The error of the system.
    pub(crate) fn take_over(
        &self,
        owner: &AddressOwner,
        keys: impl IntoIterator<Item = AddressKey>,
    ) -> io::Result<()> {
        let is_inherited = |key: &AddressKey| {
            let former = key.former.as_ref();
            former.is_some_and(|former| self.record_path(former).exists())
                && !self.record_path(&key.hash).exists()
                && !key.owner.is_some_and(|owner| self.is_forgotten(owner))
        };
        let inherited = keys.into_iter().filter(is_inherited);
        let moving: HashMap<Sha256, AddressKey> = inherited
            .filter_map(|key| Some((key.former.clone()?, key)))
            .collect();
        if moving.is_empty() {
            return Ok(());
        }
        let held = self.lock()?;
        for (former, key) in &moving {
            if let Some(mut record) = self.address_record(former) {
                record.owner = key.owner;
                self.write(&self.record_path(&key.hash), &serde_json::to_vec(&record)?)?;
            }
        }
        // Before the former records are removed, so that the content of pinned runs is always kept.
        for mut record in self.runs()? {
            let is_ours = record.run.remote == owner.remote();
            let former: Vec<Sha256> = record
                .keys
                .iter()
                .filter(|key| is_ours && moving.contains_key(key))
                .cloned()
                .collect();
            if former.is_empty() {
                continue;
            }
            for key in former {
                record.keys.remove(&key);
                let moved = moving.get(&key).map(|key| key.hash.clone());
                record.keys.extend(moved);
            }
            self.write_run(&record)?;
        }
        for former in moving.keys() {
            remove(&self.record_path(former))?;
        }
        drop(held);
        Ok(())
    }

    /// Returns the key under which an earlier release recorded a run, if its record goes to this one.
    pub(super) fn inherited_run(&self, run: &RunKey) -> Option<RunKey> {
        let former = run.former()?;
        let forgotten = run.owner.is_some_and(|owner| self.is_forgotten(owner));
        (!forgotten).then_some(former)
    }

    /// Records that a mirror inherits nothing any more: it was forgotten.
    pub(super) fn mark_forgotten(&self, mirror: MirrorId) -> io::Result<()> {
        self.directory("forgotten")?;
        self.write(&self.forgotten_path(mirror), b"")
    }

    fn is_forgotten(&self, mirror: MirrorId) -> bool {
        self.forgotten_path(mirror).exists()
    }

    fn forgotten_path(&self, mirror: MirrorId) -> PathBuf {
        self.root.join("forgotten").join(mirror.to_string())
    }
}
