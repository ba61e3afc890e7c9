//! Counts of live runs, kept up to date by triggers, so that no list has to be counted.

use docks_proto::routes::RunKind;
use rusqlite::Connection;

/// Returns the number of live runs of a kind.
pub(crate) fn live_runs(connection: &Connection, kind: RunKind) -> rusqlite::Result<u64> {
    sum(connection, "rows", kind)
}

/// Returns the number of live evaluation runs whose trials are due.
pub(crate) fn runs_with_trials_due(connection: &Connection) -> rusqlite::Result<u64> {
    sum(connection, "due", RunKind::Evaluation)
}

fn sum(connection: &Connection, column: &str, kind: RunKind) -> rusqlite::Result<u64> {
    connection
        .prepare_cached(&format!(
            "SELECT coalesce(sum({column}), 0) FROM tally WHERE kind = ?1"
        ))?
        .query_row([kind.name()], |row| row.get::<_, i64>(0))
        .map(|n| u64::try_from(n).unwrap_or(0))
}

/// Returns the number of live runs of a kind by status.
pub(crate) fn live_runs_by_status(
    connection: &Connection,
    kind: RunKind,
) -> rusqlite::Result<Vec<(String, i64)>> {
    let mut statement =
        connection.prepare_cached("SELECT status, rows FROM tally WHERE kind = ?1")?;
    let rows = statement.query_map([kind.name()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}
