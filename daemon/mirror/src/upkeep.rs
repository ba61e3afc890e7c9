//! Upkeep: keeps the file small and its queries fast.

use std::time::Duration;

use docks_proto::time::UnixMs;
use rusqlite::Connection;

use crate::{actions, history, observation_window};

/// How long data is kept that lists do not need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Events, observation windows and actions; 90 days by default.
    pub history: Duration,
    /// Tombstones; 30 days by default.
    pub tombstones: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: Duration = Duration::from_hours(24);
        Self {
            history: DAY * 90,
            tombstones: DAY * 30,
        }
    }
}

/// Deletes what is older than its retention, then lets SQLite update its statistics and empty its WAL.
pub(crate) fn run(
    connection: &Connection,
    now: UnixMs,
    retention: Retention,
) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    history::prune(&transaction, now.minus(retention.history))?;
    observation_window::prune(&transaction, now.minus(retention.history))?;
    actions::prune(&transaction, now.minus(retention.history))?;
    delete_tombstones(&transaction, now.minus(retention.tombstones))?;
    transaction.commit()?;
    connection.execute_batch("PRAGMA optimize; PRAGMA shrink_memory;")?;
    // While a reader is active the WAL stays until the next upkeep.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

fn delete_tombstones(connection: &Connection, until: UnixMs) -> rusqlite::Result<()> {
    for sql in [
        "DELETE FROM trials WHERE list IN (SELECT l.seq FROM trial_list l
           JOIN runs r ON r.kind = 'evaluation' AND r.id = l.run WHERE r.gone_ms < ?1)",
        "DELETE FROM trial_list WHERE run IN
           (SELECT id FROM runs WHERE kind = 'evaluation' AND gone_ms < ?1)",
        "DELETE FROM runs WHERE gone_ms < ?1",
        "DELETE FROM trials WHERE gone_ms < ?1",
    ] {
        connection.execute(sql, [until.0])?;
    }
    connection.execute("DELETE FROM observation WHERE rows <= 0", [])?;
    Ok(())
}
