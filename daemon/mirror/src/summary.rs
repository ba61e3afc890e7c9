//! What the whole mirror holds: for planning, for status, for completion.

use docks_proto::object::{Lifecycle, lifecycle};
use docks_proto::routes::RunKind;
use docks_proto::status::RowCounts;
use docks_proto::time::UnixMs;
use rusqlite::{Connection, params};

use crate::confirmations::{RUN_CONFIRMED, confirmed};
use crate::history::events::signed;
use crate::{ActiveRun, ListState, Resource, StatusScope, Summary, TrialsDue};

/// Active runs per kind, and rows that are walked to find their places.
const MOST: i64 = 10_000;

// The indexes are named here, since statistics must never talk SQLite into a walk of all runs.

/// Reads what a plan starts from.
pub(crate) fn read(connection: &Connection, most_due: usize) -> rusqlite::Result<Summary> {
    let mut summary = Summary::default();
    for kind in RunKind::ALL {
        let rows = sum(connection, "rows", kind)?;
        summary.lists.push(ListState {
            kind,
            confirmation: confirmed(connection, &Resource::List(kind))?,
            rows,
        });
        summary.active.extend(active(connection, kind, rows)?);
    }
    summary.trials_due = due(connection, most_due)?;
    summary.trials_due_total = sum(connection, "due", RunKind::Evaluation)?;
    Ok(summary)
}

fn sum(connection: &Connection, column: &str, kind: RunKind) -> rusqlite::Result<u64> {
    connection
        .prepare_cached(&format!(
            "SELECT coalesce(sum({column}), 0) FROM tally WHERE kind = ?1"
        ))?
        .query_row([kind.name()], |row| row.get::<_, i64>(0))
        .map(|n| u64::try_from(n).unwrap_or(0))
}

fn active(connection: &Connection, kind: RunKind, rows: u64) -> rusqlite::Result<Vec<ActiveRun>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT r.id, r.status, {RUN_CONFIRMED}, r.created_ms
         FROM runs r INDEXED BY runs_active
         WHERE r.kind = ?1 AND r.active = 1 AND r.gone_ms IS NULL
         ORDER BY r.created_ms DESC, r.id DESC LIMIT {MOST}"
    ))?;
    let mut found = statement.query([kind.name()])?;
    let mut places = Places::new(connection, kind, rows);
    let mut active = Vec::new();
    while let Some(row) = found.next()? {
        let id: String = row.get(0)?;
        active.push(ActiveRun {
            kind,
            status: row.get(1)?,
            confirmed_at: UnixMs(row.get(2)?),
            newer_rows: places.of(row.get(3)?, &id)?,
            id,
        });
    }
    Ok(active)
}

/// Counts the rows before each of some that come in order, without counting any twice.
struct Places<'a> {
    connection: &'a Connection,
    kind: RunKind,
    rows: u64,
    /// The last row that was placed, and its place.
    last: Option<(i64, String, i64)>,
}

impl<'a> Places<'a> {
    fn new(connection: &'a Connection, kind: RunKind, rows: u64) -> Self {
        Self {
            connection,
            kind,
            rows,
            last: None,
        }
    }

    fn of(&mut self, created_ms: Option<i64>, id: &str) -> rusqlite::Result<u64> {
        let Some(created_ms) = created_ms else {
            return Ok(self.rows);
        };
        let (upper, upper_id, before) = match &self.last {
            Some((upper, id, place)) => (*upper, id.as_str(), *place + 1),
            None => (i64::MAX, "", 0),
        };
        let left = MOST - before;
        if left <= 0 {
            return Ok(self.rows);
        }
        let between: i64 = self
            .connection
            .prepare_cached(
                "SELECT count(*) FROM (SELECT 1 FROM runs INDEXED BY runs_by_created
                   WHERE kind = ?1 AND gone_ms IS NULL
                     AND (created_ms, id) > (?2, ?3) AND (created_ms, id) < (?4, ?5)
                   LIMIT ?6)",
            )?
            .query_row(
                params![self.kind.name(), created_ms, id, upper, upper_id, left],
                |row| row.get(0),
            )?;
        let place = before + between;
        self.last = Some((created_ms, id.to_owned(), place));
        Ok(match u64::try_from(place) {
            Ok(near) if between < left => near,
            _ => self.rows,
        })
    }
}

fn due(connection: &Connection, most: usize) -> rusqlite::Result<Vec<TrialsDue>> {
    let mut statement = connection.prepare_cached(
        "SELECT r.id, r.active, l.confirmed_ms FROM runs r INDEXED BY runs_trials_due
         LEFT JOIN trial_list l ON l.run = r.id
         WHERE r.trials_due = 1 AND r.gone_ms IS NULL
         ORDER BY r.created_ms DESC, r.id DESC LIMIT ?1",
    )?;
    let rows = statement.query_map([signed(most as u64)], |row| {
        Ok(TrialsDue {
            run: row.get(0)?,
            ended: !row.get::<_, bool>(1)?,
            trials_confirmed_at: row.get::<_, Option<i64>>(2)?.map(UnixMs),
        })
    })?;
    rows.collect()
}

/// Counts the rows.
pub(crate) fn counts(connection: &Connection) -> rusqlite::Result<RowCounts> {
    let mut counts = RowCounts {
        runs: sum(connection, "rows", RunKind::Run)?,
        evaluation_runs: sum(connection, "rows", RunKind::Evaluation)?,
        ..RowCounts::default()
    };
    let number = |sql: &str| {
        connection
            .prepare_cached(sql)?
            .query_row([], |row| row.get::<_, i64>(0))
            .map(|n| u64::try_from(n).unwrap_or(0))
    };
    counts.trials = number("SELECT coalesce(sum(rows), 0) FROM trial_list")?;
    counts.tombstones = number("SELECT count(*) FROM runs WHERE gone_ms IS NOT NULL")?
        + number("SELECT count(*) FROM trials WHERE gone_ms IS NOT NULL")?;
    let mut statement = connection.prepare_cached("SELECT status, rows FROM tally")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if lifecycle(row.get_ref(0)?.as_str()?) == Lifecycle::Active {
            counts.active += u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
        }
    }
    Ok(counts)
}

/// Lists every status that was ever seen, tombstones' too.
pub(crate) fn statuses(connection: &Connection, of: StatusScope) -> rusqlite::Result<Vec<String>> {
    match of {
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
