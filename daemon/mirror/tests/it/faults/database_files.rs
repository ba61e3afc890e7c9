//! The files of a database: copies of them, and what they hold, read on a disk that never fails.

use std::fs;
use std::path::{Path, PathBuf};

use docksd_fault_vfs::{FaultyDisk, SOUND_VFS};
use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};

/// What a crash leaves: the shared memory is rebuilt from the others.
const SUFFIXES: [&str; 3] = ["", "-wal", "-journal"];

/// Database files in a directory of their own.
pub(super) struct DatabaseFiles {
    pub(super) path: PathBuf,
    /// The disk below them. It fails when a test says so, and never waits until something is stored.
    pub(super) disk: FaultyDisk,
    directory: tempfile::TempDir,
}

impl DatabaseFiles {
    /// Returns a place where there is no file yet.
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mirror.db");
        Self {
            disk: FaultyDisk::of(&path),
            path,
            directory,
        }
    }

    /// Copies the files at `path` as they are, without those who have them open, as a crash would.
    pub(super) fn copy_of(path: &Path) -> Self {
        let copy = Self::new();
        for suffix in SUFFIXES {
            let (from, to) = (with_suffix(path, suffix), with_suffix(&copy.path, suffix));
            match fs::copy(from, to) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
                _ => {}
            }
        }
        copy
    }

    /// Writes a database and its WAL.
    pub(super) fn of_bytes(database: &[u8], wal: &[u8]) -> Self {
        let files = Self::new();
        fs::write(&files.path, database).unwrap();
        fs::write(files.wal(), wal).unwrap();
        files
    }

    pub(super) fn wal(&self) -> PathBuf {
        with_suffix(&self.path, "-wal")
    }

    /// Lists names of files that SQLite would not leave here.
    pub(super) fn others(&self) -> Vec<String> {
        let usual = ["", "-wal", "-journal", "-shm"].map(|suffix| format!("mirror.db{suffix}"));
        fs::read_dir(self.directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !usual.contains(name))
            .collect()
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    path.with_file_name(format!(
        "{}{suffix}",
        path.file_name().unwrap().to_str().unwrap()
    ))
}

/// Opens a database on a disk that never fails; closing it leaves the WAL as it is.
pub(super) fn open_soundly(path: &Path) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let connection = Connection::open_with_flags_and_vfs(path, flags, SOUND_VFS).unwrap();
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .unwrap();
    connection
}

/// Returns everything that a database holds as text, after a check of its integrity.
///
/// Fails when SQLite finds it damaged.
pub(super) fn dump(path: &Path) -> Result<String, String> {
    if !path.exists() {
        return Ok("schema 0".to_owned());
    }
    let connection = open_soundly(path);
    check_integrity(&connection)?;
    dump_of(&connection).map_err(|error| format!("the file cannot be read: {error}"))
}

/// Returns the same without the check, beside those who have the database open.
pub(super) fn dump_unchecked(path: &Path) -> String {
    dump_of(&open_soundly(path)).unwrap()
}

fn check_integrity(connection: &Connection) -> Result<(), String> {
    let verdict = connection.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
    match verdict.as_deref() {
        Ok("ok") => Ok(()),
        other => Err(format!("integrity check: {other:?}")),
    }
}

/// The schema, and each row of each table.
fn dump_of(connection: &Connection) -> rusqlite::Result<String> {
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let mut lines = vec![format!("schema {version}")];
    // Statistics are no content: they only guide queries.
    let mut schema = connection.prepare(
        "SELECT type, name, coalesce(sql, '') FROM sqlite_schema
         WHERE name NOT LIKE 'sqlite_stat%' ORDER BY name",
    )?;
    let schema = schema.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let schema: Vec<(String, String, String)> = schema.collect::<rusqlite::Result<_>>()?;
    for (kind, name, sql) in &schema {
        lines.push(format!("{kind} {name}: {sql}"));
    }
    for (_, table, _) in schema.iter().filter(|(kind, ..)| kind == "table") {
        let mut rows = rows_of(connection, &format!("SELECT * FROM {table}"))?;
        rows.sort();
        lines.extend(rows.into_iter().map(|row| format!("{table}: {row}")));
    }
    Ok(lines.join("\n"))
}

/// Returns each row of a query as text.
pub(super) fn rows_of(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(sql)?;
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let values: Vec<Value> = (0..columns).map(|i| row.get(i)).collect::<Result<_, _>>()?;
        Ok(format!("{values:?}"))
    })?;
    rows.collect()
}
