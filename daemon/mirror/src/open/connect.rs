//! Opens connections to the file.

use std::path::Path;

use docks_proto::time::UnixMs;
use rusqlite::{Connection, OpenFlags};

use super::checks::{OpenFailure, check_identity, check_integrity, check_version};
use super::identity::Identity;
use super::migrations::MIGRATIONS;
use super::pragmas::{
    READER_CACHE_KIB, WRITER_CACHE_KIB, keep_temporary_data_in_memory, set_common_pragmas,
    set_writer_pragmas,
};
use crate::error::{MirrorError, is_corruption};
use crate::list::add_sql_functions;

/// Opens one more connection, for reading only.
pub(crate) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    set_common_pragmas(&connection, READER_CACHE_KIB)?;
    add_sql_functions(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Opens the only connection to a file that is written, after [`super::file::prepare`] has created it.
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
