//! A damaged file, made readable as far as it can be.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, ffi};

use super::file::{remove, with_suffix};
use super::wal::{self, WalDamage};

/// A copy of the damaged file in which header and log are mended.
const READABLE: &str = "-readable";

/// What is the same in the header of every mirror: the page size is SQLite's default.
/// Format as in <https://sqlite.org/fileformat2.html#the_database_header>.
const FIXED_HEADER: [(u64, &[u8]); 4] = [
    (0, b"SQLite format 3\0\x10\x00\x02\x02\x00\x40\x20\x20"),
    // Schema format 4.
    (44, &[0, 0, 0, 4]),
    // UTF-8.
    (56, &[0, 0, 0, 1]),
    // No page is free, so that none is read as such.
    (32, &[0; 8]),
];
const PAGE_BYTES: u64 = 4_096;

/// A connection to what can be read.
pub(super) struct SalvageSource {
    /// `None` if nothing can be.
    pub(super) connection: Option<Connection>,
    /// Whether what the file says about the age of its rows is as new as the rows.
    pub(super) trusts_times: bool,
    copy: Option<PathBuf>,
}

impl Drop for SalvageSource {
    fn drop(&mut self) {
        self.connection = None;
        if let Some(copy) = &self.copy
            && let Err(error) = remove(copy)
        {
            tracing::warn!(path = %copy.display(), %error, "could not remove a copy of a damaged mirror");
        }
    }
}

impl SalvageSource {
    /// Opens the damaged file itself if SQLite reads it, and a mended copy otherwise.
    ///
    /// # Errors
    ///
    /// When the copy cannot be written.
    pub(super) fn open(damaged: &Path) -> rusqlite::Result<Self> {
        let log_damage = wal::find_damage(damaged).ok().flatten();
        let mut source = Self {
            connection: None,
            trusts_times: log_damage != Some(WalDamage::EndPartlyInDatabase),
            copy: None,
        };
        if log_damage.is_none() {
            source.connection = open_leniently(damaged).ok();
        }
        if source.connection.is_none() {
            let copy = with_suffix(damaged, READABLE);
            source.copy = Some(copy.clone());
            copy_mended(damaged, &copy, log_damage).map_err(io_error)?;
            source.connection = open_leniently(&copy)
                .inspect_err(|error| {
                    tracing::warn!(%error, "nothing can be read from the damaged mirror");
                })
                .ok();
        }
        Ok(source)
    }
}

/// Opens a file whose schema may be damaged in part.
fn open_leniently(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // Tables whose definition can be read are read; the others are lost.
    connection.pragma_update(None, "writable_schema", true)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

fn copy_mended(damaged: &Path, copy: &Path, log_damage: Option<WalDamage>) -> io::Result<()> {
    remove(copy)?;
    fs::copy(damaged, copy)?;
    let log = with_suffix(copy, "-wal");
    match log_damage {
        Some(WalDamage::Frame) => wal::repair(damaged, &log)?,
        // What is left of the log is older than the database.
        Some(WalDamage::EndInDatabase) => {}
        Some(WalDamage::EndPartlyInDatabase) | None => {
            match fs::copy(with_suffix(damaged, "-wal"), &log) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    mend_header(copy)
}

fn mend_header(path: &Path) -> io::Result<()> {
    let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
    let bytes = file.metadata()?.len();
    if bytes < PAGE_BYTES {
        return Ok(());
    }
    for (at, fixed) in FIXED_HEADER {
        file.write_all_at(fixed, at)?;
    }
    // A file that was cut off has fewer pages than it says. It only says so if its version number is
    // that of its last change.
    let pages = u32::try_from(bytes / PAGE_BYTES).unwrap_or(u32::MAX);
    file.write_all_at(&pages.to_be_bytes(), 28)?;
    let mut change = [0; 4];
    file.read_exact_at(&mut change, 24)?;
    file.write_all_at(&change, 92)
}

fn io_error(source: io::Error) -> rusqlite::Error {
    let code = match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ffi::SQLITE_FULL,
        _ => ffi::SQLITE_IOERR,
    };
    rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some(source.to_string()))
}
