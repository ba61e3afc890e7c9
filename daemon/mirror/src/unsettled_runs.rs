//! Runs whose trials may have changed since they were mirrored.

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
