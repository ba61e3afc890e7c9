//! The row of an event.

use docks_proto::time::UnixMs;
use rusqlite::{Connection, Row, ToSql, params};

use super::event::{StatusEvent, Subject};
use crate::Provenance;
use crate::digest::{Digest, damaged};

/// The columns that [`EventRow::read`] expects, in this order.
pub(crate) const COLUMNS: &str =
    "seq, kind, run_id, trial_id, from_status, to_status, at_ms, observed_ms, learned, digest";

/// What a row holds besides its sequence number.
pub(crate) struct EventRow<'a> {
    pub(crate) kind: &'a str,
    pub(crate) run: &'a str,
    pub(crate) trial: Option<&'a str>,
    pub(crate) from: Option<&'a str>,
    pub(crate) to: &'a str,
    pub(crate) at_ms: i64,
    pub(crate) observed_ms: i64,
    pub(crate) learned: &'a str,
}

impl<'a> EventRow<'a> {
    /// Reads [`COLUMNS`] and returns the sequence number beside the row.
    ///
    /// # Errors
    ///
    /// `SQLITE_CORRUPT` if the digest does not fit.
    pub(crate) fn read(row: &'a Row<'_>) -> rusqlite::Result<(i64, Self)> {
        let (seq, event) = Self::read_unchecked(row)?;
        match event.digest() == row.get::<_, i64>(9)? {
            true => Ok((seq, event)),
            false => Err(damaged("an event")),
        }
    }

    /// Reads the same without checking the digest.
    pub(crate) fn read_unchecked(row: &'a Row<'_>) -> rusqlite::Result<(i64, Self)> {
        let text = |column| {
            let value = row.get_ref(column)?;
            value.as_str_or_null().map_err(|_| damaged("an event"))
        };
        let required = |column| text(column)?.ok_or_else(|| damaged("an event"));
        let event = Self {
            kind: required(1)?,
            run: required(2)?,
            trial: text(3)?,
            from: text(4)?,
            to: required(5)?,
            at_ms: row.get(6)?,
            observed_ms: row.get(7)?,
            learned: required(8)?,
        };
        Ok((row.get(0)?, event))
    }

    pub(crate) fn digest(&self) -> i64 {
        Digest::default()
            .text(Some(self.kind))
            .text(Some(self.run))
            .text(self.trial)
            .text(self.from)
            .text(Some(self.to))
            .number(self.at_ms)
            .number(self.observed_ms)
            .text(Some(self.learned))
            .value()
    }

    /// Inserts the row, under the next sequence number if `seq` is `None`.
    pub(crate) fn insert(&self, connection: &Connection, seq: Option<i64>) -> rusqlite::Result<()> {
        connection
            .prepare_cached(&format!(
                "INSERT INTO status_event ({COLUMNS})
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
            ))?
            .execute(params![
                seq,
                self.kind,
                self.run,
                self.trial,
                self.from,
                self.to,
                self.at_ms,
                self.observed_ms,
                self.learned,
                self.digest(),
            ])
            .map(drop)
    }

    /// Returns the event of this row.
    pub(crate) fn event(&self, seq: i64) -> StatusEvent {
        StatusEvent {
            seq: seq.unsigned_abs(),
            subject: Subject::from_name(self.kind),
            run: self.run.to_owned(),
            trial: self.trial.map(str::to_owned),
            from: self.from.map(str::to_owned),
            to: self.to.to_owned(),
            at: UnixMs(self.at_ms),
            observed: UnixMs(self.observed_ms),
            provenance: Provenance::ALL
                .into_iter()
                .find(|known| known.name() == self.learned)
                .unwrap_or(Provenance::Polled),
        }
    }
}

/// Dates events that were observed after `now_ms` to that time. Those that the object dates itself keep
/// its time.
pub(crate) fn redate(connection: &Connection, now_ms: i64) -> rusqlite::Result<()> {
    let condition = "observed_ms > ?1";
    change(connection, condition, params![now_ms], |event| {
        if event.at_ms == event.observed_ms {
            event.at_ms = now_ms;
        }
        event.observed_ms = now_ms;
    })
}

/// Gives the events of a run, or of its trials, the run's new id.
pub(crate) fn rename_run(
    connection: &Connection,
    subject: Subject,
    old: &str,
    new: &str,
) -> rusqlite::Result<()> {
    let condition = "run_id = ?2 AND kind = ?1";
    change(
        connection,
        condition,
        params![subject.name(), old],
        |event| {
            new.clone_into(&mut event.run);
        },
    )
}

/// What of an event may change afterwards.
struct Changeable {
    run: String,
    at_ms: i64,
    observed_ms: i64,
}

/// Changes the events that satisfy a condition, with their digests.
fn change(
    connection: &Connection,
    condition: &str,
    values: &[&dyn ToSql],
    change: impl Fn(&mut Changeable),
) -> rusqlite::Result<()> {
    let mut events = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM status_event WHERE {condition}"
    ))?;
    let changed: Vec<(i64, Changeable, i64)> = events
        .query_map(values, |row| {
            let (seq, event) = EventRow::read(row)?;
            let mut new = Changeable {
                run: event.run.to_owned(),
                at_ms: event.at_ms,
                observed_ms: event.observed_ms,
            };
            change(&mut new);
            let event = EventRow {
                run: &new.run,
                at_ms: new.at_ms,
                observed_ms: new.observed_ms,
                ..event
            };
            let digest = event.digest();
            Ok((seq, new, digest))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut update = connection.prepare_cached(
        "UPDATE status_event SET run_id = ?2, at_ms = ?3, observed_ms = ?4, digest = ?5
         WHERE seq = ?1",
    )?;
    for (seq, new, digest) in changed {
        update.execute(params![seq, new.run, new.at_ms, new.observed_ms, digest])?;
    }
    Ok(())
}
