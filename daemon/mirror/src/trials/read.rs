//! Reads one trial.

use rusqlite::{Connection, OptionalExtension};

use crate::stored_object::StoredObject;

/// Reads one trial, even if it is a tombstone.
pub(crate) fn get(
    connection: &Connection,
    run: &str,
    trial: &str,
) -> rusqlite::Result<Option<StoredObject>> {
    connection
        .prepare_cached(
            "SELECT t.id, t.body, t.digest, t.status,
               CASE WHEN t.gone_ms IS NULL
                 THEN max(t.observed_ms, coalesce(l.confirmed_ms, t.observed_ms))
                 ELSE t.observed_ms END,
               t.gone_ms
             FROM trials t JOIN trial_list l ON l.seq = t.list
             WHERE l.run = ?1 AND t.id = ?2",
        )?
        .query_row([run, trial], StoredObject::from_row)
        .optional()
}
