//! Notes: small facts that the daemon remembers about a remote, by key.

use rusqlite::{Connection, OptionalExtension};

/// Reads a note; `None` when it was never written.
pub(crate) fn read(connection: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached("SELECT value FROM note WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()
}

/// Writes a note; an equal value writes nothing.
pub(crate) fn write(connection: &Connection, key: &str, value: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO note VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET value = excluded.value WHERE value <> excluded.value",
        )?
        .execute([key, value])
        .map(drop)
}
