//! Runs and evaluation runs: how they are written, and how one is read.

use std::collections::HashMap;

use docks_proto::object::{Lifecycle, RawObject, RunFields, lifecycle};
use docks_proto::query::Row as Columns;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use rusqlite::{Connection, OptionalExtension, params};

use crate::confirmations::{RUN_CONFIRMED, Sighting, regroup};
use crate::history::events::{Change, record};
use crate::merge_policy::{Known, Times, Verdict, judge};
use crate::sweeps::Sweeps;
use crate::{RunBatch, StoredObject, Subject, WriteSummary};

/// An object that arrived, with what is read from it.
struct Arrival<'a> {
    object: &'a RawObject,
    columns: Columns,
    times: Times,
}

impl<'a> Arrival<'a> {
    fn of(object: &'a RawObject) -> Self {
        let fields = RunFields::from_object(object);
        let columns = Columns::from_run_fields(object, &fields);
        let times = Times {
            created: columns.created.map(|at| at.0),
            started: Times::read(&fields.started_at),
            updated: Times::read(&fields.updated_at),
            completed: Times::read(&fields.completed_at),
        };
        Self {
            object,
            columns,
            times,
        }
    }
}

/// The stored row of an object that arrived.
struct Found {
    seq: i64,
    observation: Option<i64>,
    known: Known,
}

/// Writes a batch.
pub(crate) fn put(
    connection: &Connection,
    sweeps: &mut Sweeps,
    batch: &RunBatch,
) -> rusqlite::Result<WriteSummary> {
    let mut changed = WriteSummary::default();
    let mut sightings = Vec::with_capacity(batch.objects.len());
    let mut at_ms = batch.observed_at.0;
    for arrival in last_of_each(&batch.objects) {
        let found = find(connection, batch.kind, &arrival)?;
        let verdict = found.as_ref().map(|found| {
            judge(
                &found.known,
                &arrival.columns.status,
                arrival.times,
                batch.observed_at.0,
                batch.provenance,
            )
        });
        let (seq, observation) = match (&found, verdict) {
            (Some(found), Some(verdict)) => {
                sweeps.mark(batch.kind, found.seq);
                match verdict {
                    Verdict::Stale => changed.unchanged += 1,
                    Verdict::Doubt => {
                        doubt(connection, found.seq, Some(batch.observed_at.0))?;
                        changed.deferred += 1;
                    }
                    Verdict::Same => {
                        if found.known.doubt_ms.is_some() {
                            doubt(connection, found.seq, None)?;
                        }
                        changed.unchanged += 1;
                    }
                    Verdict::Replace => {
                        update(connection, batch, &arrival, found)?;
                        changed.updated += 1;
                    }
                }
                if matches!(verdict, Verdict::Stale | Verdict::Doubt) {
                    continue;
                }
                // Only an action's answer can be older here; ages never go back.
                at_ms = at_ms.max(found.known.confirmed_ms);
                (found.seq, found.observation)
            }
            _ => {
                let seq = insert(connection, batch, &arrival)?;
                sweeps.mark(batch.kind, seq);
                changed.inserted += 1;
                (seq, None)
            }
        };
        sightings.push(Sighting {
            run: seq,
            observation,
        });
        changed.events += note_change(connection, batch, &arrival, found.as_ref())?;
    }
    regroup(connection, batch.kind, at_ms, &sightings)?;
    Ok(changed)
}

/// Of objects with one id, the last one counts.
fn last_of_each(objects: &[RawObject]) -> Vec<Arrival<'_>> {
    let mut arrivals: Vec<Option<Arrival<'_>>> = Vec::with_capacity(objects.len());
    let mut places = HashMap::with_capacity(objects.len());
    for object in objects {
        let arrival = Arrival::of(object);
        if let Some(earlier) = places.insert(arrival.columns.id.clone(), arrivals.len()) {
            arrivals[earlier] = None;
        }
        arrivals.push(Some(arrival));
    }
    arrivals.into_iter().flatten().collect()
}

fn find(
    connection: &Connection,
    kind: RunKind,
    arrival: &Arrival<'_>,
) -> rusqlite::Result<Option<Found>> {
    connection
        .prepare_cached(
            "SELECT r.seq, s.observation, r.status, r.created_ms, r.started_ms, r.updated_ms,
               r.completed_ms, r.gone_ms, r.doubt_ms, coalesce(o.at_ms, 0), coalesce(c.at_ms, 0),
               r.body
             FROM runs r
             LEFT JOIN run_seen s ON s.run = r.seq
             LEFT JOIN observation o ON o.seq = s.observation
             LEFT JOIN confirmation c ON c.kind = r.kind AND c.id = r.id
             WHERE r.kind = ?1 AND r.id = ?2",
        )?
        .query_row(params![kind.name(), arrival.columns.id], |row| {
            Ok(Found {
                seq: row.get(0)?,
                observation: row.get(1)?,
                known: Known {
                    status: row.get(2)?,
                    times: Times {
                        created: row.get(3)?,
                        started: row.get(4)?,
                        updated: row.get(5)?,
                        completed: row.get(6)?,
                    },
                    gone_ms: row.get(7)?,
                    doubt_ms: row.get(8)?,
                    confirmed_ms: row.get::<_, i64>(9)?.max(row.get(10)?),
                    same_text: row.get_ref(11)?.as_bytes()? == arrival.object.text().as_bytes(),
                },
            })
        })
        .optional()
}

fn insert(
    connection: &Connection,
    batch: &RunBatch,
    arrival: &Arrival<'_>,
) -> rusqlite::Result<i64> {
    let due = batch.kind == RunKind::Evaluation
        && crate::trials::write::confirmed_ms(connection, &arrival.columns.id)?.is_none();
    connection
        .prepare_cached(
            "INSERT INTO runs (kind, id, name, status, created_ms, started_ms, updated_ms,
               completed_ms, active, trials_due, changed_ms, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            batch.kind.name(),
            arrival.columns.id,
            arrival.columns.name,
            arrival.columns.status,
            arrival.times.created,
            arrival.times.started,
            arrival.times.updated,
            arrival.times.completed,
            lifecycle(&arrival.columns.status) == Lifecycle::Active,
            due,
            batch.observed_at.0,
            arrival.object.text(),
        ])?;
    Ok(connection.last_insert_rowid())
}

/// Writes the new text; an evaluation run that ended with it needs its trials once more.
fn update(
    connection: &Connection,
    batch: &RunBatch,
    arrival: &Arrival<'_>,
    found: &Found,
) -> rusqlite::Result<()> {
    let active = lifecycle(&arrival.columns.status) == Lifecycle::Active;
    let ended_anew = batch.kind == RunKind::Evaluation && !active && !found.known.same_text;
    connection
        .prepare_cached(
            "UPDATE runs SET name = ?2, status = ?3, created_ms = ?4, started_ms = ?5,
               updated_ms = ?6, completed_ms = ?7, active = ?8,
               trials_due = max(trials_due, ?9), changed_ms = ?10, gone_ms = NULL,
               doubt_ms = NULL, body = ?11
             WHERE seq = ?1",
        )?
        .execute(params![
            found.seq,
            arrival.columns.name,
            arrival.columns.status,
            arrival.times.created,
            arrival.times.started,
            arrival.times.updated,
            arrival.times.completed,
            active,
            ended_anew,
            batch.observed_at.0,
            arrival.object.text(),
        ])
        .map(drop)
}

fn doubt(connection: &Connection, seq: i64, at_ms: Option<i64>) -> rusqlite::Result<()> {
    // The first doubt stays: what counts is that a later answer agrees with it.
    connection
        .prepare_cached(
            "UPDATE runs SET doubt_ms = CASE WHEN ?2 IS NULL THEN NULL
               ELSE coalesce(doubt_ms, ?2) END WHERE seq = ?1",
        )?
        .execute(params![seq, at_ms])
        .map(drop)
}

fn note_change(
    connection: &Connection,
    batch: &RunBatch,
    arrival: &Arrival<'_>,
    found: Option<&Found>,
) -> rusqlite::Result<u64> {
    let status = &arrival.columns.status;
    let from = found.map(|f| f.known.status.as_str());
    record(
        connection,
        &Change {
            subject: Subject::Run(batch.kind),
            run: &arrival.columns.id,
            trial: None,
            from,
            to: status,
            own_ms: arrival.times.of_change(status, from.is_none()),
            observed_ms: batch.observed_at.0,
            learned: batch.provenance,
        },
    )
}

/// Reads one run, also a tombstone.
pub(crate) fn get(
    connection: &Connection,
    kind: RunKind,
    id: &str,
) -> rusqlite::Result<Option<StoredObject>> {
    connection
        .prepare_cached(&format!(
            "SELECT r.id, r.body, r.status, {RUN_CONFIRMED}, r.gone_ms
             FROM runs r WHERE r.kind = ?1 AND r.id = ?2"
        ))?
        .query_row([kind.name(), id], stored)
        .optional()
}

/// Reads id, text, status, time of confirmation and of the tombstone, in this order.
pub(crate) fn stored(row: &rusqlite::Row<'_>) -> rusqlite::Result<StoredObject> {
    Ok(StoredObject {
        id: row.get(0)?,
        text: row.get(1)?,
        status: row.get(2)?,
        confirmed_at: UnixMs(row.get(3)?),
        gone_at: row.get::<_, Option<i64>>(4)?.map(UnixMs),
    })
}
