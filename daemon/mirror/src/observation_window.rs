//! Observation windows: when the mirror was watching a resource, so that gaps between them show.

use std::time::Duration;

use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use rusqlite::{Connection, params};

use crate::resource::Resource;

/// Confirmations no further apart belong to one window: three times the slowest polling interval.
const MAX_GAP: Duration = Duration::from_secs(180);

/// Value of the column `what` for the trials of a run.
const TRIALS: &str = "trials";

/// A stretch of time in which a resource was confirmed again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObservationWindow {
    /// First confirmation.
    pub from: UnixMs,
    /// Last confirmation.
    pub until: UnixMs,
}

fn key_columns(resource: &Resource) -> (&'static str, &str) {
    match resource {
        Resource::List(kind) => (kind.name(), ""),
        Resource::Run(kind, id) => (kind.name(), id),
        Resource::Trials(run) => (TRIALS, run),
    }
}

/// Records that a resource was confirmed: extends its latest window or opens a new one.
pub(crate) fn record(
    connection: &Connection,
    resource: &Resource,
    at: UnixMs,
) -> rusqlite::Result<()> {
    let (what, id) = key_columns(resource);
    let extended = connection
        .prepare_cached(
            "UPDATE look SET until_ms = max(until_ms, ?3)
             WHERE what = ?1 AND id = ?2 AND from_ms =
               (SELECT max(from_ms) FROM look WHERE what = ?1 AND id = ?2 AND from_ms <= ?3)
               AND until_ms >= ?4",
        )?
        .execute(params![what, id, at.0, at.minus(MAX_GAP).0])?;
    if extended == 0 {
        connection
            .prepare_cached("INSERT OR IGNORE INTO look VALUES (?1, ?2, ?3, ?3)")?
            .execute(params![what, id, at.0])?;
    }
    Ok(())
}

/// Reads when a run, or its trials if `trials` is set, was watched; oldest first and merged.
///
/// A run is watched through its list and by itself.
pub(crate) fn windows_of_run(
    connection: &Connection,
    kind: RunKind,
    run: &str,
    trials: bool,
) -> rusqlite::Result<Vec<ObservationWindow>> {
    let mut statement = connection.prepare_cached(
        "SELECT from_ms, until_ms FROM look WHERE what = ?1 AND id = ?2
         UNION ALL SELECT from_ms, until_ms FROM look WHERE what = ?1 AND id = ?3
         ORDER BY 1",
    )?;
    let (what, list) = if trials {
        (TRIALS, run)
    } else {
        (kind.name(), "")
    };
    let rows = statement.query_map(params![what, list, run], |row| {
        Ok(ObservationWindow {
            from: UnixMs(row.get(0)?),
            until: UnixMs(row.get(1)?),
        })
    })?;
    let mut merged: Vec<ObservationWindow> = Vec::new();
    for window in rows {
        let window = window?;
        match merged.last_mut() {
            Some(last) if window.from.minus(MAX_GAP) <= last.until => {
                last.until = last.until.max(window.until);
            }
            _ => merged.push(window),
        }
    }
    Ok(merged)
}

/// Deletes windows that ended before `until`.
pub(crate) fn prune(connection: &Connection, until: UnixMs) -> rusqlite::Result<()> {
    connection
        .execute("DELETE FROM look WHERE until_ms < ?1", [until.0])
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::in_memory;

    fn at_minute(count: i64) -> UnixMs {
        UnixMs(1_000_000_000 + count * 60_000)
    }

    /// Reads the windows of a run in minutes.
    fn windows(connection: &Connection, trials: bool) -> Vec<(i64, i64)> {
        let minute = |at: UnixMs| (at.0 - at_minute(0).0) / 60_000;
        windows_of_run(connection, RunKind::Evaluation, "r", trials)
            .unwrap()
            .iter()
            .map(|window| (minute(window.from), minute(window.until)))
            .collect()
    }

    #[test]
    fn regular_confirmations_form_one_window_and_a_pause_opens_another() {
        let connection = in_memory();
        let list = Resource::List(RunKind::Evaluation);
        for minute in [0, 1, 2, 3, 30, 31] {
            record(&connection, &list, at_minute(minute)).unwrap();
        }
        assert_eq!(windows(&connection, false), [(0, 3), (30, 31)]);
        assert_eq!(windows(&connection, true), []);
    }

    #[test]
    fn a_confirmation_of_the_run_itself_fills_a_gap_of_its_list() {
        let connection = in_memory();
        let list = Resource::List(RunKind::Evaluation);
        record(&connection, &list, at_minute(0)).unwrap();
        let run = Resource::Run(RunKind::Evaluation, "r".into());
        record(&connection, &run, at_minute(2)).unwrap();
        record(&connection, &list, at_minute(4)).unwrap();
        assert_eq!(windows(&connection, false), [(0, 4)]);
        prune(&connection, at_minute(3)).unwrap();
        assert_eq!(windows(&connection, false), [(4, 4)]);
    }
}
