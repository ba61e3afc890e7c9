//! Writes what changed in a run's trials, without reading the others.

use std::collections::{BTreeMap, BTreeSet};

use docks_proto::freshness::Validator;
use docks_proto::trial_changes::TrialPlace;
use rusqlite::{Connection, OptionalExtension, params};

use super::batch::ChangeBatch;
use super::positions::position_between;
use super::rows::{find_stored, tombstone};
use super::trial_list;
use super::write::{count_rows, upsert};
use crate::merge_policy::MergeDecision;
use crate::write_summary::WriteSummary;

/// Applies changes to the version of a run's list that they begin with; trials that it no longer contains become
/// tombstones.
///
/// Changes nothing and sets [`WriteSummary::has_other_base`] unless the outcome is the list that `validator` stands for.
/// Changes older than the stored list change nothing, either.
pub(crate) fn apply_changes(
    connection: &Connection,
    mut changes: ChangeBatch,
    validator: &Validator,
) -> rusqlite::Result<WriteSummary> {
    let run = changes.batch.run.clone();
    let list = trial_list::get_or_insert(connection, &run)?;
    let at = changes.batch.at;
    let mut summary = WriteSummary {
        active: changes.batch.active,
        ..WriteSummary::default()
    };
    if list.confirmed_ms.is_some_and(|confirmed| at.0 < confirmed) {
        summary.unchanged = changes.batch.trials.len() as u64;
        return Ok(summary);
    }
    // Everything is looked up before anything is written, so that giving up leaves the list as it is.
    let rows = if list.validator.as_ref() == Some(&changes.base) {
        find_rows(connection, list.seq, &mut changes)?
    } else {
        None
    };
    let Some(Rows { positions, removed }) = rows else {
        summary.has_other_base = true;
        return Ok(summary);
    };
    let batch = &changes.batch;
    for (trial, position) in batch.trials.iter().zip(positions) {
        upsert(connection, list.seq, batch, trial, position, &mut summary)?;
    }
    batch.vocabulary.store(connection)?;
    for seq in removed {
        summary.removed += tombstone(connection, seq, at)?;
    }
    count_rows(connection, list.seq, batch, &summary)?;
    trial_list::confirm(connection, &run, at.0, Some(validator), true)?;
    Ok(summary)
}

/// The rows that changes write.
struct Rows {
    /// The position of each changed trial.
    positions: Vec<i64>,
    /// The trials that the list no longer contains.
    removed: BTreeSet<i64>,
}

/// Looks up what the changes write; `None` if they do not fit what is stored.
fn find_rows(
    connection: &Connection,
    list: i64,
    changes: &mut ChangeBatch,
) -> rusqlite::Result<Option<Rows>> {
    // Of several objects with one id, only the last one is left.
    if changes.places.len() != changes.batch.trials.len() {
        return Ok(None);
    }
    let (at, provenance) = (changes.batch.at, changes.batch.provenance);
    let mut removed = BTreeSet::new();
    for id in &changes.removed {
        match live_row(connection, list, id)? {
            // A response to a later request showed it.
            Some(row) if row.observed_ms > at.0 => return Ok(None),
            Some(row) => removed.insert(row.seq),
            None => return Ok(None),
        };
    }
    let mut positions = Vec::new();
    let mut placed: BTreeMap<&str, i64> = BTreeMap::new();
    // Rows that do not stay where they are.
    let mut leaving = removed.clone();
    for (trial, place) in changes.batch.trials.iter_mut().zip(&changes.places) {
        trial.stored = find_stored(connection, list, trial)?;
        if *place != TrialPlace::Kept {
            leaving.extend(trial.stored.as_ref().map(|stored| stored.seq));
        }
    }
    for (trial, place) in changes.batch.trials.iter().zip(&changes.places) {
        let decision = trial.decision(at, provenance);
        if matches!(
            decision,
            Some(MergeDecision::Stale | MergeDecision::DeferReopening)
        ) {
            return Ok(None);
        }
        let live = trial.stored.as_ref();
        let live = live.filter(|stored| stored.state.gone_ms.is_none());
        let position = match (place, live) {
            (TrialPlace::Kept, live) => live.map(|stored| stored.position),
            (TrialPlace::After(previous), _) => {
                let previous = previous.as_deref();
                position_after(connection, list, previous, &placed, &leaving)?
            }
        };
        let Some(position) = position else {
            return Ok(None);
        };
        placed.insert(&trial.columns.id, position);
        positions.push(position);
    }
    Ok(Some(Rows { positions, removed }))
}

/// Returns a position right after a trial; `None` if there is no such trial, or no room after it.
fn position_after(
    connection: &Connection,
    list: i64,
    previous: Option<&str>,
    placed: &BTreeMap<&str, i64>,
    leaving: &BTreeSet<i64>,
) -> rusqlite::Result<Option<i64>> {
    let before = match previous {
        None => None,
        Some(id) => {
            let position = match placed.get(id) {
                Some(position) => Some(*position),
                None => live_row(connection, list, id)?.map(|row| row.position),
            };
            if position.is_none() {
                return Ok(None);
            }
            position
        }
    };
    let next = next_position(connection, list, before, leaving)?;
    let placed = placed.values().copied();
    let placed = placed.filter(|at| before.is_none_or(|before| *at > before));
    Ok(position_between(before, placed.chain(next).min()))
}

struct LiveRow {
    seq: i64,
    position: i64,
    observed_ms: i64,
}

fn live_row(connection: &Connection, list: i64, id: &str) -> rusqlite::Result<Option<LiveRow>> {
    connection
        .prepare_cached(
            "SELECT seq, position, observed_ms FROM trials
             WHERE list = ?1 AND id = ?2 AND gone_ms IS NULL",
        )?
        .query_row(params![list, id], |row| {
            Ok(LiveRow {
                seq: row.get(0)?,
                position: row.get(1)?,
                observed_ms: row.get(2)?,
            })
        })
        .optional()
}

/// Returns the position of the trial that follows a position, leaving out those that do not stay where they are.
fn next_position(
    connection: &Connection,
    list: i64,
    previous: Option<i64>,
    leaving: &BTreeSet<i64>,
) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, position FROM trials
         WHERE list = ?1 AND position > ?2 AND gone_ms IS NULL ORDER BY position",
    )?;
    let mut rows = statement.query(params![list, previous.unwrap_or(i64::MIN)])?;
    while let Some(row) = rows.next()? {
        if !leaving.contains(&row.get(0)?) {
            return row.get(1).map(Some);
        }
    }
    Ok(None)
}
