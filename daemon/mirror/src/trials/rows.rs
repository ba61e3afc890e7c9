//! The rows of trials: how they are found, inserted and updated.

use std::collections::HashMap;
use std::sync::LazyLock;

use docks_proto::object::RawObject;
use docks_proto::time::UnixMs;
use rusqlite::types::{ToSql, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::batch::{IncomingTrial, StoredTrial};
use super::positions::assign_positions;
use super::vocabulary::Vocabulary;
use crate::digest;
use crate::merge_policy::{ObjectTimes, StoredState};

const STORED_COLUMNS: &str = "seq, id, position, status, created_ms, started_ms, completed_ms, \
                              observed_ms, gone_ms, doubt_ms, body";

/// Reads [`STORED_COLUMNS`]; `text` is the text that arrived.
fn stored_from_row(row: &Row<'_>, text: &str) -> rusqlite::Result<StoredTrial> {
    Ok(StoredTrial {
        seq: row.get(0)?,
        position: row.get(2)?,
        state: StoredState {
            status: row.get(3)?,
            times: ObjectTimes {
                created_ms: row.get(4)?,
                started_ms: row.get(5)?,
                updated_ms: None,
                completed_ms: row.get(6)?,
            },
            confirmed_ms: row.get(7)?,
            gone_ms: row.get(8)?,
            reopening_seen_ms: row.get(9)?,
            same_text: row.get_ref(10)?.as_bytes()? == text.as_bytes(),
        },
    })
}

/// Finds the stored row of one trial.
pub(super) fn find_stored(
    connection: &Connection,
    list: i64,
    trial: &IncomingTrial,
) -> rusqlite::Result<Option<StoredTrial>> {
    connection
        .prepare_cached(&format!(
            "SELECT {STORED_COLUMNS} FROM trials WHERE list = ?1 AND id = ?2"
        ))?
        .query_row(params![list, trial.columns.id], |row| {
            stored_from_row(row, trial.object.text())
        })
        .optional()
}

/// Finds the stored rows of all trials in one scan; returns the live rows that none of them matches.
pub(super) fn match_stored(
    connection: &Connection,
    list: i64,
    trials: &mut [IncomingTrial],
) -> rusqlite::Result<Vec<i64>> {
    let mut missing = Vec::new();
    let mut matched = Vec::new();
    let mut index_of_id: HashMap<&str, usize> = HashMap::new();
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {STORED_COLUMNS} FROM trials WHERE list = ?1"
    ))?;
    let mut rows = statement.query([list])?;
    while let Some(row) = rows.next()? {
        // Filled at the first row only: most lists arrive for the first time and have none.
        if index_of_id.is_empty() {
            let ids = trials.iter().map(|trial| trial.columns.id.as_str());
            index_of_id = ids.zip(0..).collect();
        }
        match index_of_id.get(row.get_ref(1)?.as_str()?) {
            Some(&index) => {
                matched.push((index, stored_from_row(row, trials[index].object.text())?));
            }
            None if row.get_ref(8)? == ValueRef::Null => missing.push(row.get(0)?),
            None => {}
        }
    }
    for (index, stored) in matched {
        trials[index].stored = Some(stored);
    }
    Ok(missing)
}

/// Returns the position after the last trial of a list.
pub(super) fn position_at_end(connection: &Connection, list: i64) -> rusqlite::Result<i64> {
    let last: Option<i64> = connection
        .prepare_cached("SELECT max(position) FROM trials WHERE list = ?1")?
        .query_row([list], |row| row.get(0))?;
    let positions = assign_positions(&[last, None]);
    Ok(*positions.last().expect("two positions were assigned"))
}

/// Columns that are read from a trial's text, in the order of [`derived_values`].
pub(crate) const DERIVED_COLUMNS: [&str; 16] = [
    "name",
    "task",
    "agent",
    "model",
    "status",
    "error",
    "created_ms",
    "started_ms",
    "completed_ms",
    "reward",
    "duration_s",
    "cost_usd",
    "tokens",
    "tests_passed",
    "artifacts",
    FACTS_COLUMN,
];

/// What figures are made of, as [`docks_statistics::trial::encode`] writes it; no value in rows that an earlier release
/// wrote, until the next sweep.
pub(crate) const FACTS_COLUMN: &str = "facts";

/// Columns written besides those, in the order in which [`insert`] and [`update`] give their values.
const OTHER_COLUMNS: [&str; 3] = ["position", "body", "digest"];

static INSERT: LazyLock<String> = LazyLock::new(|| {
    let written = DERIVED_COLUMNS.iter().chain(&OTHER_COLUMNS);
    let columns = written.copied().collect::<Vec<_>>().join(", ");
    let placeholders = ", ?".repeat(DERIVED_COLUMNS.len() + OTHER_COLUMNS.len());
    format!("INSERT INTO trials (list, id, observed_ms, {columns}) VALUES (?, ?, ?{placeholders})")
});

static UPDATE: LazyLock<String> = LazyLock::new(|| {
    let written = DERIVED_COLUMNS.iter().chain(&OTHER_COLUMNS);
    let columns: Vec<String> = written.map(|column| format!("{column} = ?")).collect();
    format!(
        "UPDATE trials SET observed_ms = max(observed_ms, ?), {}, gone_ms = NULL,
           doubt_ms = NULL WHERE seq = ?",
        columns.join(", ")
    )
});

pub(super) fn derived_values(trial: &IncomingTrial) -> [&dyn ToSql; DERIVED_COLUMNS.len()] {
    let (columns, times) = (&trial.columns, &trial.times);
    [
        &columns.name,
        &columns.task,
        &columns.agent,
        &columns.model,
        &columns.status,
        &columns.error,
        &times.created_ms,
        &times.started_ms,
        &times.completed_ms,
        &columns.reward,
        &columns.duration_s,
        &columns.cost_usd,
        &columns.tokens,
        &columns.tests_passed,
        &columns.artifacts,
        &trial.facts,
    ]
}

/// Passes the values of the columns that are read from a trial's text, and adds its words to `vocabulary`.
pub(crate) fn with_derived_values<T>(
    object: RawObject,
    vocabulary: &mut Vocabulary,
    use_values: impl FnOnce(&[&dyn ToSql]) -> T,
) -> T {
    let trial = IncomingTrial::from_object(object);
    vocabulary.add_trial(&trial.columns);
    use_values(&derived_values(&trial))
}

/// Inserts a trial that was observed at `at`.
pub(super) fn insert(
    connection: &Connection,
    list: i64,
    at: UnixMs,
    trial: &IncomingTrial,
    position: i64,
) -> rusqlite::Result<()> {
    let key: [&dyn ToSql; 3] = [&list, &trial.columns.id, &at.0];
    let text = trial.object.text();
    let digest = digest::of_text(text.as_bytes());
    let others: [&dyn ToSql; 3] = [&position, &text, &digest];
    let all = key.into_iter().chain(derived_values(trial)).chain(others);
    connection
        .prepare_cached(&INSERT)?
        .execute(params_from_iter(all))
        .map(drop)
}

/// Replaces the row `seq` by a trial that was observed at `at`; a tombstone is revived.
pub(super) fn update(
    connection: &Connection,
    seq: i64,
    at: UnixMs,
    trial: &IncomingTrial,
    position: i64,
) -> rusqlite::Result<()> {
    let observed: &dyn ToSql = &at.0;
    let seq: &dyn ToSql = &seq;
    let text = trial.object.text();
    let digest = digest::of_text(text.as_bytes());
    let others: [&dyn ToSql; 4] = [&position, &text, &digest, seq];
    let all = [observed].into_iter().chain(derived_values(trial));
    let all = all.chain(others);
    connection
        .prepare_cached(&UPDATE)?
        .execute(params_from_iter(all))
        .map(drop)
}

/// Moves the time at which a trial was last observed forward to `at`.
pub(super) fn set_observed(connection: &Connection, seq: i64, at: UnixMs) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE trials SET observed_ms = max(observed_ms, ?2) WHERE seq = ?1")?
        .execute([seq, at.0])
        .map(drop)
}

/// Writes what may change of a trial whose stored text is kept.
pub(super) fn set_position_and_reopening(
    connection: &Connection,
    seq: i64,
    position: i64,
    reopening_seen_ms: Option<i64>,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE trials SET position = ?2, doubt_ms = ?3 WHERE seq = ?1")?
        .execute(params![seq, position, reopening_seen_ms])
        .map(drop)
}

/// Turns a live trial into a tombstone, unless it was observed after `at`.
///
/// Returns the number of rows that changed: 0 or 1.
pub(super) fn tombstone(connection: &Connection, seq: i64, at: UnixMs) -> rusqlite::Result<u64> {
    connection
        .prepare_cached(
            "UPDATE trials SET gone_ms = ?2
             WHERE seq = ?1 AND gone_ms IS NULL AND observed_ms <= ?2",
        )?
        .execute([seq, at.0])
        .map(|changed| changed as u64)
}
