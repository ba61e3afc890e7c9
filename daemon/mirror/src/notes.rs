//! Notes: small facts that the daemon remembers about a remote, by key.

use rusqlite::{Connection, OptionalExtension, params};

use crate::digest::{Digest, damaged};

/// Returns the digest of a note.
pub(crate) fn digest(key: &str, value: &str) -> i64 {
    Digest::default().text(Some(key)).text(Some(value)).value()
}

/// Reads a note; `None` when it was never written.
pub(crate) fn read(connection: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached("SELECT value, digest FROM note WHERE key = ?1")?
        .query_row([key], |row| {
            let value: String = row.get(0)?;
            match digest(key, &value) == row.get::<_, i64>(1)? {
                true => Ok(value),
                false => Err(damaged("a note")),
            }
        })
        .optional()
}

/// Checks the digest of every note.
///
/// # Errors
///
/// `SQLITE_CORRUPT` if one does not fit.
pub(crate) fn check_all(connection: &Connection) -> rusqlite::Result<()> {
    let keys: Vec<String> = connection
        .prepare_cached("SELECT key FROM note")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    keys.iter()
        .try_for_each(|key| read(connection, key).map(drop))
}

/// Writes a note; an equal value writes nothing.
pub(crate) fn write(connection: &Connection, key: &str, value: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO note (key, value, digest) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET value = excluded.value, digest = excluded.digest
             WHERE value <> excluded.value OR digest <> excluded.digest",
        )?
        .execute(params![key, value, digest(key, value)])
        .map(drop)
}

/// Returns the key of a note about a run. A provisional id is the name of a folder, so it has no slash.
pub(crate) fn key_of_run(topic: &str, run: &str) -> String {
    format!("{topic}/{run}")
}

/// Gives the notes about a run its new id; those that it has under that one stay.
pub(crate) fn rename_run(connection: &Connection, old: &str, new: &str) -> rusqlite::Result<()> {
    let keys: Vec<String> = connection
        .prepare_cached("SELECT key FROM note WHERE substr(key, -length(?1)) = ?1")?
        .query_map([key_of_run("", old)], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for key in keys {
        let Some(topic) = key.strip_suffix(&key_of_run("", old)) else {
            continue;
        };
        let moved = key_of_run(topic, new);
        if let (Some(value), None) = (read(connection, &key)?, read(connection, &moved)?) {
            write(connection, &moved, &value)?;
        }
        remove(connection, &key)?;
    }
    Ok(())
}

/// Removes a note, if there is one.
pub(crate) fn remove(connection: &Connection, key: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM note WHERE key = ?1")?
        .execute([key])
        .map(drop)
}
