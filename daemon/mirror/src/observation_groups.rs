//! Which response last confirmed which runs.
//!
//! Runs that one response confirmed share an *observation*. When the next response
//! holds the same runs, only that one row is updated: a poll of ten thousand unchanged
//! runs writes one row.

use std::collections::BTreeMap;

use docks_proto::routes::RunKind;
use rusqlite::{Connection, OptionalExtension, params};

use crate::sql_int::to_sql_int;

/// A row that a response confirmed, and the observation it belonged to before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConfirmedRow {
    pub(crate) run: i64,
    pub(crate) observation: Option<i64>,
}

/// Records that one response confirmed these rows.
///
/// Moves the observation they share to `at_ms`, or puts them into a new one.
pub(crate) fn record_response(
    connection: &Connection,
    kind: RunKind,
    at_ms: i64,
    rows: &[ConfirmedRow],
) -> rusqlite::Result<()> {
    let Some(first) = rows.first() else {
        return Ok(());
    };
    let count = to_sql_int(rows.len() as u64);
    if let Some(shared) = first.observation
        && rows.iter().all(|row| row.observation == Some(shared))
        && row_count(connection, shared)? == Some(count)
    {
        return advance(connection, shared, at_ms);
    }
    connection
        .prepare_cached("INSERT INTO observation (kind, at_ms, rows) VALUES (?1, ?2, ?3)")?
        .execute(params![kind.name(), at_ms, count])?;
    let new = connection.last_insert_rowid();
    let mut join = connection
        .prepare_cached("INSERT OR REPLACE INTO run_seen (run, observation) VALUES (?1, ?2)")?;
    let mut moved_from = BTreeMap::<i64, i64>::new();
    for row in rows {
        join.execute([row.run, new])?;
        if let Some(old) = row.observation {
            *moved_from.entry(old).or_default() += 1;
        }
    }
    let mut shrink =
        connection.prepare_cached("UPDATE observation SET rows = rows - ?2 WHERE seq = ?1")?;
    let mut delete_empty =
        connection.prepare_cached("DELETE FROM observation WHERE seq = ?1 AND rows <= 0")?;
    for (old, moved) in moved_from {
        shrink.execute([old, moved])?;
        delete_empty.execute([old])?;
    }
    Ok(())
}

fn row_count(connection: &Connection, observation: i64) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT rows FROM observation WHERE seq = ?1")?
        .query_row([observation], |row| row.get(0))
        .optional()
}

/// Moves an observation, and with it all its runs, to a later time.
pub(crate) fn advance(
    connection: &Connection,
    observation: i64,
    at_ms: i64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE observation SET at_ms = max(at_ms, ?2) WHERE seq = ?1")?
        .execute([observation, at_ms])
        .map(drop)
}

/// Finds the observation of the response whose request began at `at_ms`; `None` unless it is the only one.
pub(crate) fn observation_at(
    connection: &Connection,
    kind: RunKind,
    at_ms: i64,
) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection
        .prepare_cached("SELECT seq FROM observation WHERE kind = ?1 AND at_ms = ?2 LIMIT 2")?;
    let found: Vec<i64> = statement
        .query_map(params![kind.name(), at_ms], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(match found[..] {
        [only] => Some(only),
        _ => None,
    })
}
