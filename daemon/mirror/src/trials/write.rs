//! Trials: how a run's whole list or one of them is written, and how one is read.

use docks_proto::object::{Lifecycle, RawObject, lifecycle};
use docks_proto::time::UnixMs;
use rusqlite::{Connection, OptionalExtension, params};

use crate::history::events::{Change, record, signed};
use crate::merge_policy::{Verdict, judge};
use crate::trials::positions::place;
use crate::trials::rows::{
    Arrival, Found, find, grow, insert, last_of_each, last_position, list, match_stored, update,
};
use crate::trials::vocabulary::Words;
use crate::{Provenance, Resource, StoredObject, Subject, WriteSummary};
use docks_proto::freshness::Validator;

/// Trials that arrived together, or one by itself, with what is read from them.
pub(crate) struct TrialBatch {
    run: String,
    arrivals: Vec<Arrival>,
    words: Words,
    pub(crate) at: UnixMs,
    pub(crate) learned: Provenance,
    /// Trials that have not ended.
    active: u64,
}

impl TrialBatch {
    /// Reads the objects. Whoever brings them does that, and not the one thread that writes.
    pub(crate) fn new(run: &str, objects: Vec<RawObject>, at: UnixMs, learned: Provenance) -> Self {
        let arrivals = last_of_each(objects);
        let mut words = Words::default();
        let mut active = 0;
        for arrival in &arrivals {
            words.note(&arrival.columns);
            active += u64::from(lifecycle(&arrival.columns.status) == Lifecycle::Active);
        }
        Self {
            run: run.to_owned(),
            arrivals,
            words,
            at,
            learned,
            active,
        }
    }
}

/// Writes a run's whole list; those missing from it become tombstones.
pub(crate) fn put_all(
    connection: &Connection,
    mut batch: TrialBatch,
    validator: Option<&Validator>,
) -> rusqlite::Result<WriteSummary> {
    let list = list(connection, &batch.run)?;
    let mut changed = WriteSummary {
        active: batch.active,
        ..WriteSummary::default()
    };
    if list.confirmed_ms.is_some_and(|at| batch.at.0 < at) {
        changed.unchanged = batch.arrivals.len() as u64;
        return Ok(changed);
    }
    if batch.arrivals.is_empty() && list.rows > 0 {
        changed.ignored_empty_list = true;
        return Ok(changed);
    }
    let missing = match_stored(connection, list.seq, &mut batch.arrivals)?;
    let batch = &batch;
    let old: Vec<_> = batch
        .arrivals
        .iter()
        .map(|a| a.found.as_ref().map(|f| f.position))
        .collect();
    for (arrival, position) in batch.arrivals.iter().zip(place(&old)) {
        put(connection, list.seq, batch, arrival, position, &mut changed)?;
    }
    batch.words.remember(connection)?;
    for seq in missing {
        // What a request after this one's beginning showed is there.
        changed.removed += connection
            .prepare_cached(
                "UPDATE trials SET gone_ms = ?2
                 WHERE seq = ?1 AND gone_ms IS NULL AND observed_ms <= ?2",
            )?
            .execute([seq, batch.at.0])? as u64;
    }
    let revived = batch.arrivals.iter().filter(|a| a.revived(batch)).count();
    let rows = signed(changed.inserted) - signed(changed.removed) + signed(revived as u64);
    grow(connection, list.seq, rows)?;
    // Under a doubt the whole answer must come again, not "as before".
    let validator = validator.filter(|_| changed.deferred == 0);
    confirm(connection, &batch.run, batch.at.0, validator)?;
    Ok(changed)
}

/// Writes one trial; where the list has it not yet, it comes last.
pub(crate) fn put_one(
    connection: &Connection,
    mut batch: TrialBatch,
) -> rusqlite::Result<WriteSummary> {
    let list = list(connection, &batch.run)?;
    let mut changed = WriteSummary {
        active: batch.active,
        ..WriteSummary::default()
    };
    let arrivals = std::mem::take(&mut batch.arrivals);
    let batch = &batch;
    for mut arrival in arrivals {
        arrival.found = find(connection, list.seq, &arrival)?;
        if let Some(found) = &mut arrival.found
            && found.known.gone_ms.is_none()
        {
            let listed = list.confirmed_ms.unwrap_or(i64::MIN);
            found.known.confirmed_ms = found.known.confirmed_ms.max(listed);
        }
        let position = match &arrival.found {
            Some(found) => found.position,
            None => last_position(connection, list.seq)?,
        };
        put(
            connection,
            list.seq,
            batch,
            &arrival,
            position,
            &mut changed,
        )?;
        batch.words.remember(connection)?;
        if let Some(found) = &arrival.found
            && found.known.same_text
            && changed.unchanged > 0
        {
            connection
                .prepare_cached(
                    "UPDATE trials SET observed_ms = max(observed_ms, ?2) WHERE seq = ?1",
                )?
                .execute([found.seq, batch.at.0])?;
        }
        let grown = signed(changed.inserted) + i64::from(arrival.revived(batch));
        grow(connection, list.seq, grown)?;
    }
    Ok(changed)
}

impl Arrival {
    fn verdict(&self, batch: &TrialBatch) -> Option<Verdict> {
        let known = &self.found.as_ref()?.known;
        let (status, at) = (&self.columns.status, batch.at.0);
        Some(judge(known, status, self.times, at, batch.learned))
    }

    fn revived(&self, batch: &TrialBatch) -> bool {
        let gone = |found: &Found| found.known.gone_ms.is_some();
        self.found.as_ref().is_some_and(gone) && self.verdict(batch) == Some(Verdict::Replace)
    }
}

fn put(
    connection: &Connection,
    list: i64,
    batch: &TrialBatch,
    arrival: &Arrival,
    position: i64,
    changed: &mut WriteSummary,
) -> rusqlite::Result<()> {
    let status = &arrival.columns.status;
    let from = match (&arrival.found, arrival.verdict(batch)) {
        (Some(found), Some(verdict)) => {
            if verdict == Verdict::Replace {
                update(connection, batch, arrival, found, position)?;
                changed.updated += 1;
            } else {
                settle(connection, batch, found, verdict, position)?;
                match verdict {
                    Verdict::Doubt => changed.deferred += 1,
                    _ => changed.unchanged += 1,
                }
                return Ok(());
            }
            Some(found.known.status.as_str())
        }
        _ => {
            insert(connection, list, batch, arrival, position)?;
            changed.inserted += 1;
            None
        }
    };
    changed.events += record(
        connection,
        &Change {
            subject: Subject::Trial,
            run: &batch.run,
            trial: Some(&arrival.columns.id),
            from,
            to: status,
            own_ms: arrival.times.of_change(status, from.is_none()),
            observed_ms: batch.at.0,
            learned: batch.learned,
        },
    )?;
    Ok(())
}

/// Writes what changes of a trial whose stored text stays: nothing, as a rule.
fn settle(
    connection: &Connection,
    batch: &TrialBatch,
    found: &Found,
    verdict: Verdict,
    position: i64,
) -> rusqlite::Result<()> {
    let doubt = match verdict {
        Verdict::Doubt => found.known.doubt_ms.or(Some(batch.at.0)),
        Verdict::Same => None,
        _ => found.known.doubt_ms,
    };
    if position == found.position && doubt == found.known.doubt_ms {
        return Ok(());
    }
    connection
        .prepare_cached("UPDATE trials SET position = ?2, doubt_ms = ?3 WHERE seq = ?1")?
        .execute(params![found.seq, position, doubt])
        .map(drop)
}

/// Stores that a run's whole list was confirmed; what is older changes nothing.
///
/// The run's trials are due no more, unless it ended after they were asked for.
pub(crate) fn confirm(
    connection: &Connection,
    run: &str,
    at_ms: i64,
    validator: Option<&Validator>,
) -> rusqlite::Result<()> {
    crate::observation_window::note(connection, &Resource::Trials(run.to_owned()), UnixMs(at_ms))?;
    connection
        .prepare_cached(
            "INSERT INTO trial_list (run, confirmed_ms, validator) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET confirmed_ms = excluded.confirmed_ms,
               validator = excluded.validator
             WHERE confirmed_ms IS NULL OR excluded.confirmed_ms >= confirmed_ms",
        )?
        .execute(params![run, at_ms, validator.map(|v| &v.0)])?;
    connection
        .prepare_cached(
            "UPDATE runs SET trials_due = 0
             WHERE kind = 'evaluation' AND id = ?1 AND trials_due = 1
               AND (active = 1 OR changed_ms <= ?2)",
        )?
        .execute(params![run, at_ms])
        .map(drop)
}

/// Reads when a run's whole list was confirmed.
pub(crate) fn confirmed_ms(connection: &Connection, run: &str) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT confirmed_ms FROM trial_list WHERE run = ?1")?
        .query_row([run], |row| row.get(0))
        .optional()
        .map(Option::flatten)
}

/// Reads one trial, also a tombstone.
pub(crate) fn get(
    connection: &Connection,
    run: &str,
    trial: &str,
) -> rusqlite::Result<Option<StoredObject>> {
    connection
        .prepare_cached(
            "SELECT t.id, t.body, t.status,
               CASE WHEN t.gone_ms IS NULL
                 THEN max(t.observed_ms, coalesce(l.confirmed_ms, t.observed_ms))
                 ELSE t.observed_ms END,
               t.gone_ms
             FROM trials t JOIN trial_list l ON l.seq = t.list
             WHERE l.run = ?1 AND t.id = ?2",
        )?
        .query_row([run, trial], crate::runs::stored)
        .optional()
}
