//! Runs whose trials may have changed since they were mirrored.

use docks_proto::object::{Lifecycle, lifecycle};
use docks_proto::time::UnixMs;
use rusqlite::{Connection, params};

use crate::sql_int::to_sql_int;

/// A run whose trials may have changed since they were mirrored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsettledRun {
    /// Its id.
    pub id: String,
    /// Whether it has not ended.
    pub active: bool,
    /// Whether its trials are due.
    pub due: bool,
    /// When its trials were last confirmed; `None` when they were never mirrored.
    pub trials_confirmed_at: Option<UnixMs>,
}

/// Lists the evaluation runs that have not ended, then those whose trials are due; at most
/// `limit` of each, newest first.
pub(crate) fn unsettled_runs(
    connection: &Connection,
    limit: usize,
) -> rusqlite::Result<Vec<UnsettledRun>> {
    let limit = to_sql_int(limit as u64);
    let mut found = Vec::new();
    for (index, condition) in [
        ("runs_active", "r.active = 1"),
        ("runs_trials_due", "r.trials_due = 1 AND r.active = 0"),
    ] {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT r.id, r.active, r.trials_due, l.confirmed_ms FROM runs r INDEXED BY {index}
             LEFT JOIN trial_list l ON l.run = r.id
             WHERE r.kind = 'evaluation' AND {condition} AND r.gone_ms IS NULL
             ORDER BY r.created_ms DESC, r.id DESC LIMIT ?1"
        ))?;
        let rows = statement.query_map(params![limit], |row| {
            Ok(UnsettledRun {
                id: row.get(0)?,
                active: row.get(1)?,
                due: row.get(2)?,
                trials_confirmed_at: row.get::<_, Option<i64>>(3)?.map(UnixMs),
            })
        })?;
        for row in rows {
            found.push(row?);
        }
    }
    Ok(found)
}

/// Lists the evaluation runs that ended at `since` or later, as far as the mirror saw it, and have trials that have not
/// ended; at most `limit`, the last first.
pub(crate) fn ended_with_open_trials(
    connection: &Connection,
    since: UnixMs,
    limit: usize,
) -> rusqlite::Result<Vec<String>> {
    let mut ended = connection.prepare_cached(
        "SELECT r.id, l.seq FROM runs r JOIN trial_list l ON l.run = r.id
         WHERE r.kind = 'evaluation' AND r.active = 0 AND r.gone_ms IS NULL AND r.changed_ms >= ?1
         ORDER BY r.changed_ms DESC LIMIT ?2",
    )?;
    let mut statuses = connection
        .prepare_cached("SELECT DISTINCT status FROM trials WHERE list = ?1 AND gone_ms IS NULL")?;
    let runs = ended.query_map(params![since.0, to_sql_int(limit as u64)], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
    })?;
    let mut found = Vec::new();
    for run in runs {
        let (run, list) = run?;
        let mut rows = statuses.query([list])?;
        while let Some(row) = rows.next()? {
            let status: String = row.get(0)?;
            if lifecycle(&status) == Lifecycle::Active {
                found.push(run);
                break;
            }
        }
    }
    Ok(found)
}
