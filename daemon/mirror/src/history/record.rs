//! Writes events.

use rusqlite::{Connection, params};

use super::event::Subject;
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
    connection
        .prepare_cached(
            "INSERT INTO status_event
               (kind, run_id, trial_id, from_status, to_status, at_ms, observed_ms, learned)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            change.subject.name(),
            change.run,
            change.trial,
            change.from,
            change.to,
            change.own_ms.unwrap_or(change.observed_ms),
            change.observed_ms,
            change.provenance.name(),
        ])?;
    Ok(1)
}
