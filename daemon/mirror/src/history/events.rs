//! The history: one row per observed change of a status.

use docks_proto::event::{EventQuery, ObjectKind};
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::state_snapshot::object;
use crate::upkeep;
use crate::{EventWithObject, HistoryBounds, HistoryPage, Provenance, StatusEvent, Subject};

/// Note that holds the highest number that retention took away.
const PRUNED: &str = "history_pruned";

const COLUMNS: &str =
    "seq, kind, run_id, trial_id, from_status, to_status, at_ms, observed_ms, learned";

impl Subject {
    fn name(self) -> &'static str {
        ObjectKind::from(self).name()
    }
}

impl From<Subject> for ObjectKind {
    fn from(subject: Subject) -> Self {
        match subject {
            Subject::Run(kind) => kind.into(),
            Subject::Trial => ObjectKind::Trial,
        }
    }
}

/// A change that is written beside the object it is about.
pub(crate) struct Change<'a> {
    pub(crate) subject: Subject,
    pub(crate) run: &'a str,
    pub(crate) trial: Option<&'a str>,
    pub(crate) from: Option<&'a str>,
    pub(crate) to: &'a str,
    /// The object's own time of the change.
    pub(crate) own_ms: Option<i64>,
    pub(crate) observed_ms: i64,
    pub(crate) learned: Provenance,
}

/// Writes the change, unless the status stayed; returns how many rows that made.
pub(crate) fn record(connection: &Connection, change: &Change<'_>) -> rusqlite::Result<u64> {
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
pub(crate) fn after(
    connection: &Connection,
    after: u64,
    most: usize,
) -> rusqlite::Result<Vec<StatusEvent>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM status_event WHERE seq > ?1 ORDER BY seq LIMIT ?2"
    ))?;
    let rows = statement.query_map(params![signed(after), signed(most as u64)], read)?;
    rows.collect()
}

/// Reads at most `most` changes after a number and returns those that were asked for, each with its
/// object as it is now.
pub(crate) fn scan(
    connection: &Connection,
    from: u64,
    most: usize,
    wanted: &EventQuery,
) -> rusqlite::Result<HistoryPage> {
    let end = end(connection)?;
    let events = after(connection, from, most)?;
    let read_to = match events.last() {
        Some(last) if events.len() == most => last.seq,
        _ => end.last_seq.max(from),
    };
    let mut told = Vec::new();
    for event in events {
        let kind = event.subject.into();
        if admits(wanted, kind, &event.run, &event.to) {
            let object = object(connection, &event)?;
            told.push(EventWithObject { event, object });
        }
    }
    Ok(HistoryPage {
        events: told,
        read_to,
        bounds: end,
    })
}

/// Tells whether a reader asked for changes like this one.
#[must_use]
pub fn admits(wanted: &EventQuery, kind: ObjectKind, run: &str, status: &str) -> bool {
    let any_or = |empty: bool, hit: bool| empty || hit;
    any_or(wanted.kinds.is_empty(), wanted.kinds.contains(&kind))
        && any_or(wanted.runs.is_empty(), wanted.runs.iter().any(|r| r == run))
        && any_or(
            wanted.statuses.is_empty(),
            wanted
                .statuses
                .iter()
                .any(|s| s.eq_ignore_ascii_case(status)),
        )
}

/// Reads the history of one run and its trials, or of one trial, oldest first.
pub(crate) fn of_run(
    connection: &Connection,
    run: &str,
    trial: Option<&str>,
    most: usize,
) -> rusqlite::Result<Vec<StatusEvent>> {
    // The newest ones count, when there are more than anybody reads.
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM status_event
         WHERE run_id = ?1 AND trial_id IS ?2 ORDER BY seq DESC LIMIT ?3"
    ))?;
    let rows = statement.query_map(params![run, trial, signed(most as u64)], read)?;
    let mut events: Vec<StatusEvent> = rows.collect::<Result<_, _>>()?;
    events.reverse();
    Ok(events)
}

/// Reads what changed in a stretch of time, the newest `most`, oldest first, each with its object.
///
/// What was seen for the first time counts by its own time: an object that ended long before
/// did not change when the mirror first met it.
pub(crate) fn between(
    connection: &Connection,
    since: UnixMs,
    until: UnixMs,
    wanted: &EventQuery,
    most: usize,
) -> rusqlite::Result<Vec<EventWithObject>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM status_event
         WHERE observed_ms >= ?1 AND (at_ms >= ?1 OR from_status IS NOT NULL)
           AND min(at_ms, observed_ms) < ?2
         ORDER BY seq DESC"
    ))?;
    let mut rows = statement.query(params![since.0, until.0])?;
    let mut told = Vec::new();
    while let Some(row) = rows.next()? {
        let event = read(row)?;
        if admits(wanted, event.subject.into(), &event.run, &event.to) {
            let object = object(connection, &event)?;
            told.push(EventWithObject { event, object });
            if told.len() == most {
                break;
            }
        }
    }
    told.reverse();
    Ok(told)
}

/// Reads how far the history reaches.
pub(crate) fn end(connection: &Connection) -> rusqlite::Result<HistoryBounds> {
    let history: Option<i64> = connection
        .prepare_cached("SELECT created_ms FROM identity")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let last: Option<i64> = connection
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'status_event'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let pruned = upkeep::note(connection, PRUNED)?.and_then(|text| text.parse().ok());
    Ok(HistoryBounds {
        history_id: history.unwrap_or(0).unsigned_abs(),
        last_seq: last.unwrap_or(0).unsigned_abs(),
        pruned_seq: pruned.unwrap_or(0),
    })
}

/// Drops what was observed before a time, and remembers how far that went.
pub(crate) fn prune(connection: &Connection, until: UnixMs) -> rusqlite::Result<()> {
    let top: Option<i64> = connection.query_row(
        "SELECT max(seq) FROM status_event WHERE observed_ms < ?1",
        [until.0],
        |row| row.get(0),
    )?;
    let Some(top) = top else { return Ok(()) };
    connection.execute("DELETE FROM status_event WHERE observed_ms < ?1", [until.0])?;
    let before = end(connection)?.pruned_seq;
    upkeep::put_note(
        connection,
        PRUNED,
        &before.max(top.unsigned_abs()).to_string(),
    )
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
        provenance: Provenance::ALL
            .into_iter()
            .find(|way| way.name() == learned)
            .unwrap_or(Provenance::Polled),
    })
}

/// SQLite counts in signed numbers; what is beyond them is as good as endless.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
