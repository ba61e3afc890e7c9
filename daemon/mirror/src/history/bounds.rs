//! The range of sequence numbers that the history covers.

use rusqlite::{Connection, OptionalExtension};

use crate::notes;

/// Key of the note that holds the highest pruned sequence number.
pub(super) const PRUNED_NOTE: &str = "history_pruned";

/// The range of events that the history covers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HistoryBounds {
    /// Identifies the history: a mirror that is created again has another one.
    pub history_id: u64,
    /// Sequence number of the last event.
    pub last_seq: u64,
    /// Highest sequence number that retention removed; 0 when it removed none.
    pub pruned_seq: u64,
}

/// Reads the range that the history covers.
pub(crate) fn read_bounds(connection: &Connection) -> rusqlite::Result<HistoryBounds> {
    let history_id: Option<i64> = connection
        .prepare_cached("SELECT created_ms FROM identity")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let last_seq: Option<i64> = connection
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'status_event'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let pruned_seq = notes::read(connection, PRUNED_NOTE)?.and_then(|text| text.parse().ok());
    Ok(HistoryBounds {
        history_id: history_id.unwrap_or(0).unsigned_abs(),
        last_seq: last_seq.unwrap_or(0).unsigned_abs(),
        pruned_seq: pruned_seq.unwrap_or(0),
    })
}
