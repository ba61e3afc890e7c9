//! One object as the mirror stores it.

use docks_proto::object::RawObject;
use docks_proto::time::UnixMs;
use rusqlite::Row;

use crate::digest::sound_text;

/// One stored object.
#[derive(Debug, Clone)]
pub struct StoredObject {
    /// Its id, which is its key in the mirror.
    pub id: String,
    /// Its JSON text, as it arrived.
    pub text: String,
    /// Status as the remote wrote it; empty when it has none.
    pub status: String,
    /// When the remote last confirmed it, alone or as part of its list.
    pub confirmed_at: UnixMs,
    /// When the remote was found to have deleted it.
    pub gone_at: Option<UnixMs>,
}

impl StoredObject {
    /// Reads the columns id, text, digest, status, time of confirmation and time of deletion, in this order.
    pub(crate) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            text: sound_text(row, 1)?.to_owned(),
            status: row.get(3)?,
            confirmed_at: UnixMs(row.get(4)?),
            gone_at: row.get::<_, Option<i64>>(5)?.map(UnixMs),
        })
    }
}

/// Parses the stored text of an object; `None` only if the file was changed by other means.
pub(crate) fn parse_stored_text(text: &str) -> Option<RawObject> {
    RawObject::parse(text).ok().flatten()
}
