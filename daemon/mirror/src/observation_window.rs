//! When something was looked at: stretches of time, so that gaps between them show.

use std::time::Duration;

use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use rusqlite::{Connection, params};

use crate::{ObservationWindow, Resource};

/// Looks that are no further apart belong to one stretch: three of the slowest regular ones.
const TOGETHER: Duration = Duration::from_secs(180);

const TRIALS: &str = "trials";

fn place(resource: &Resource) -> (&'static str, &str) {
    match resource {
        Resource::List(kind) => (kind.name(), ""),
        Resource::Run(kind, id) => (kind.name(), id),
        Resource::Trials(run) => (TRIALS, run),
    }
}

/// Notes that a resource was seen as it is.
pub(crate) fn note(
    connection: &Connection,
    resource: &Resource,
    at: UnixMs,
) -> rusqlite::Result<()> {
    let (what, id) = place(resource);
    let longer = connection
        .prepare_cached(
            "UPDATE look SET until_ms = max(until_ms, ?3)
             WHERE what = ?1 AND id = ?2 AND from_ms =
               (SELECT max(from_ms) FROM look WHERE what = ?1 AND id = ?2 AND from_ms <= ?3)
               AND until_ms >= ?4",
        )?
        .execute(params![what, id, at.0, at.minus(TOGETHER).0])?;
    if longer == 0 {
        connection
            .prepare_cached("INSERT OR IGNORE INTO look VALUES (?1, ?2, ?3, ?3)")?
            .execute(params![what, id, at.0])?;
    }
    Ok(())
}

/// Reads when a run, or the trials of one, could be seen, oldest first and merged.
pub(crate) fn of_run(
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
    for look in rows {
        let look = look?;
        match merged.last_mut() {
            Some(last) if look.from.minus(TOGETHER) <= last.until => {
                last.until = last.until.max(look.until);
            }
            _ => merged.push(look),
        }
    }
    Ok(merged)
}

/// Drops stretches that ended before a time.
pub(crate) fn prune(connection: &Connection, until: UnixMs) -> rusqlite::Result<()> {
    connection
        .execute("DELETE FROM look WHERE until_ms < ?1", [until.0])
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::open::in_memory;

    fn minutes(count: i64) -> UnixMs {
        UnixMs(1_000_000_000 + count * 60_000)
    }

    fn seen(connection: &Connection, trials: bool) -> Vec<(i64, i64)> {
        let since = |at: UnixMs| (at.0 - minutes(0).0) / 60_000;
        of_run(connection, RunKind::Evaluation, "r", trials)
            .unwrap()
            .iter()
            .map(|look| (since(look.from), since(look.until)))
            .collect()
    }

    #[test]
    fn regular_looks_are_one_stretch_and_a_pause_begins_another() {
        let connection = in_memory();
        let list = Resource::List(RunKind::Evaluation);
        for minute in [0, 1, 2, 3, 30, 31] {
            note(&connection, &list, minutes(minute)).unwrap();
        }
        assert_eq!(seen(&connection, false), [(0, 3), (30, 31)]);
        assert_eq!(seen(&connection, true), []);
    }

    #[test]
    fn a_look_at_the_run_itself_fills_a_gap_of_its_list() {
        let connection = in_memory();
        let list = Resource::List(RunKind::Evaluation);
        note(&connection, &list, minutes(0)).unwrap();
        let own = Resource::Run(RunKind::Evaluation, "r".into());
        note(&connection, &own, minutes(2)).unwrap();
        note(&connection, &list, minutes(4)).unwrap();
        assert_eq!(seen(&connection, false), [(0, 4)]);
        prune(&connection, minutes(3)).unwrap();
        assert_eq!(seen(&connection, false), [(4, 4)]);
    }
}
