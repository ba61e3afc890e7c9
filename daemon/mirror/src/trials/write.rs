//! Writes the trials of a run: its whole list, or one of them.

use docks_proto::freshness::Validator;
use rusqlite::Connection;

use super::batch::{IncomingTrial, StoredTrial, TrialBatch};
use super::positions::assign_positions;
use super::rows::{
    find_stored, insert, match_stored, position_at_end, set_observed, set_position_and_reopening,
    tombstone, update,
};
use super::trial_list;
use crate::history::{StatusChange, Subject, record};
use crate::merge_policy::MergeDecision;
use crate::provenance::Provenance;
use crate::sql_int::to_sql_int;
use crate::write_summary::WriteSummary;

/// Replaces a run's whole list; trials missing from the batch become tombstones.
///
/// A batch older than the stored list changes nothing, and neither does an empty one for a run
/// that has trials.
pub(crate) fn replace_all(
    connection: &Connection,
    mut batch: TrialBatch,
    validator: Option<&Validator>,
) -> rusqlite::Result<WriteSummary> {
    let list = trial_list::get_or_insert(connection, &batch.run)?;
    let mut summary = WriteSummary {
        active: batch.active,
        ..WriteSummary::default()
    };
    if list.confirmed_ms.is_some_and(|at| batch.at.0 < at) {
        summary.unchanged = batch.trials.len() as u64;
        return Ok(summary);
    }
    if batch.trials.is_empty() && list.rows > 0 {
        summary.ignored_empty_list = true;
        return Ok(summary);
    }
    let missing = match_stored(connection, list.seq, &mut batch.trials)?;
    let batch = &batch;
    let old_positions: Vec<_> = batch
        .trials
        .iter()
        .map(|trial| trial.stored.as_ref().map(|stored| stored.position))
        .collect();
    for (trial, position) in batch.trials.iter().zip(assign_positions(&old_positions)) {
        upsert(connection, list.seq, batch, trial, position, &mut summary)?;
    }
    batch.vocabulary.store(connection)?;
    for seq in missing {
        summary.removed += tombstone(connection, seq, batch.at)?;
    }
    count_rows(connection, list.seq, batch, &summary)?;
    // While a reopening is pending the mirror has what was before, and the remote must send the whole list again.
    if summary.deferred == 0 {
        // Reported changes have a run together with its trials.
        let with_run = batch.provenance == Provenance::Event;
        trial_list::confirm(connection, &batch.run, batch.at.0, validator, with_run)?;
    }
    Ok(summary)
}

/// Adds what a write of some trials changed to the number of live ones.
pub(super) fn count_rows(
    connection: &Connection,
    list: i64,
    batch: &TrialBatch,
    summary: &WriteSummary,
) -> rusqlite::Result<()> {
    let trials = batch.trials.iter();
    let revived = trials.filter(|trial| trial.is_revived(batch.at, batch.provenance));
    let revived = to_sql_int(revived.count() as u64);
    let added = to_sql_int(summary.inserted) - to_sql_int(summary.removed) + revived;
    trial_list::add_rows(connection, list, added)
}

/// Inserts or updates one trial; a new one goes to the end of the list.
pub(crate) fn upsert_one(
    connection: &Connection,
    mut batch: TrialBatch,
) -> rusqlite::Result<WriteSummary> {
    let list = trial_list::get_or_insert(connection, &batch.run)?;
    let mut summary = WriteSummary {
        active: batch.active,
        ..WriteSummary::default()
    };
    let trials = std::mem::take(&mut batch.trials);
    let batch = &batch;
    for mut trial in trials {
        trial.stored = find_stored(connection, list.seq, &trial)?;
        if let Some(stored) = &mut trial.stored
            && stored.state.gone_ms.is_none()
        {
            let listed_ms = list.confirmed_ms.unwrap_or(i64::MIN);
            stored.state.confirmed_ms = stored.state.confirmed_ms.max(listed_ms);
        }
        let position = match &trial.stored {
            Some(stored) => stored.position,
            None => position_at_end(connection, list.seq)?,
        };
        upsert(connection, list.seq, batch, &trial, position, &mut summary)?;
        batch.vocabulary.store(connection)?;
        if let Some(stored) = &trial.stored
            && stored.state.same_text
            && summary.unchanged > 0
        {
            set_observed(connection, stored.seq, batch.at)?;
        }
        let revived = trial.is_revived(batch.at, batch.provenance);
        let added = to_sql_int(summary.inserted) + i64::from(revived);
        trial_list::add_rows(connection, list.seq, added)?;
        if summary.inserted + summary.updated > 0 {
            // The list is no longer the version that its validator stands for.
            trial_list::forget_validator(connection, list.seq)?;
        }
    }
    Ok(summary)
}

/// Writes one trial and its history; adds what that changed to `summary`.
pub(super) fn upsert(
    connection: &Connection,
    list: i64,
    batch: &TrialBatch,
    trial: &IncomingTrial,
    position: i64,
    summary: &mut WriteSummary,
) -> rusqlite::Result<()> {
    let from = match (&trial.stored, trial.decision(batch.at, batch.provenance)) {
        (Some(stored), Some(MergeDecision::Replace)) => {
            update(connection, stored.seq, batch.at, trial, position)?;
            summary.updated += 1;
            Some(stored.state.status.as_str())
        }
        (Some(stored), Some(decision)) => {
            match decision {
                MergeDecision::DeferReopening => summary.deferred += 1,
                _ => summary.unchanged += 1,
            }
            return keep_stored(connection, batch, stored, decision, position);
        }
        _ => {
            insert(connection, list, batch.at, trial, position)?;
            summary.inserted += 1;
            None
        }
    };
    let status = &trial.columns.status;
    summary.events += record(
        connection,
        &StatusChange {
            subject: Subject::Trial,
            run: &batch.run,
            trial: Some(&trial.columns.id),
            from,
            to: status,
            own_ms: trial.times.entered_status_ms(status, from.is_none()),
            observed_ms: batch.at.0,
            provenance: batch.provenance,
        },
    )?;
    Ok(())
}

/// Writes what changes of a trial whose stored text is kept, which usually is nothing.
fn keep_stored(
    connection: &Connection,
    batch: &TrialBatch,
    stored: &StoredTrial,
    decision: MergeDecision,
    position: i64,
) -> rusqlite::Result<()> {
    let before = stored.state.reopening_seen_ms;
    let reopening_seen_ms = match decision {
        MergeDecision::DeferReopening => before.or(Some(batch.at.0)),
        MergeDecision::Unchanged => None,
        _ => before,
    };
    if position == stored.position && reopening_seen_ms == before {
        return Ok(());
    }
    set_position_and_reopening(connection, stored.seq, position, reopening_seen_ms)
}
