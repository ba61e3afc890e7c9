//! What keeps the file small and its questions fast; and small notes.

use docks_proto::time::UnixMs;
use rusqlite::{Connection, OptionalExtension};

use crate::Retention;

/// Drops what is past its time, then lets SQLite look after its statistics and its WAL.
pub(crate) fn run(
    connection: &Connection,
    now: UnixMs,
    retention: Retention,
) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    crate::history::events::prune(&transaction, now.minus(retention.history))?;
    crate::observation_window::prune(&transaction, now.minus(retention.history))?;
    drop_tombstones(&transaction, now.minus(retention.tombstones))?;
    transaction.commit()?;
    connection.execute_batch("PRAGMA optimize; PRAGMA shrink_memory;")?;
    // A reader that is just at work leaves the WAL in place until the next time.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

fn drop_tombstones(connection: &Connection, until: UnixMs) -> rusqlite::Result<()> {
    for sql in [
        "DELETE FROM trials WHERE list IN (SELECT l.seq FROM trial_list l
           JOIN runs r ON r.kind = 'evaluation' AND r.id = l.run WHERE r.gone_ms < ?1)",
        "DELETE FROM trial_list WHERE run IN
           (SELECT id FROM runs WHERE kind = 'evaluation' AND gone_ms < ?1)",
        "DELETE FROM runs WHERE gone_ms < ?1",
        "DELETE FROM trials WHERE gone_ms < ?1",
    ] {
        connection.execute(sql, [until.0])?;
    }
    connection.execute("DELETE FROM observation WHERE rows <= 0", [])?;
    Ok(())
}

/// Reads a note.
pub(crate) fn note(connection: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached("SELECT value FROM note WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()
}

/// Writes a note.
pub(crate) fn put_note(connection: &Connection, key: &str, value: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO note VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET value = excluded.value WHERE value <> excluded.value",
        )?
        .execute([key, value])
        .map(drop)
}
