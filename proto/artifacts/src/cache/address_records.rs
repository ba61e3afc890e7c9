//! What an address gave last.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use docks_proto::time::UnixMs;
use serde::{Deserialize, Serialize};

use super::Cache;
use crate::digest::Sha256;
use crate::version::Version;

/// A time that is not worth to be told from now.
const RECENT: Duration = Duration::from_secs(10);

/// What an address gave last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressRecord {
    /// Which version that was, if the place said so.
    pub version: Option<Version>,
    /// Its content.
    pub sha256: Sha256,
    /// Its size.
    pub size_bytes: u64,
    /// When the place last said that this is what it has.
    pub confirmed_ms: u64,
}

impl Cache {
    /// Returns what an address gave last; `key` is that of [`crate::source::Sources::cache_key`].
    #[must_use]
    pub fn address_record(&self, key: &Sha256) -> Option<AddressRecord> {
        let text = std::fs::read(self.record_path(key)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Remembers what an address gave just now.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn record_content(
        &self,
        key: &Sha256,
        version: Option<Version>,
        sha256: &Sha256,
        size_bytes: u64,
    ) -> io::Result<()> {
        let known = AddressRecord {
            version,
            sha256: sha256.clone(),
            size_bytes,
            confirmed_ms: u64::try_from(self.now.0).unwrap_or(0),
        };
        self.write(&self.record_path(key), &serde_json::to_vec(&known)?)
    }

    /// Remembers that an address still has what is known of it.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn confirm(&self, key: &Sha256, known: &AddressRecord) -> io::Result<()> {
        // Written anew it would be a file removed, thousands of times.
        if self.is_recent(known, RECENT) {
            return Ok(());
        }
        self.record_content(key, known.version.clone(), &known.sha256, known.size_bytes)
    }

    /// Tells whether an address was asked at most this long ago.
    pub(crate) fn is_recent(&self, known: &AddressRecord, most: Duration) -> bool {
        let confirmed = UnixMs(i64::try_from(known.confirmed_ms).unwrap_or(0));
        // A time ahead of ours is of a clock that was set back; it proves nothing.
        confirmed <= self.now && self.now.since(confirmed) <= most
    }

    fn record_path(&self, key: &Sha256) -> PathBuf {
        let hex = key.hex();
        self.root.join("known").join(&hex[..2]).join(hex)
    }
}
