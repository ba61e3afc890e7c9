//! The state of the mirror from which the sync engine plans.

use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use rusqlite::{Connection, Row, params};

use crate::confirmations::{self, RUN_CONFIRMED_MS};
use crate::resource::{Confirmation, Resource};
use crate::sql_int::to_sql_int;
use crate::tally::{live_runs, runs_with_trials_due};

/// Active runs of each kind, and rows that are counted to find their places.
const MAX_ACTIVE_RUNS: i64 = 10_000;

/// The state of the mirror from which the sync engine plans.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Both lists, in the order of [`RunKind::ALL`].
    pub lists: Vec<ListState>,
    /// Live runs that have not ended, newest first, at most 10,000 of each kind.
    pub active: Vec<ActiveRun>,
    /// Runs whose trials should be fetched, up to the requested number: newest first, or, where those that were not
    /// confirmed since some time are due, too, the longest confirmed first.
    pub trials_due: Vec<TrialsDue>,
    /// Number of all runs whose trials should be fetched.
    pub trials_due_total: u64,
}

/// State of one list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListState {
    /// Kind of its runs.
    pub kind: RunKind,
    /// When it was last confirmed; `None` when it never was.
    pub confirmation: Option<Confirmation>,
    /// Live rows.
    pub rows: u64,
}

/// A run that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveRun {
    /// Kind.
    pub kind: RunKind,
    /// Id.
    pub id: String,
    /// Status as the remote wrote it.
    pub status: String,
    /// When it was last confirmed.
    pub confirmed_at: UnixMs,
    /// Number of newer live runs of its kind, which is its place in the list. Beyond 10,000, and
    /// for a run without a time of creation, this is the length of the list.
    pub newer_rows: u64,
}

/// A run whose trials should be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialsDue {
    /// Its id.
    pub run: String,
    /// Whether it has ended.
    pub ended: bool,
    /// When its trials were last confirmed; `None` when they were never mirrored.
    pub trials_confirmed_at: Option<UnixMs>,
}

// The indexes are named here because statistics must never make SQLite scan all runs.

/// Reads the summary with at most `max_due` runs whose trials are due; with `since` also those whose trials were
/// not confirmed since then.
pub(crate) fn read(
    connection: &Connection,
    max_due: usize,
    since: Option<UnixMs>,
) -> rusqlite::Result<Summary> {
    let mut summary = Summary::default();
    for kind in RunKind::ALL {
        let rows = live_runs(connection, kind)?;
        summary.lists.push(ListState {
            kind,
            confirmation: confirmations::read(connection, &Resource::List(kind))?,
            rows,
        });
        summary.active.extend(active_runs(connection, kind, rows)?);
    }
    (summary.trials_due, summary.trials_due_total) = match since {
        None => (
            trials_due(connection, max_due)?,
            runs_with_trials_due(connection)?,
        ),
        Some(since) => (
            trials_due_since(connection, max_due, since)?,
            runs_with_trials_due_since(connection, since)?,
        ),
    };
    Ok(summary)
}

fn active_runs(
    connection: &Connection,
    kind: RunKind,
    rows: u64,
) -> rusqlite::Result<Vec<ActiveRun>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT r.id, r.status, {RUN_CONFIRMED_MS}, r.created_ms
         FROM runs r INDEXED BY runs_active
         WHERE r.kind = ?1 AND r.active = 1 AND r.gone_ms IS NULL
         ORDER BY r.created_ms DESC, r.id DESC LIMIT {MAX_ACTIVE_RUNS}"
    ))?;
    let mut found = statement.query([kind.name()])?;
    let mut counter = NewerRowCounter::new(connection, kind, rows);
    let mut active = Vec::new();
    while let Some(row) = found.next()? {
        let id: String = row.get(0)?;
        active.push(ActiveRun {
            kind,
            status: row.get(1)?,
            confirmed_at: UnixMs(row.get(2)?),
            newer_rows: counter.count_newer_than(row.get(3)?, &id)?,
            id,
        });
    }
    Ok(active)
}

/// Counts the rows newer than each of some runs, which come newest first, counting no row twice.
struct NewerRowCounter<'a> {
    connection: &'a Connection,
    kind: RunKind,
    /// Live rows of the kind.
    rows: u64,
    /// Time of creation, id and place of the previous run.
    previous: Option<(i64, String, i64)>,
}

impl<'a> NewerRowCounter<'a> {
    fn new(connection: &'a Connection, kind: RunKind, rows: u64) -> Self {
        Self {
            connection,
            kind,
            rows,
            previous: None,
        }
    }

    fn count_newer_than(&mut self, created_ms: Option<i64>, id: &str) -> rusqlite::Result<u64> {
        let Some(created_ms) = created_ms else {
            return Ok(self.rows);
        };
        let (upper_ms, upper_id, counted) = match &self.previous {
            Some((created_ms, id, place)) => (*created_ms, id.as_str(), *place + 1),
            None => (i64::MAX, "", 0),
        };
        let remaining = MAX_ACTIVE_RUNS - counted;
        if remaining <= 0 {
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
                params![
                    self.kind.name(),
                    created_ms,
                    id,
                    upper_ms,
                    upper_id,
                    remaining
                ],
                |row| row.get(0),
            )?;
        let place = counted + between;
        self.previous = Some((created_ms, id.to_owned(), place));
        Ok(match u64::try_from(place) {
            Ok(place) if between < remaining => place,
            _ => self.rows,
        })
    }
}

fn trials_due(connection: &Connection, limit: usize) -> rusqlite::Result<Vec<TrialsDue>> {
    let mut statement = connection.prepare_cached(
        "SELECT r.id, r.active, l.confirmed_ms FROM runs r INDEXED BY runs_trials_due
         LEFT JOIN trial_list l ON l.run = r.id
         WHERE r.trials_due = 1 AND r.gone_ms IS NULL
         ORDER BY r.created_ms DESC, r.id DESC LIMIT ?1",
    )?;
    let rows = statement.query_map([to_sql_int(limit as u64)], trials_due_from_row)?;
    rows.collect()
}

/// The runs whose trials are due or were not confirmed since a time. It reads all runs, which a caller waits for.
const DUE_SINCE: &str = "runs r INDEXED BY runs_by_created LEFT JOIN trial_list l ON l.run = r.id
     WHERE r.kind = 'evaluation' AND r.gone_ms IS NULL
       AND (r.trials_due = 1 OR coalesce(l.confirmed_ms < ?1, 1))";

fn trials_due_since(
    connection: &Connection,
    limit: usize,
    since: UnixMs,
) -> rusqlite::Result<Vec<TrialsDue>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT r.id, r.active, l.confirmed_ms FROM {DUE_SINCE}
         ORDER BY coalesce(l.confirmed_ms, 0), r.created_ms DESC, r.id DESC LIMIT ?2"
    ))?;
    let rows = statement.query_map(
        params![since.0, to_sql_int(limit as u64)],
        trials_due_from_row,
    )?;
    rows.collect()
}

/// Counts the runs whose trials are due or were not confirmed since a time.
pub(crate) fn runs_with_trials_due_since(
    connection: &Connection,
    since: UnixMs,
) -> rusqlite::Result<u64> {
    let count: i64 = connection
        .prepare_cached(&format!("SELECT count(*) FROM {DUE_SINCE}"))?
        .query_row([since.0], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

fn trials_due_from_row(row: &Row<'_>) -> rusqlite::Result<TrialsDue> {
    Ok(TrialsDue {
        run: row.get(0)?,
        ended: !row.get::<_, bool>(1)?,
        trials_confirmed_at: row.get::<_, Option<i64>>(2)?.map(UnixMs),
    })
}
