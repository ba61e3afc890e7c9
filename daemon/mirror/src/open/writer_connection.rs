//! Opens the file for writing, and rebuilds it first if it is damaged.

use std::path::{Path, PathBuf};

use docks_proto::time::UnixMs;
use rusqlite::Connection;

use super::checks::OpenFailure;
use super::connect::open_file;
use super::file::prepare;
use super::identity::Identity;
use super::rebuild::{adopt_rebuilt, rebuild};
use super::wal;
use crate::error::MirrorError;

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
