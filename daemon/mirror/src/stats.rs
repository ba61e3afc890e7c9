//! How much the mirror holds, and which statuses.

use docks_proto::object::{Lifecycle, lifecycle};
use docks_proto::routes::RunKind;
use docks_proto::status::RowCounts;
use rusqlite::Connection;

use crate::tally::{live_runs, live_runs_by_status};

/// Size of the mirror.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Rows.
    pub rows: RowCounts,
    /// Bytes of the file and its WAL.
    pub bytes: u64,
}

/// Whose statuses are requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StatusScope {
    /// Runs of a kind.
    Runs(RunKind),
    /// Trials of all runs.
    Trials,
}

/// Counts the rows.
pub(crate) fn row_counts(connection: &Connection) -> rusqlite::Result<RowCounts> {
    let number = |sql: &str| {
        connection
            .prepare_cached(sql)?
            .query_row([], |row| row.get::<_, i64>(0))
            .map(|n| u64::try_from(n).unwrap_or(0))
    };
    let mut counts = RowCounts {
        runs: live_runs(connection, RunKind::Run)?,
        evaluation_runs: live_runs(connection, RunKind::Evaluation)?,
        trials: number("SELECT coalesce(sum(rows), 0) FROM trial_list")?,
        tombstones: number("SELECT count(*) FROM runs WHERE gone_ms IS NOT NULL")?
            + number("SELECT count(*) FROM trials WHERE gone_ms IS NOT NULL")?,
        active: 0,
    };
    for kind in RunKind::ALL {
        for (status, rows) in live_runs_by_status(connection, kind)? {
            if lifecycle(&status) == Lifecycle::Active {
                counts.active += u64::try_from(rows).unwrap_or(0);
            }
        }
    }
    Ok(counts)
}

/// Lists every status that was ever seen, including those of tombstones.
pub(crate) fn seen_statuses(
    connection: &Connection,
    scope: StatusScope,
) -> rusqlite::Result<Vec<String>> {
    match scope {
        StatusScope::Runs(kind) => connection
            .prepare_cached("SELECT status FROM tally WHERE kind = ?1 AND status <> ''")?
            .query_map([kind.name()], |row| row.get(0))?
            .collect(),
        StatusScope::Trials => connection
            .prepare_cached("SELECT status FROM trial_status WHERE status <> ''")?
            .query_map([], |row| row.get(0))?
            .collect(),
    }
}
