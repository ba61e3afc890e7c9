//! The settings of a connection, each with its reason.

use std::time::Duration;

use rusqlite::Connection;

/// The writer keeps the inner pages of its indexes in memory while it fills large lists.
pub(super) const WRITER_CACHE_KIB: i64 = 4_096;

/// A reader needs about thirty pages per query; the operating system caches the rest.
pub(super) const READER_CACHE_KIB: i64 = 1_024;

/// Sets what readers and the writer share.
pub(super) fn set_common_pragmas(connection: &Connection, cache_kib: i64) -> rusqlite::Result<()> {
    // Only a stray `sqlite3` or a checkpoint of ours can hold the lock; both finish soon.
    connection.busy_timeout(Duration::from_secs(5))?;
    // Small, so that an idle daemon stays small; the negative form counts KiB.
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    // Truncating a mapped file would kill the process with SIGBUS; reads are fast enough without.
    connection.pragma_update(None, "mmap_size", 0)?;
    // Trials may arrive before their run, so no key can be enforced; checking would only cost time.
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Sets what only the writer needs.
pub(super) fn set_writer_pragmas(connection: &Connection) -> rusqlite::Result<()> {
    // Readers never wait for the writer, and the writer never waits for them.
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if !mode.eq_ignore_ascii_case("wal") {
        tracing::warn!(mode, "the file system of the mirror does not support WAL");
    }
    // A power cut may lose the last commits, which the remote still has; it corrupts nothing.
    connection.pragma_update(None, "synchronous", "normal")?;
    // A large import must not leave a large WAL behind.
    connection.pragma_update(None, "journal_size_limit", 16 << 20)?;
    // 16 MiB between checkpoints: each one waits for the disk.
    connection.pragma_update(None, "wal_autocheckpoint", 4_000)?;
    Ok(())
}

/// Keeps temporary data in memory, once migrations are done.
///
/// A statement with triggers saves each page it changes until it finishes; in a file, that would
/// be two system calls per page and run. Not during migrations: what they sort to build an index
/// can exceed memory.
pub(super) fn keep_temporary_data_in_memory(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "temp_store", "memory")
}
