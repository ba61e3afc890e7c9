//! The history: one row per observed change of a status.

use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use rusqlite::{Connection, Row, params};

use super::{Learned, StatusEvent, Subject};

impl Subject {
    fn name(self) -> &'static str {
        match self {
            Subject::Run(kind) => kind.name(),
            Subject::Trial => "trial",
        }
    }
}

/// A change that is written beside the object it is about.
pub(super) struct Change<'a> {
    pub(super) subject: Subject,
    pub(super) run: &'a str,
    pub(super) trial: Option<&'a str>,
    pub(super) from: Option<&'a str>,
    pub(super) to: &'a str,
    /// The object's own time of the change.
    pub(super) own_ms: Option<i64>,
    pub(super) observed_ms: i64,
    pub(super) learned: Learned,
}

/// Writes the change, unless the status stayed; returns how many rows that made.
pub(super) fn record(connection: &Connection, change: &Change<'_>) -> rusqlite::Result<u64> {
    if change.from == Some(change.to) {
        return Ok(0);
    }
    connection
        .prepare_cached(
            "INSERT INTO status_event
               (kind, run_id, trial_id, from_status, to_status, at_ms, observed_ms, learned)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            change.subject.name(),
            change.run,
            change.trial,
            change.from,
            change.to,
            change.own_ms.unwrap_or(change.observed_ms),
            change.observed_ms,
            change.learned.name(),
        ])?;
    Ok(1)
}

/// Reads the changes after a number, oldest first.
pub(super) fn after(
    connection: &Connection,
    after: u64,
    most: usize,
) -> rusqlite::Result<Vec<StatusEvent>> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, kind, run_id, trial_id, from_status, to_status, at_ms, observed_ms, learned
         FROM status_event WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )?;
    let rows = statement.query_map(params![signed(after), signed(most as u64)], read)?;
    rows.collect()
}

fn read(row: &Row<'_>) -> rusqlite::Result<StatusEvent> {
    let kind: String = row.get(1)?;
    let learned: String = row.get(8)?;
    Ok(StatusEvent {
        seq: row.get::<_, i64>(0)?.unsigned_abs(),
        subject: RunKind::ALL
            .into_iter()
            .find(|k| k.name() == kind)
            .map_or(Subject::Trial, Subject::Run),
        run: row.get(2)?,
        trial: row.get(3)?,
        from: row.get(4)?,
        to: row.get(5)?,
        at: UnixMs(row.get(6)?),
        observed: UnixMs(row.get(7)?),
        learned: Learned::ALL
            .into_iter()
            .find(|way| way.name() == learned)
            .unwrap_or(Learned::Polled),
    })
}

/// SQLite counts in signed numbers; what is beyond them is as good as endless.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
