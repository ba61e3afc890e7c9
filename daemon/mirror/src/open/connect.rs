//! Opens connections to the file.

use std::path::{Path, PathBuf};

use docks_proto::time::UnixMs;
use rusqlite::{Connection, OpenFlags};

use super::checks::{OpenFailure, check_identity, check_integrity, check_version};
use super::file::prepare;
use super::identity::Identity;
use super::migrations::MIGRATIONS;
use super::pragmas::{
    READER_CACHE_KIB, WRITER_CACHE_KIB, keep_temporary_data_in_memory, set_common_pragmas,
    set_writer_pragmas,
};
use super::rebuild::{adopt_rebuilt, rebuild};
use super::wal;
use crate::error::{MirrorError, is_corruption};
use crate::list::add_sql_functions;

/// SQLite 3.7.0 to 3.51.2 can lose a WAL that one connection resets while another writes.
const OLDEST_SQLITE: i32 = 3_051_003;

/// What opening a mirror did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Whether the file was created now.
    pub created: bool,
    /// Where a file that was damaged or not a mirror was moved.
    pub set_aside: Option<PathBuf>,
}

/// Opens the file for writing; creates, migrates or replaces it where needed.
pub(crate) fn open_writer(
    path: &Path,
    identity: &Identity,
    now: UnixMs,
) -> Result<(Connection, OpenReport), MirrorError> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(MirrorError::OldSqlite {
            found: rusqlite::version(),
        });
    }
    adopt_rebuilt(path)?;
    let mut report = OpenReport {
        created: prepare(path)?,
        set_aside: None,
    };
    let open = || match find_wal_damage(path) {
        Some(reason) => Err(OpenFailure::Corrupt(reason)),
        None => open_file(path, identity, now),
    };
    let opened = match open() {
        // A read that failed once can look like damage. What is damaged is so at the second look, too.
        Err(OpenFailure::Corrupt(_)) => open(),
        opened => opened,
    };
    let connection = match opened {
        Ok(connection) => connection,
        Err(OpenFailure::Corrupt(reason)) => {
            tracing::warn!(path = %path.display(), reason, "the mirror is damaged");
            report.set_aside = Some(rebuild(path, identity, now)?);
            report.created = true;
            open_file(path, identity, now).map_err(|failure| failure.into_error(path))?
        }
        Err(OpenFailure::Other(error)) => return Err(error),
    };
    Ok((connection, report))
}

/// Returns what is wrong with the write-ahead log.
fn find_wal_damage(path: &Path) -> Option<String> {
    match wal::find_damage(path) {
        Ok(damage) => damage.map(|damage| format!("the write-ahead log is damaged: {damage:?}")),
        // SQLite cannot read it either, and says so.
        Err(_) => None,
    }
}

/// Opens one more connection, for reading only.
pub(crate) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    set_common_pragmas(&connection, READER_CACHE_KIB)?;
    add_sql_functions(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Opens the only connection to a file that is written, after [`prepare`] has created it.
pub(super) fn open_file(
    path: &Path,
    identity: &Identity,
    now: UnixMs,
) -> Result<Connection, OpenFailure> {
    let failure = OpenFailure::from_sqlite(path);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(&failure)?;
    set_common_pragmas(&connection, WRITER_CACHE_KIB).map_err(&failure)?;
    // Before anything is written: a newer file must stay as it is.
    check_version(&connection, path)?;
    set_writer_pragmas(&connection).map_err(&failure)?;
    MIGRATIONS
        .to_latest(&mut connection)
        .map_err(|error| match error {
            rusqlite_migration::Error::RusqliteError { err, .. } if is_corruption(&err) => {
                OpenFailure::Corrupt(err.to_string())
            }
            other => OpenFailure::Other(MirrorError::Migrate {
                path: path.to_owned(),
                source: Box::new(other),
            }),
        })?;
    keep_temporary_data_in_memory(&connection).map_err(&failure)?;
    check_integrity(&connection).map_err(&failure)?;
    check_identity(&connection, path, identity, now)?;
    Ok(connection)
}
