//! The current state of objects, with which an event stream begins.

use docks_proto::event::{EventQuery, MAX_RUNS_WITH_TRIALS, ObjectKind, ObjectState, Progress};
use docks_proto::routes::RunKind;
use rusqlite::{Connection, OptionalExtension, params};

use crate::digest::sound_text;
use crate::history::{HistoryBounds, matches_query, read_bounds};
use crate::progress::progress_of_run;
use crate::sql_int::to_sql_int;
use crate::stored_object::parse_stored_text;

/// Active runs of each kind that a query without run ids gets at most.
const MAX_ACTIVE_RUNS: u64 = 10_000;

/// The current state of objects, and the range of the history that led to it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StateSnapshot {
    /// The range of the history at that moment.
    pub bounds: HistoryBounds,
    /// Runs, then trials.
    pub objects: Vec<ObjectState>,
    /// Counts of the runs that the query names.
    pub progress: Vec<Progress>,
}

/// Reads the objects that the query selects.
///
/// Runs that the query names are included whatever their status; their trials too, unless the
/// query names more than [`MAX_RUNS_WITH_TRIALS`] runs. A query without run ids gets all active
/// runs.
pub(crate) fn read(connection: &Connection, query: &EventQuery) -> rusqlite::Result<StateSnapshot> {
    let mut snapshot = StateSnapshot {
        bounds: read_bounds(connection)?,
        ..StateSnapshot::default()
    };
    let selects_kind = |kind: ObjectKind| query.kinds.is_empty() || query.kinds.contains(&kind);
    for kind in RunKind::ALL
        .into_iter()
        .filter(|kind| selects_kind((*kind).into()))
    {
        if query.runs.is_empty() {
            snapshot.objects.extend(active_runs(connection, kind)?);
        }
        for run in &query.runs {
            snapshot.objects.extend(run_state(connection, kind, run)?);
        }
    }
    if selects_kind(ObjectKind::Trial) && query.runs.len() <= MAX_RUNS_WITH_TRIALS {
        for run in &query.runs {
            snapshot.objects.extend(trial_states(connection, run)?);
        }
    }
    snapshot
        .objects
        .retain(|o| matches_query(query, o.kind, &o.run_id, &o.status));
    for run in &query.runs {
        snapshot.progress.extend(progress_of_run(connection, run)?);
    }
    Ok(snapshot)
}

fn active_runs(connection: &Connection, kind: RunKind) -> rusqlite::Result<Vec<ObjectState>> {
    let mut statement = connection.prepare_cached(
        "SELECT body, digest FROM runs INDEXED BY runs_active
         WHERE kind = ?1 AND active = 1 AND gone_ms IS NULL
         ORDER BY created_ms, id LIMIT ?2",
    )?;
    let rows = statement.query_map(params![kind.name(), to_sql_int(MAX_ACTIVE_RUNS)], |row| {
        sound_text(row, 0).map(str::to_owned)
    })?;
    let mut states = Vec::new();
    for text in rows {
        let object = parse_stored_text(&text?);
        states.extend(object.map(|object| ObjectState::from_run(kind, &object)));
    }
    Ok(states)
}

fn run_state(
    connection: &Connection,
    kind: RunKind,
    id: &str,
) -> rusqlite::Result<Option<ObjectState>> {
    let text: Option<String> = connection
        .prepare_cached(
            "SELECT body, digest FROM runs WHERE kind = ?1 AND id = ?2 AND gone_ms IS NULL",
        )?
        .query_row([kind.name(), id], |row| {
            sound_text(row, 0).map(str::to_owned)
        })
        .optional()?;
    let object = text.and_then(|text| parse_stored_text(&text));
    Ok(object.map(|object| ObjectState::from_run(kind, &object)))
}

fn trial_states(connection: &Connection, run: &str) -> rusqlite::Result<Vec<ObjectState>> {
    let mut statement = connection.prepare_cached(
        "SELECT t.body, t.digest FROM trial_list l JOIN trials t ON t.list = l.seq
         WHERE l.run = ?1 AND t.gone_ms IS NULL ORDER BY t.position",
    )?;
    let rows = statement.query_map([run], |row| sound_text(row, 0).map(str::to_owned))?;
    let mut states = Vec::new();
    for text in rows {
        let object = parse_stored_text(&text?);
        states.extend(object.map(|object| ObjectState::from_trial(run, &object)));
    }
    Ok(states)
}
