//! The row that says which remote a file belongs to, and since when.

use rusqlite::{Connection, OptionalExtension, params};

use crate::digest::{Digest, damaged};

/// Reads the name of the remote and when the file was created; `None` for a new file.
///
/// # Errors
///
/// `SQLITE_CORRUPT` if the digest does not fit.
pub(super) fn read(connection: &Connection) -> rusqlite::Result<Option<(String, i64)>> {
    connection
        .query_row(
            "SELECT remote, created_ms, digest FROM identity",
            [],
            |row| {
                let (remote, created_ms): (String, i64) = (row.get(0)?, row.get(1)?);
                match digest(&remote, created_ms) == row.get::<_, i64>(2)? {
                    true => Ok((remote, created_ms)),
                    false => Err(damaged("the identity")),
                }
            },
        )
        .optional()
}

/// Replaces the row.
pub(super) fn write(
    connection: &Connection,
    remote: &str,
    created_ms: i64,
) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM identity", [])?;
    connection
        .execute(
            "INSERT INTO identity (remote, created_ms, digest) VALUES (?1, ?2, ?3)",
            params![remote, created_ms, digest(remote, created_ms)],
        )
        .map(drop)
}

/// Computes the digest of a row that has none yet.
pub(crate) fn add_digest(connection: &Connection) -> rusqlite::Result<()> {
    let found: Option<(String, i64)> = connection
        .query_row("SELECT remote, created_ms FROM identity", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    found.map_or(Ok(()), |(remote, created_ms)| {
        write(connection, &remote, created_ms)
    })
}

fn digest(remote: &str, created_ms: i64) -> i64 {
    Digest::default()
        .text(Some(remote))
        .number(created_ms)
        .value()
}
