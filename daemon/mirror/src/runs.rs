//! Runs and evaluation runs: how they are written, and how one is read.

use std::collections::HashMap;
use std::sync::LazyLock;

use docks_proto::object::{Lifecycle, RawObject, RunFields, lifecycle};
use docks_proto::query::Row as Columns;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use rusqlite::{Connection, OptionalExtension, ToSql, params, params_from_iter};

use crate::confirmations::RUN_CONFIRMED_MS;
use crate::digest;
use crate::history::{StatusChange, Subject, record};
use crate::merge_policy::{MergeDecision, ObjectTimes, StoredState, decide};
use crate::observation_groups::{ConfirmedRow, record_response};
use crate::provenance::Provenance;
use crate::provisional_id::{self, RenameWriter};
use crate::stored_object::StoredObject;
use crate::sweeps::Sweeps;
use crate::trials::trial_list_confirmed_ms;
use crate::write_summary::WriteSummary;

/// Objects of one response, written in one transaction.
#[derive(Debug)]
pub struct RunBatch {
    /// Kind of all of them.
    pub kind: RunKind,
    /// The objects, in the remote's order.
    pub objects: Vec<RawObject>,
    /// When the request began.
    pub observed_at: UnixMs,
    /// How they were learned.
    pub provenance: Provenance,
}

/// An object that arrived, with the columns read from it.
struct IncomingRun<'a> {
    object: &'a RawObject,
    columns: Columns,
    times: ObjectTimes,
    is_active: bool,
}

impl<'a> IncomingRun<'a> {
    fn from_object(object: &'a RawObject) -> Self {
        let fields = RunFields::from_object(object);
        let columns = Columns::from_run_fields(object, &fields);
        let times = ObjectTimes {
            created_ms: columns.created.map(|at| at.0),
            started_ms: ObjectTimes::parse_ms(&fields.started_at),
            updated_ms: ObjectTimes::parse_ms(&fields.updated_at),
            completed_ms: ObjectTimes::parse_ms(&fields.completed_at),
        };
        let is_active = lifecycle(&columns.status) == Lifecycle::Active;
        Self {
            object,
            columns,
            times,
            is_active,
        }
    }

    fn derived_values(&self) -> [&dyn ToSql; DERIVED_COLUMNS.len()] {
        [
            &self.columns.name,
            &self.columns.status,
            &self.times.created_ms,
            &self.times.started_ms,
            &self.times.updated_ms,
            &self.times.completed_ms,
            &self.is_active,
        ]
    }
}

/// The stored row of an object that arrived.
struct StoredRun {
    seq: i64,
    observation: Option<i64>,
    state: StoredState,
}

/// Inserts or updates the runs of a batch.
pub(crate) fn upsert(
    connection: &Connection,
    sweeps: &mut Sweeps,
    renames: &mut RenameWriter,
    batch: &RunBatch,
) -> rusqlite::Result<WriteSummary> {
    let mut summary = WriteSummary::default();
    let mut confirmed = Vec::with_capacity(batch.objects.len());
    let mut at_ms = batch.observed_at.0;
    for incoming in last_of_each_id(&batch.objects) {
        let mut stored = find_stored(connection, batch.kind, &incoming)?;
        let created_ms = incoming.times.created_ms;
        if stored.is_none()
            && provisional_id::adopt(connection, renames, batch.kind, incoming.object, created_ms)?
        {
            stored = find_stored(connection, batch.kind, &incoming)?;
        }
        let decision = stored.as_ref().map(|stored| {
            decide(
                &stored.state,
                &incoming.columns.status,
                incoming.times,
                batch.observed_at.0,
                batch.provenance,
            )
        });
        let (seq, observation) = match (&stored, decision) {
            (Some(stored), Some(decision)) => {
                sweeps.mark_seen(batch.kind, stored.seq);
                match decision {
                    MergeDecision::Stale => {
                        summary.unchanged += 1;
                        continue;
                    }
                    MergeDecision::DeferReopening => {
                        set_reopening_seen(connection, stored.seq, Some(batch.observed_at.0))?;
                        summary.deferred += 1;
                        continue;
                    }
                    MergeDecision::Unchanged => {
                        if stored.state.reopening_seen_ms.is_some() {
                            set_reopening_seen(connection, stored.seq, None)?;
                        }
                        summary.unchanged += 1;
                    }
                    MergeDecision::Replace => {
                        update(connection, batch, &incoming, stored)?;
                        summary.updated += 1;
                    }
                }
                // Only the response to an action can be older here; confirmations never go back.
                at_ms = at_ms.max(stored.state.confirmed_ms);
                (stored.seq, stored.observation)
            }
            _ => {
                let seq = insert(connection, batch, &incoming)?;
                sweeps.mark_seen(batch.kind, seq);
                summary.inserted += 1;
                (seq, None)
            }
        };
        confirmed.push(ConfirmedRow {
            run: seq,
            observation,
        });
        summary.events += record_status(connection, batch, &incoming, stored.as_ref())?;
    }
    record_response(connection, batch.kind, at_ms, &confirmed)?;
    Ok(summary)
}

/// Reads the objects; of several with one id, the last one counts.
fn last_of_each_id(objects: &[RawObject]) -> Vec<IncomingRun<'_>> {
    let mut all: Vec<Option<IncomingRun<'_>>> = Vec::with_capacity(objects.len());
    let mut index_of_id = HashMap::with_capacity(objects.len());
    for object in objects {
        let incoming = IncomingRun::from_object(object);
        if let Some(earlier) = index_of_id.insert(incoming.columns.id.clone(), all.len()) {
            all[earlier] = None;
        }
        all.push(Some(incoming));
    }
    all.into_iter().flatten().collect()
}

fn find_stored(
    connection: &Connection,
    kind: RunKind,
    incoming: &IncomingRun<'_>,
) -> rusqlite::Result<Option<StoredRun>> {
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
        .query_row(params![kind.name(), incoming.columns.id], |row| {
            Ok(StoredRun {
                seq: row.get(0)?,
                observation: row.get(1)?,
                state: StoredState {
                    status: row.get(2)?,
                    times: ObjectTimes {
                        created_ms: row.get(3)?,
                        started_ms: row.get(4)?,
                        updated_ms: row.get(5)?,
                        completed_ms: row.get(6)?,
                    },
                    gone_ms: row.get(7)?,
                    reopening_seen_ms: row.get(8)?,
                    confirmed_ms: row.get::<_, i64>(9)?.max(row.get(10)?),
                    same_text: row.get_ref(11)?.as_bytes()? == incoming.object.text().as_bytes(),
                },
            })
        })
        .optional()
}

/// Columns that are read from a run's text, in the order of [`IncomingRun::derived_values`].
pub(crate) const DERIVED_COLUMNS: [&str; 7] = [
    "name",
    "status",
    "created_ms",
    "started_ms",
    "updated_ms",
    "completed_ms",
    "active",
];

static INSERT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO runs (kind, id, trials_due, changed_ms, body, digest, {}) VALUES (?, ?, ?, ?, ?, ?{})",
        DERIVED_COLUMNS.join(", "),
        ", ?".repeat(DERIVED_COLUMNS.len())
    )
});

static UPDATE: LazyLock<String> =
    LazyLock::new(|| {
        format!(
        "UPDATE runs SET {}, trials_due = max(trials_due, ?), changed_ms = ?, body = ?, digest = ?,
           gone_ms = NULL, doubt_ms = NULL
         WHERE seq = ?",
        DERIVED_COLUMNS.map(|column| format!("{column} = ?")).join(", ")
    )
    });

fn insert(
    connection: &Connection,
    batch: &RunBatch,
    incoming: &IncomingRun<'_>,
) -> rusqlite::Result<i64> {
    // Trials can be fetched before their run is listed, and may have changed until it ended.
    let trials_due = batch.kind == RunKind::Evaluation
        && trial_list_confirmed_ms(connection, &incoming.columns.id)?
            .is_none_or(|at_ms| !incoming.is_active && at_ms <= batch.observed_at.0);
    let text = incoming.object.text();
    let others: [&dyn ToSql; 6] = [
        &batch.kind.name(),
        &incoming.columns.id,
        &trials_due,
        &batch.observed_at.0,
        &text,
        &digest::of_text(text.as_bytes()),
    ];
    connection
        .prepare_cached(&INSERT)?
        .execute(params_from_iter(
            others.into_iter().chain(incoming.derived_values()),
        ))?;
    Ok(connection.last_insert_rowid())
}

/// Writes the new text; the trials of an evaluation run that has ended are due once more.
fn update(
    connection: &Connection,
    batch: &RunBatch,
    incoming: &IncomingRun<'_>,
    stored: &StoredRun,
) -> rusqlite::Result<()> {
    let trials_due =
        batch.kind == RunKind::Evaluation && !incoming.is_active && !stored.state.same_text;
    let text = incoming.object.text();
    let others: [&dyn ToSql; 5] = [
        &trials_due,
        &batch.observed_at.0,
        &text,
        &digest::of_text(text.as_bytes()),
        &stored.seq,
    ];
    connection
        .prepare_cached(&UPDATE)?
        .execute(params_from_iter(
            incoming.derived_values().into_iter().chain(others),
        ))
        .map(drop)
}

/// Returns the id under which a run is stored.
pub(crate) fn id_of(object: &RawObject) -> String {
    IncomingRun::from_object(object).columns.id
}

/// Passes the values of the columns that are read from a run's text.
pub(crate) fn with_derived_values<T>(
    object: &RawObject,
    use_values: impl FnOnce(&[&dyn ToSql]) -> T,
) -> T {
    use_values(&IncomingRun::from_object(object).derived_values())
}

/// Stores when a reopening was first seen; `None` cancels it.
fn set_reopening_seen(
    connection: &Connection,
    seq: i64,
    at_ms: Option<i64>,
) -> rusqlite::Result<()> {
    // The first time stays: a later response has to agree with that one.
    connection
        .prepare_cached(
            "UPDATE runs SET doubt_ms = CASE WHEN ?2 IS NULL THEN NULL
               ELSE coalesce(doubt_ms, ?2) END WHERE seq = ?1",
        )?
        .execute(params![seq, at_ms])
        .map(drop)
}

fn record_status(
    connection: &Connection,
    batch: &RunBatch,
    incoming: &IncomingRun<'_>,
    stored: Option<&StoredRun>,
) -> rusqlite::Result<u64> {
    let status = &incoming.columns.status;
    let from = stored.map(|stored| stored.state.status.as_str());
    record(
        connection,
        &StatusChange {
            subject: Subject::Run(batch.kind),
            run: &incoming.columns.id,
            trial: None,
            from,
            to: status,
            own_ms: incoming.times.entered_status_ms(status, from.is_none()),
            observed_ms: batch.observed_at.0,
            provenance: batch.provenance,
        },
    )
}

/// Reads one run, even if it is a tombstone.
pub(crate) fn get(
    connection: &Connection,
    kind: RunKind,
    id: &str,
) -> rusqlite::Result<Option<StoredObject>> {
    connection
        .prepare_cached(&format!(
            "SELECT r.id, r.body, r.digest, r.status, {RUN_CONFIRMED_MS}, r.gone_ms
             FROM runs r WHERE r.kind = ?1 AND r.id = ?2"
        ))?
        .query_row([kind.name(), id], StoredObject::from_row)
        .optional()
}

/// Lists the ids of the live runs that were created after a time, or of all, newest first.
pub(crate) fn created_after(
    connection: &Connection,
    kind: RunKind,
    after: Option<UnixMs>,
) -> rusqlite::Result<Vec<String>> {
    // Those without a time are in the whole list only.
    let condition = match after {
        Some(_) => "created_ms > ?2",
        None => "?2 IS NULL",
    };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT id FROM runs WHERE kind = ?1 AND gone_ms IS NULL AND {condition}
         ORDER BY created_ms DESC, id DESC"
    ))?;
    let ids = statement.query_map(params![kind.name(), after.map(|at| at.0)], |row| row.get(0))?;
    ids.collect()
}
