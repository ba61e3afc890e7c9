//! Sweeps: which rows a walk through a whole list did not see, and tombstones.

use std::collections::HashMap;

use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use rusqlite::{Connection, params};

use crate::MirrorError;

/// The sweep under way of each kind. It is kept in memory: a restart ends it, and the next
/// one begins anew, which costs less than a write per row that was seen.
#[derive(Debug, Default)]
pub(crate) struct Sweeps {
    last: u64,
    under_way: HashMap<RunKind, Sweep>,
}

#[derive(Debug)]
struct Sweep {
    number: u64,
    /// One bit per row number: 125 kB for a million runs.
    seen: Vec<u64>,
}

impl Sweeps {
    /// Begins a sweep; one of the same kind that is under way ends unheard.
    pub(crate) fn begin(&mut self, kind: RunKind) -> u64 {
        self.last += 1;
        let sweep = Sweep {
            number: self.last,
            seen: Vec::new(),
        };
        self.under_way.insert(kind, sweep);
        self.last
    }

    /// Notes that the remote showed a row, in whatever answer. That a transaction may be
    /// taken back later does no harm: too much seen only buries less.
    pub(crate) fn mark(&mut self, kind: RunKind, seq: i64) {
        let Some(sweep) = self.under_way.get_mut(&kind) else {
            return;
        };
        let (word, bit) = place(seq);
        if sweep.seen.len() <= word {
            sweep.seen.resize(word + 1, 0);
        }
        sweep.seen[word] |= bit;
    }

    /// Lists the live rows that were not seen since the sweep began.
    pub(crate) fn unseen(
        &self,
        connection: &Connection,
        kind: RunKind,
        number: u64,
    ) -> Result<Vec<String>, MirrorError> {
        let sweep = self
            .under_way
            .get(&kind)
            .filter(|sweep| sweep.number == number)
            .ok_or(MirrorError::NoSuchSweep(number))?;
        sweep
            .unseen(connection, kind)
            .map_err(MirrorError::during("list the runs that a sweep missed"))
    }
}

impl Sweep {
    fn saw(&self, seq: i64) -> bool {
        let (word, bit) = place(seq);
        self.seen.get(word).is_some_and(|bits| bits & bit != 0)
    }

    fn unseen(&self, connection: &Connection, kind: RunKind) -> rusqlite::Result<Vec<String>> {
        let mut statement = connection.prepare_cached(
            "SELECT seq, id FROM runs WHERE kind = ?1 AND gone_ms IS NULL
             ORDER BY created_ms DESC, id DESC",
        )?;
        let mut rows = statement.query([kind.name()])?;
        let mut missed = Vec::new();
        while let Some(row) = rows.next()? {
            if !self.saw(row.get(0)?) {
                missed.push(row.get(1)?);
            }
        }
        Ok(missed)
    }
}

fn place(seq: i64) -> (usize, u64) {
    let seq = usize::try_from(seq).expect("row numbers count up from 1");
    (seq / 64, 1 << (seq % 64))
}

/// Makes a tombstone of a live row, unless the remote showed it after the proof.
pub(crate) fn entomb(
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
