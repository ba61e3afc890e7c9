//! Opens a mirror file: modes, pragmas, migrations, and what to do with a file that is none.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use docks_proto::time::UnixMs;
use include_dir::{Dir, include_dir};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction};
use rusqlite_migration::{HookError, Migrations, MigrationsBuilder};

use crate::error::damages;
use crate::list::clauses as list_parts;
use crate::trials::rows as trial_rows;
use crate::{MirrorError, OpenReport};

static FOLDER: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../migrations");

/// Every migration of this release, oldest first.
static MIGRATIONS: LazyLock<Migrations<'static>> = LazyLock::new(|| {
    MigrationsBuilder::from_directory(&FOLDER)
        .expect("the folder that was built in is well formed")
        .edit(TRIAL_COLUMNS, |migration| {
            migration.set_up_hook(|transaction: &Transaction<'_>| {
                trial_rows::read_again(transaction).map_err(HookError::from)
            })
        })
        .finalize()
});

/// The migration after which columns of trials are read out of their texts, in its transaction.
const TRIAL_COLUMNS: usize = 5;

/// Says whose file it is, see the first migration.
const APPLICATION_ID: i64 = 0x646f_636b;

/// 3.7.0 to 3.51.2 can lose a WAL that one connection resets while another writes.
const OLDEST_SQLITE: i32 = 3_051_003;

/// The writer keeps the inner pages of its indexes at hand while it fills large lists.
const WRITER_CACHE_KIB: i64 = 4_096;

/// A reader touches some thirty pages per question; the system caches the rest.
const READER_CACHE_KIB: i64 = 1_024;

/// Opens the file for writing, and makes, migrates or replaces it where needed.
pub(crate) fn open_writer(
    path: &Path,
    identity: &str,
    now: UnixMs,
) -> Result<(Connection, OpenReport), MirrorError> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(MirrorError::OldSqlite {
            found: rusqlite::version(),
        });
    }
    let mut opened = OpenReport {
        created: prepare(path)?,
        set_aside: None,
    };
    let connection = match attempt(path, identity, now) {
        Ok(connection) => connection,
        Err(Failure::Corrupt(why)) => {
            let aside = set_aside(path, now)?;
            tracing::warn!(path = %path.display(), aside = %aside.display(), %why,
                "the mirror was damaged; it was set aside and a new one begins");
            opened.set_aside = Some(aside);
            opened.created = prepare(path)?;
            attempt(path, identity, now).map_err(|failure| failure.into_error(path))?
        }
        Err(Failure::Other(error)) => return Err(error),
    };
    Ok((connection, opened))
}

/// Opens one more connection that can only read.
pub(crate) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    common_pragmas(&connection, READER_CACHE_KIB)?;
    list_parts::add_functions(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Why an attempt failed: a damaged file can be replaced.
enum Failure {
    Corrupt(String),
    Other(MirrorError),
}

impl Failure {
    fn of(path: &Path) -> impl Fn(rusqlite::Error) -> Self {
        let path = path.to_owned();
        move |source| {
            if damages(&source) {
                Failure::Corrupt(source.to_string())
            } else {
                Failure::Other(MirrorError::Open {
                    path: path.clone(),
                    source,
                })
            }
        }
    }

    fn into_error(self, path: &Path) -> MirrorError {
        match self {
            Failure::Other(error) => error,
            Failure::Corrupt(why) => MirrorError::Prepare {
                path: path.to_owned(),
                source: std::io::Error::other(why),
            },
        }
    }
}

fn attempt(path: &Path, identity: &str, now: UnixMs) -> Result<Connection, Failure> {
    let failure = Failure::of(path);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(&failure)?;
    common_pragmas(&connection, WRITER_CACHE_KIB).map_err(&failure)?;
    // First, since it writes nothing: a newer file must stay as it is.
    check_version(&connection, path)?;
    writer_pragmas(&connection).map_err(&failure)?;
    MIGRATIONS
        .to_latest(&mut connection)
        .map_err(|error| match error {
            rusqlite_migration::Error::RusqliteError { err, .. } if damages(&err) => {
                Failure::Corrupt(err.to_string())
            }
            other => Failure::Other(MirrorError::Migrate {
                path: path.to_owned(),
                source: Box::new(other),
            }),
        })?;
    // A statement with triggers keeps the pages it changes until it ends, one after the other in
    // the same place; in a file, each page of each run would be two system calls. Not before the
    // migrations: what they sort to make an index can be larger than memory.
    connection
        .pragma_update(None, "temp_store", "memory")
        .map_err(&failure)?;
    check_sound(&connection).map_err(&failure)?;
    check_identity(&connection, path, identity, now)?;
    Ok(connection)
}

fn common_pragmas(connection: &Connection, cache_kib: i64) -> rusqlite::Result<()> {
    // Another process can only be a stray `sqlite3` or a checkpoint of ours; both end soon.
    connection.busy_timeout(Duration::from_secs(5))?;
    // Small, so that an idle daemon stays small; the negative form counts KiB.
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    // A mapped file that is cut by someone ends the process with SIGBUS; reads are fast enough.
    connection.pragma_update(None, "mmap_size", 0)?;
    // Trials may come before their run, so there is nothing to enforce; rows of it would cost.
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn writer_pragmas(connection: &Connection) -> rusqlite::Result<()> {
    // Readers never wait for the writer, nor it for them.
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if !mode.eq_ignore_ascii_case("wal") {
        tracing::warn!(mode, "the file system of the mirror knows no WAL");
    }
    // A power cut may lose the last commits, which the remote still has, and breaks nothing.
    connection.pragma_update(None, "synchronous", "normal")?;
    // A large import must not leave a large WAL behind.
    connection.pragma_update(None, "journal_size_limit", 16 << 20)?;
    // 16 MiB between checkpoints: each one waits for the disk.
    connection.pragma_update(None, "wal_autocheckpoint", 4_000)?;
    Ok(())
}

fn check_version(connection: &Connection, path: &Path) -> Result<(), Failure> {
    let number = |name| {
        connection
            .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
            .map_err(Failure::of(path))
    };
    let found = number("user_version")?;
    let known = i64::try_from(FOLDER.dirs().count()).expect("migrations are few");
    if found == 0 {
        return Ok(());
    }
    if number("application_id")? != APPLICATION_ID {
        return Err(Failure::Corrupt("it is another program's database".into()));
    }
    if found > known {
        return Err(Failure::Other(MirrorError::TooNew {
            path: path.to_owned(),
            found,
            known,
        }));
    }
    Ok(())
}

/// Looks at the schema and at two small tables only: a check of every page takes seconds per
/// gigabyte, and damage elsewhere is found by the query that meets it.
fn check_sound(connection: &Connection) -> rusqlite::Result<()> {
    for table in ["identity", "note"] {
        let verdict: String =
            connection.query_row(&format!("PRAGMA quick_check({table})"), [], |row| {
                row.get(0)
            })?;
        if verdict != "ok" {
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
                Some(verdict),
            ));
        }
    }
    Ok(())
}

fn check_identity(
    connection: &Connection,
    path: &Path,
    identity: &str,
    now: UnixMs,
) -> Result<(), Failure> {
    let failure = Failure::of(path);
    let found: Option<String> = connection
        .query_row("SELECT remote FROM identity", [], |row| row.get(0))
        .optional()
        .map_err(&failure)?;
    match found {
        Some(found) if found == identity => Ok(()),
        Some(found) => Err(Failure::Other(MirrorError::OtherRemote {
            path: path.to_owned(),
            found,
            expected: identity.to_owned(),
        })),
        None => connection
            .execute(
                "INSERT INTO identity VALUES (?1, ?2)",
                rusqlite::params![identity, now.0],
            )
            .map(drop)
            .map_err(&failure),
    }
}

/// Makes directory and file with their modes before SQLite would make them with the umask's.
/// Returns whether the file is new. The WAL gets the file's mode from SQLite.
fn prepare(path: &Path) -> Result<bool, MirrorError> {
    let failed = |source| MirrorError::Prepare {
        path: path.to_owned(),
        source,
    };
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(parent)
            .map_err(failed)?;
    }
    let fresh = match fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Ok(_) => true,
        // Not opened here: closing it would drop locks that this process may hold on it.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(failed(error)),
    };
    for suffix in ["", "-wal", "-shm"] {
        match fs::set_permissions(with_suffix(path, suffix), fs::Permissions::from_mode(0o600)) {
            Err(error) if suffix.is_empty() || error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed(error));
            }
            _ => {}
        }
    }
    Ok(fresh)
}

/// Renames the file with its WAL, under names with which SQLite still reads them together.
pub(crate) fn set_aside(path: &Path, now: UnixMs) -> Result<PathBuf, MirrorError> {
    let base = format!(".corrupt-{}", now.0);
    let aside = (0..)
        .map(|n| match n {
            0 => with_suffix(path, &base),
            n => with_suffix(path, &format!("{base}-{n}")),
        })
        .find(|candidate| !candidate.exists())
        .expect("names are without end");
    for suffix in ["", "-wal", "-shm"] {
        let (from, to) = (with_suffix(path, suffix), with_suffix(&aside, suffix));
        match fs::rename(&from, to) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(MirrorError::Prepare { path: from, source });
            }
            _ => {}
        }
    }
    Ok(aside)
}

/// Returns `path` with a suffix on its name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// An empty mirror for tests of plans.
#[cfg(test)]
pub(crate) fn in_memory() -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    MIGRATIONS.to_latest(&mut connection).unwrap();
    connection
}

/// Returns the lines of SQLite's plan for a statement, whatever its parameters are.
#[cfg(test)]
pub(crate) fn plan_of(connection: &Connection, sql: &str) -> String {
    let mut statement = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .unwrap();
    let values = vec![1; statement.parameter_count()];
    let lines = statement
        .query_map(rusqlite::params_from_iter(values), |row| row.get(3))
        .unwrap();
    let lines: Vec<String> = lines.map(Result::unwrap).collect();
    lines.join("\n")
}
