//! Writes events.

use rusqlite::Connection;

use super::event::Subject;
use super::event_row::EventRow;
use crate::Provenance;

/// A change of a status, written in the transaction that writes the object.
pub(crate) struct StatusChange<'a> {
    pub(crate) subject: Subject,
    pub(crate) run: &'a str,
    pub(crate) trial: Option<&'a str>,
    pub(crate) from: Option<&'a str>,
    pub(crate) to: &'a str,
    /// When the object says that it changed.
    pub(crate) own_ms: Option<i64>,
    pub(crate) observed_ms: i64,
    pub(crate) provenance: Provenance,
}

/// Writes an event unless the status is the same; returns the number of rows written.
pub(crate) fn record(connection: &Connection, change: &StatusChange<'_>) -> rusqlite::Result<u64> {
    if change.from == Some(change.to) {
        return Ok(0);
    }
    let row = EventRow {
        kind: change.subject.name(),
        run: change.run,
        trial: change.trial,
        from: change.from,
        to: change.to,
        at_ms: change.own_ms.unwrap_or(change.observed_ms),
        observed_ms: change.observed_ms,
        learned: change.provenance.name(),
    };
    row.insert(connection, None)?;
    Ok(1)
}
