//! Sweeps: walks through a whole list, to find the rows that the remote no longer shows.

use std::collections::{BTreeMap, HashMap};

use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use rusqlite::{Connection, params};

use crate::error::MirrorError;

/// The sweep of each kind that is in progress.
///
/// Kept in memory only: after a restart the next sweep starts over, which costs less than a write
/// per row that was seen.
#[derive(Debug, Default)]
pub(crate) struct Sweeps {
    last_number: u64,
    in_progress: HashMap<RunKind, Sweep>,
}

#[derive(Debug)]
struct Sweep {
    number: u64,
    /// One bit per row number, in words: half a megabyte for a million runs. Sparse, since the number of a
    /// damaged row may be anything.
    seen: BTreeMap<i64, u64>,
}

impl Sweeps {
    /// Begins a sweep and returns its number; a sweep of the same kind in progress is dropped.
    pub(crate) fn begin(&mut self, kind: RunKind) -> u64 {
        self.last_number += 1;
        let sweep = Sweep {
            number: self.last_number,
            seen: BTreeMap::new(),
        };
        self.in_progress.insert(kind, sweep);
        self.last_number
    }

    /// Marks a row that any response showed.
    ///
    /// The mark stays even if the transaction is rolled back: over-marking only means fewer
    /// tombstones.
    pub(crate) fn mark_seen(&mut self, kind: RunKind, seq: i64) {
        let Some(sweep) = self.in_progress.get_mut(&kind) else {
            return;
        };
        let (word, bit) = bit_position(seq);
        *sweep.seen.entry(word).or_default() |= bit;
    }

    /// Lists the live runs that no response showed since the sweep began, newest first.
    ///
    /// # Errors
    ///
    /// [`MirrorError::NoSuchSweep`] when this sweep is not in progress.
    pub(crate) fn missed_runs(
        &self,
        connection: &Connection,
        kind: RunKind,
        number: u64,
    ) -> Result<Vec<String>, MirrorError> {
        let sweep = self
            .in_progress
            .get(&kind)
            .filter(|sweep| sweep.number == number)
            .ok_or(MirrorError::NoSuchSweep(number))?;
        sweep
            .missed_runs(connection, kind)
            .map_err(MirrorError::during("list the runs that a sweep missed"))
    }
}

impl Sweep {
    fn has_seen(&self, seq: i64) -> bool {
        let (word, bit) = bit_position(seq);
        self.seen.get(&word).is_some_and(|bits| bits & bit != 0)
    }

    fn missed_runs(&self, connection: &Connection, kind: RunKind) -> rusqlite::Result<Vec<String>> {
        let mut statement = connection.prepare_cached(
            "SELECT seq, id FROM runs WHERE kind = ?1 AND gone_ms IS NULL
             ORDER BY created_ms DESC, id DESC",
        )?;
        let mut rows = statement.query([kind.name()])?;
        let mut missed = Vec::new();
        while let Some(row) = rows.next()? {
            if !self.has_seen(row.get(0)?) {
                missed.push(row.get(1)?);
            }
        }
        Ok(missed)
    }
}

/// Returns the word and the bit within it that represent a row.
fn bit_position(seq: i64) -> (i64, u64) {
    (seq.div_euclid(64), 1 << seq.rem_euclid(64))
}

/// Turns a live run into a tombstone, unless a response showed it after `at`.
pub(crate) fn tombstone(
    connection: &Connection,
    kind: RunKind,
    id: &str,
    at: UnixMs,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE runs SET gone_ms = ?3 WHERE kind = ?1 AND id = ?2 AND gone_ms IS NULL
               AND ?3 >= coalesce((SELECT o.at_ms FROM run_seen s
                 JOIN observation o ON o.seq = s.observation WHERE s.run = runs.seq), ?3)",
        )?
        .execute(params![kind.name(), id, at.0])
        .map(drop)
}
