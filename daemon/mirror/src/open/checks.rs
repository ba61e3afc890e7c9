//! Checks that a file is a mirror of this remote that this release can use.

use std::path::Path;

use docks_proto::time::UnixMs;
use rusqlite::Connection;

use super::identity::Identity;
use super::migrations::schema_version;
use super::stored_identity;
use crate::error::{MirrorError, is_corruption};

/// Marks files of docks; the first migration sets it.
const APPLICATION_ID: i64 = 0x646f_636b;

/// Why a file could not be opened: a damaged file can be replaced.
pub(super) enum OpenFailure {
    Corrupt(String),
    Other(MirrorError),
}

impl OpenFailure {
    pub(super) fn from_sqlite(path: &Path) -> impl Fn(rusqlite::Error) -> Self {
        let path = path.to_owned();
        move |source| {
            if is_corruption(&source) {
                OpenFailure::Corrupt(source.to_string())
            } else {
                OpenFailure::Other(MirrorError::Open {
                    path: path.clone(),
                    source,
                })
            }
        }
    }

    pub(super) fn into_error(self, path: &Path) -> MirrorError {
        match self {
            OpenFailure::Other(error) => error,
            OpenFailure::Corrupt(reason) => MirrorError::Prepare {
                path: path.to_owned(),
                source: std::io::Error::other(reason),
            },
        }
    }
}

/// Checks that the file is new or was written by this or an older release; writes nothing.
pub(super) fn check_version(connection: &Connection, path: &Path) -> Result<(), OpenFailure> {
    let number = |name| {
        connection
            .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
            .map_err(OpenFailure::from_sqlite(path))
    };
    let found = number("user_version")?;
    if found == 0 {
        return Ok(());
    }
    if number("application_id")? != APPLICATION_ID {
        return Err(OpenFailure::Corrupt(
            "the file is another program's database".into(),
        ));
    }
    let supported = schema_version();
    if found > supported {
        return Err(OpenFailure::Other(MirrorError::TooNew {
            path: path.to_owned(),
            found,
            supported,
        }));
    }
    Ok(())
}

/// Checks the schema and two small tables.
///
/// Checking every page takes seconds per gigabyte; the query that reads a damaged page reports it.
pub(super) fn check_integrity(connection: &Connection) -> rusqlite::Result<()> {
    for table in ["identity", "note"] {
        let result: String =
            connection.query_row(&format!("PRAGMA quick_check({table})"), [], |row| {
                row.get(0)
            })?;
        if result != "ok" {
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
                Some(result),
            ));
        }
    }
    Ok(())
}

/// Checks that the file belongs to the remote `identity`; a new file is assigned to it, and so is one
/// that has the remote's former identity.
pub(super) fn check_identity(
    connection: &Connection,
    path: &Path,
    identity: &Identity,
    now: UnixMs,
) -> Result<(), OpenFailure> {
    let failure = OpenFailure::from_sqlite(path);
    let found = stored_identity::read(connection).map_err(&failure)?;
    let write = |created_ms| {
        stored_identity::write(connection, &identity.current, created_ms).map_err(&failure)
    };
    match found {
        Some((found, _)) if found == identity.current => Ok(()),
        Some((found, created_ms)) if found == identity.former => write(created_ms),
        Some((found, _)) => Err(OpenFailure::Other(MirrorError::OtherRemote {
            path: path.to_owned(),
            found,
            expected: identity.current.clone(),
        })),
        None => write(now.0),
    }
}
