//! Looks for damage in the whole file, and mends in place what can be computed again.
//!
//! Reads check the rows they return. What nobody reads, and what only an index or a count says, is
//! checked here: in each full sweep and in the nightly upkeep.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ffi};

use crate::derived_columns::{Table, check_portion, derive_row};
use crate::error::MirrorError;
use crate::history::{EVENT_COLUMNS, EventRow};
use crate::reader_pool::Lane;
use crate::trials::{COUNTED_ROWS, Vocabulary, recount_rows};
use crate::{Mirror, notes};

/// Events that are read at once.
const PORTION: i64 = 5_000;

const DOING: &str = "look for damage";

/// Kinds, statuses and counts of the live runs, counted anew.
const COUNTED_RUNS: &str = "SELECT kind, status, count(*), sum(trials_due) FROM runs
                            WHERE gone_ms IS NULL GROUP BY kind, status";

/// What differs from what it is computed from.
#[derive(Debug, Default)]
struct Outdated {
    rows: Vec<(Table, i64)>,
    run_counts: bool,
    trial_counts: bool,
}

impl Outdated {
    fn is_empty(&self) -> bool {
        self.rows.is_empty() && !self.run_counts && !self.trial_counts
    }
}

/// A check is due again when this many times its own duration has passed, however often sweeps begin.
const PAUSE_FACTOR: u32 = 10;

/// When the last check ended, and how long it took.
#[derive(Debug, Default)]
pub(crate) struct LastCheck(Mutex<Option<(Instant, Duration)>>);

impl LastCheck {
    fn is_due(&self) -> bool {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_none_or(|(end, took)| end.elapsed() >= took * PAUSE_FACTOR)
    }

    fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn record(&self, began: Instant) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some((Instant::now(), began.elapsed()));
    }
}

impl Mirror {
    /// Makes [`Mirror::verify_if_due`] check once more, whenever it last did: somebody asked for all there is.
    pub fn make_check_due(&self) {
        self.inner.last_check.forget();
    }

    /// Does the same as [`Mirror::verify`], unless that was done just before.
    ///
    /// # Errors
    ///
    /// As [`Mirror::verify`].
    pub async fn verify_if_due(&self) -> Result<(), MirrorError> {
        if self.inner.last_check.is_due() {
            self.verify().await?;
        }
        Ok(())
    }

    /// Checks every page, digest, column and count, and mends what can be computed from what is sound.
    ///
    /// Takes about as long as reading the file; other queries and writes go on beside it.
    ///
    /// # Errors
    ///
    /// [`MirrorError::Corrupt`] for damage that cannot be mended in place, after which [`Mirror::damage`]
    /// is true; others when the file cannot be read.
    pub async fn verify(&self) -> Result<(), MirrorError> {
        let began = Instant::now();
        self.read_in(Lane::Search, DOING, check_structure).await?;
        let mut outdated = Outdated::default();
        let mut vocabulary = Vocabulary::default();
        for table in Table::ALL {
            let mut after = Some(i64::MIN);
            while let Some(begin) = after {
                let check = move |c: &Connection| {
                    let checked = check_portion(c, table, begin, &mut vocabulary)?;
                    Ok((checked, vocabulary))
                };
                let checked;
                (checked, vocabulary) = self.read_in(Lane::Search, DOING, check).await?;
                let rows = checked.outdated.into_iter().map(|seq| (table, seq));
                outdated.rows.extend(rows);
                after = checked.last;
            }
        }
        self.verify_history().await?;
        let counts = self.read_in(Lane::Search, DOING, differing_counts).await?;
        (outdated.run_counts, outdated.trial_counts) = counts;
        if !outdated.is_empty() {
            tracing::warn!(path = %self.path().display(), rows = outdated.rows.len(),
                "columns or counts of the mirror differed from their objects; they are computed again");
        }
        self.write_rows(outdated.rows.len() + 1, DOING, move |context| {
            mend(&context.connection, &outdated, vocabulary)
        })
        .await?;
        self.inner.last_check.record(began);
        Ok(())
    }

    async fn verify_history(&self) -> Result<(), MirrorError> {
        self.read_in(Lane::Search, DOING, notes::check_all).await?;
        let mut after = Some(i64::MIN);
        while let Some(begin) = after {
            let check = move |c: &Connection| check_events(c, begin);
            after = self.read_in(Lane::Search, DOING, check).await?;
        }
        Ok(())
    }
}

fn check_structure(connection: &Connection) -> rusqlite::Result<()> {
    let look = || connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0));
    let first: String = look()?;
    // A read that failed once looks like damage, too; what is damaged is so at the second look.
    match first == "ok" || look()? == "ok" {
        true => Ok(()),
        false => Err(rusqlite::Error::SqliteFailure(
            ffi::Error::new(ffi::SQLITE_CORRUPT),
            Some(first),
        )),
    }
}

/// Checks a portion of the events and returns the last one; `None` after the end.
fn check_events(connection: &Connection, after: i64) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {EVENT_COLUMNS} FROM status_event WHERE seq > ?1 ORDER BY seq LIMIT {PORTION}"
    ))?;
    let mut rows = statement.query([after])?;
    let mut last = None;
    while let Some(row) = rows.next()? {
        last = Some(EventRow::read(row)?.0);
    }
    Ok(last)
}

/// Returns whether the counts of runs, and those of trials, differ from the rows.
fn differing_counts(connection: &Connection) -> rusqlite::Result<(bool, bool)> {
    let stored = "SELECT kind, status, rows, due FROM tally WHERE rows <> 0 OR due <> 0";
    let is_any =
        |sql: &str| connection.query_row(&format!("SELECT EXISTS ({sql})"), [], |row| row.get(0));
    let runs = is_any(&format!("SELECT * FROM ({COUNTED_RUNS}) EXCEPT {stored}"))?
        || is_any(&format!("{stored} EXCEPT SELECT * FROM ({COUNTED_RUNS})"))?;
    let trials = is_any(&format!(
        "SELECT 1 FROM trial_list l WHERE l.rows <> {COUNTED_ROWS}"
    ))?;
    Ok((runs, trials))
}

fn mend(
    connection: &Connection,
    outdated: &Outdated,
    mut vocabulary: Vocabulary,
) -> rusqlite::Result<()> {
    for (table, seq) in &outdated.rows {
        derive_row(connection, *table, *seq, &mut vocabulary)?;
    }
    vocabulary.store(connection)?;
    if outdated.run_counts {
        // Whose trials are due is what one of the two said wrongly, so all are fetched once more.
        connection.execute(
            "UPDATE runs SET trials_due = 1 WHERE kind = 'evaluation' AND gone_ms IS NULL",
            [],
        )?;
        connection.execute("UPDATE tally SET rows = 0, due = 0", [])?;
        connection.execute(
            &format!(
                "INSERT INTO tally {COUNTED_RUNS}
                 ON CONFLICT DO UPDATE SET rows = excluded.rows, due = excluded.due"
            ),
            [],
        )?;
    }
    if outdated.trial_counts {
        recount_rows(connection)?;
    }
    Ok(())
}
