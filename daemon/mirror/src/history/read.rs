//! Reads events: by sequence number, by time, or of one run.

use docks_proto::event::EventQuery;
use docks_proto::time::UnixMs;
use rusqlite::{Connection, Row, params};

use super::bounds::{HistoryBounds, read_bounds};
use super::event::{EventWithObject, StatusEvent};
use super::event_filter::matches_query;
use super::event_object::with_object;
use super::event_row::{COLUMNS, EventRow};
use crate::sql_int::to_sql_int;

/// A part of the history.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HistoryPage {
    /// The events that the query selects, oldest first.
    pub events: Vec<EventWithObject>,
    /// Sequence number up to which everything was read.
    pub read_to: u64,
    /// The range that the whole history covers.
    pub bounds: HistoryBounds,
}

/// Reads the events after a sequence number, oldest first.
pub(crate) fn events_after(
    connection: &Connection,
    after: u64,
    limit: usize,
) -> rusqlite::Result<Vec<StatusEvent>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM status_event WHERE seq > ?1 ORDER BY seq LIMIT ?2"
    ))?;
    let rows = statement.query_map(
        params![to_sql_int(after), to_sql_int(limit as u64)],
        event_from_row,
    )?;
    rows.collect()
}

/// Reads at most `limit` events after a sequence number, and returns those that the query selects.
pub(crate) fn read_page(
    connection: &Connection,
    after: u64,
    limit: usize,
    query: &EventQuery,
) -> rusqlite::Result<HistoryPage> {
    let bounds = read_bounds(connection)?;
    let all = events_after(connection, after, limit)?;
    let read_to = match all.last() {
        Some(last) if all.len() == limit => last.seq,
        _ => bounds.last_seq.max(after),
    };
    let mut events = Vec::new();
    for event in all {
        if matches_query(query, event.subject.into(), &event.run, &event.to) {
            events.push(with_object(connection, event)?);
        }
    }
    Ok(HistoryPage {
        events,
        read_to,
        bounds,
    })
}

/// Reads the newest `limit` events of a run, under every kind, or of one trial, oldest first.
pub(crate) fn events_of_run(
    connection: &Connection,
    run: &str,
    trial: Option<&str>,
    limit: usize,
) -> rusqlite::Result<Vec<StatusEvent>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM status_event
         WHERE run_id = ?1 AND trial_id IS ?2 ORDER BY seq DESC LIMIT ?3"
    ))?;
    let rows = statement.query_map(
        params![run, trial, to_sql_int(limit as u64)],
        event_from_row,
    )?;
    let mut events: Vec<StatusEvent> = rows.collect::<Result<_, _>>()?;
    events.reverse();
    Ok(events)
}

/// Reads the newest `limit` changes from `since` (inclusive) to `until` (exclusive), oldest first.
///
/// An object seen for the first time counts by its own time: one that ended long before
/// did not change when it was first mirrored.
pub(crate) fn changes_between(
    connection: &Connection,
    since: UnixMs,
    until: UnixMs,
    query: &EventQuery,
    limit: usize,
) -> rusqlite::Result<Vec<EventWithObject>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM status_event
         WHERE observed_ms >= ?1 AND (at_ms >= ?1 OR from_status IS NOT NULL)
           AND min(at_ms, observed_ms) < ?2
         ORDER BY seq DESC"
    ))?;
    let mut rows = statement.query(params![since.0, until.0])?;
    let mut changes = Vec::new();
    while let Some(row) = rows.next()? {
        let event = event_from_row(row)?;
        if matches_query(query, event.subject.into(), &event.run, &event.to) {
            changes.push(with_object(connection, event)?);
            if changes.len() == limit {
                break;
            }
        }
    }
    changes.reverse();
    Ok(changes)
}

fn event_from_row(row: &Row<'_>) -> rusqlite::Result<StatusEvent> {
    EventRow::read(row).map(|(seq, event)| event.event(seq))
}
