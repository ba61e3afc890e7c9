//! The latest content of each address.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use docks_proto::mirrors::MirrorId;
use docks_proto::time::UnixMs;
use serde::{Deserialize, Serialize};

use super::Cache;
use crate::digest::Sha256;
use crate::owner::AddressKey;
use crate::version::Version;

/// A confirmation younger than this is not written again.
const RECENT: Duration = Duration::from_secs(10);

/// The latest content of an address; stored as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressRecord {
    /// Version, if the source reported one.
    pub version: Option<Version>,
    /// Hash of the content.
    pub sha256: Sha256,
    /// Size in bytes.
    pub size_bytes: u64,
    /// When the source last confirmed that this is its content, in Unix milliseconds.
    pub confirmed_ms: u64,
    /// The mirror whose owner the content belongs to; `None` for the user of this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<MirrorId>,
}

impl Cache {
    /// Returns the latest content of an address; `key` is the hash of an [`AddressKey`].
    #[must_use]
    pub fn address_record(&self, key: &Sha256) -> Option<AddressRecord> {
        let text = std::fs::read(self.record_path(key)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Records the current content of an address.
    ///
    /// # Errors
    ///
    /// The error of the system.
    pub(crate) fn record_content(
        &self,
        key: &AddressKey,
        version: Option<Version>,
        sha256: &Sha256,
        size_bytes: u64,
    ) -> io::Result<()> {
        let known = AddressRecord {
            version,
            sha256: sha256.clone(),
            size_bytes,
            confirmed_ms: u64::try_from(self.now.0).unwrap_or(0),
            owner: key.owner,
        };
        self.write(&self.record_path(&key.hash), &serde_json::to_vec(&known)?)
    }

    /// Records that an address still has the recorded content.
    ///
    /// # Errors
    ///
    /// The error of the system.
    pub(crate) fn confirm(&self, key: &AddressKey, known: &AddressRecord) -> io::Result<()> {
        // Writing thousands of unchanged records would replace as many files.
        if self.is_recent(known, RECENT) {
            return Ok(());
        }
        self.record_content(key, known.version.clone(), &known.sha256, known.size_bytes)
    }

    /// Returns whether the content of an address is cached and was fetched or confirmed at `since` or
    /// later.
    #[must_use]
    pub fn is_cached_since(&self, key: &Sha256, since: UnixMs) -> bool {
        let since_ms = u64::try_from(since.0).unwrap_or(0);
        let record = self.address_record(key);
        // The record alone proves nothing: it is written before the content has its name.
        record.is_some_and(|known| known.confirmed_ms >= since_ms && self.has(&known.sha256))
    }

    /// Returns whether the record was confirmed at most this long ago.
    pub(crate) fn is_recent(&self, known: &AddressRecord, max_age: Duration) -> bool {
        let confirmed = UnixMs(i64::try_from(known.confirmed_ms).unwrap_or(0));
        // A time in the future was written before the clock was set back, and proves nothing.
        confirmed <= self.now && self.now.since(confirmed) <= max_age
    }

    pub(super) fn record_path(&self, key: &Sha256) -> PathBuf {
        let hex = key.hex();
        self.root
            .join("known")
            .join(hex.get(..2).unwrap_or_default())
            .join(hex)
    }
}
