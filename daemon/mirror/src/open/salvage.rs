//! Copies what is sound from a damaged file into a new one.

use std::collections::HashMap;

use docks_proto::routes::RunKind;
use docks_proto::status::MirrorRebuild;
use docks_proto::time::UnixMs;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};

use super::stored_identity;
use crate::confirmations::RUN_CONFIRMED_MS;
use crate::derived_columns::{Table, derive_row};
use crate::digest::{damaged, sound_text};
use crate::history::{EVENT_COLUMNS, EventRow};
use crate::observation_groups::{ConfirmedRow, record_response};
use crate::stored_object::parse_stored_text;
use crate::trials::{Vocabulary, recount_rows};
use crate::{notes, runs};

/// Added to the last known sequence number when events are lost: nobody may get a number twice.
const SKIPPED_NUMBERS: i64 = 1_000_000;

/// Copies every sound row. Errors of `old` count as the end of what can be read. Unless `trusts_times`,
/// rows may be older than the confirmations say, and all trials are fetched again.
///
/// # Errors
///
/// Those of `new`.
pub(super) fn salvage(
    old: &Connection,
    new: &Connection,
    now: UnixMs,
    trusts_times: bool,
) -> rusqlite::Result<MirrorRebuild> {
    let mut salvage = Salvage {
        old,
        new,
        now,
        vocabulary: Vocabulary::default(),
        done: nothing_kept(now),
    };
    salvage.runs()?;
    salvage.trials(trusts_times)?;
    salvage.vocabulary.store(new)?;
    salvage.history()?;
    salvage.notes()?;
    Ok(salvage.done)
}

/// Rows with higher numbers are not looked for behind a damaged page.
const LAST_NUMBER_TRIED: i64 = 1 << 40;

/// Returns the report of a file in which nothing can be read.
pub(super) fn nothing_kept(now: UnixMs) -> MirrorRebuild {
    MirrorRebuild {
        at: now.rfc3339(),
        runs: 0,
        trials: 0,
        events: 0,
        whole_history: false,
    }
}

/// What reading all rows of a table came to.
#[derive(Debug, Default)]
struct Reading {
    /// Rows whose values are not sound.
    unsound: u64,
    /// Whether part of the table cannot be read.
    is_partial: bool,
}

impl Reading {
    fn is_whole(&self) -> bool {
        self.unsound == 0 && !self.is_partial
    }
}

struct Salvage<'a> {
    old: &'a Connection,
    new: &'a Connection,
    now: UnixMs,
    vocabulary: Vocabulary,
    done: MirrorRebuild,
}

impl Salvage<'_> {
    fn runs(&mut self) -> rusqlite::Result<()> {
        let mut confirmed = HashMap::<(RunKind, i64), Vec<ConfirmedRow>>::new();
        let (old, new, now) = (self.old, self.new, self.now.0);
        let columns = "seq, kind, changed_ms, gone_ms, trials_due, body, digest";
        each_row(old, "runs", columns, |row| {
            let (seq, kind) = (row.get::<_, i64>(0)?, row.get::<_, String>(1)?);
            let kind = RunKind::ALL.into_iter().find(|known| known.name() == kind);
            let kind = kind.ok_or_else(|| damaged("a run"))?;
            let (changed_ms, gone_ms): (i64, Option<i64>) = (row.get(2)?, row.get(3)?);
            let changed_ms = changed_ms.min(now);
            let text = sound_text(row, 5)?;
            let object = parse_stored_text(text).ok_or_else(|| damaged("a run"))?;
            let inserted = new
                .prepare_cached(
                    "INSERT OR IGNORE INTO runs (seq, kind, id, name, status, active, trials_due,
                   changed_ms, gone_ms, body)
                 VALUES (?1, ?2, ?3, '', '', 0, ?4, ?5, ?6, ?7)",
                )?
                .execute(params![
                    seq,
                    kind.name(),
                    runs::id_of(&object),
                    row.get::<_, bool>(4)?,
                    changed_ms,
                    gone_ms.map(|at| at.min(now)),
                    text,
                ])?;
            if inserted > 0 {
                derive_row(new, Table::Runs, seq, &mut Vocabulary::default())?;
                let at = confirmed_ms(old, seq).unwrap_or(changed_ms).min(now);
                confirmed.entry((kind, at)).or_default().push(ConfirmedRow {
                    run: seq,
                    observation: None,
                });
                self.done.runs += 1;
            }
            Ok(())
        })?;
        for ((kind, at), rows) in confirmed {
            record_response(new, kind, at, &rows)?;
        }
        Ok(())
    }

    /// Copies trials, and marks those lists as due of which a trial is lost.
    fn trials(&mut self, trusts_times: bool) -> rusqlite::Result<()> {
        let (old, new, now) = (self.old, self.new, self.now.0);
        let mut lists = HashMap::<i64, i64>::new();
        each_row(old, "trial_list", "seq, run, confirmed_ms, rows", |row| {
            let confirmed_ms: Option<i64> = row.get(2)?;
            let inserted = new
                .prepare_cached(
                    "INSERT OR IGNORE INTO trial_list (seq, run, confirmed_ms) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![
                    row.get::<_, i64>(0)?,
                    row.get::<_, String>(1)?,
                    confirmed_ms.filter(|at| trusts_times && *at <= now)
                ])?;
            if inserted > 0 {
                lists.insert(row.get(0)?, row.get(3)?);
            }
            Ok(())
        })?;
        let columns = "seq, list, id, position, observed_ms, gone_ms, body, digest";
        each_row(old, "trials", columns, |row| {
            let (seq, list): (i64, i64) = (row.get(0)?, row.get(1)?);
            let text = sound_text(row, 6)?;
            let gone_ms: Option<i64> = row.get(5)?;
            let inserted = new
                .prepare_cached(
                    "INSERT OR IGNORE INTO trials (seq, list, id, position, observed_ms, gone_ms,
                       name, task, agent, status, body)
                     SELECT ?1, ?2, ?3, ?4, ?5, ?6, '', '', '', '', ?7
                     WHERE EXISTS (SELECT 1 FROM trial_list WHERE seq = ?2)",
                )?
                .execute(params![
                    seq,
                    list,
                    row.get::<_, String>(2)?,
                    row.get::<_, i64>(3)?,
                    row.get::<_, i64>(4)?.min(now),
                    gone_ms.map(|at| at.min(now)),
                    text
                ])?;
            if inserted > 0 {
                derive_row(new, Table::Trials, seq, &mut self.vocabulary)?;
                self.done.trials += 1;
            }
            Ok(())
        })?;
        recount_rows(new)?;
        for (list, rows) in lists {
            new.execute(
                "UPDATE trial_list SET confirmed_ms = NULL WHERE seq = ?1 AND rows <> ?2",
                [list, rows],
            )?;
        }
        new.execute(
            "UPDATE runs SET trials_due = 1 WHERE kind = 'evaluation' AND NOT EXISTS
               (SELECT 1 FROM trial_list l WHERE l.run = runs.id AND l.confirmed_ms IS NOT NULL)",
            [],
        )?;
        Ok(())
    }

    /// Copies events and observation windows. Events keep their sequence numbers; the history has a new
    /// id if one of them is lost, so that those who follow it do not believe they have seen all.
    fn history(&mut self) -> rusqlite::Result<()> {
        let (old, new, now) = (self.old, self.new, self.now.0);
        let reading = each_row(old, "status_event", EVENT_COLUMNS, |row| {
            let (seq, event) = EventRow::read(row)?;
            event.insert(new, Some(seq))?;
            self.done.events += 1;
            Ok(())
        })?;
        let last_number = |connection: &Connection| {
            let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'status_event'";
            let found = connection.query_row(sql, [], |row| row.get::<_, i64>(0));
            found.optional().ok().flatten()
        };
        let last = last_number(old);
        let copied = last_number(new).unwrap_or(0);
        let created = stored_identity::read(old).ok().flatten();
        let created = created
            .map(|(_, created_ms)| created_ms)
            .filter(|at| *at <= now);
        self.done.whole_history =
            reading.is_whole() && last.is_some_and(|last| last >= copied) && created.is_some();
        let next = match (self.done.whole_history, last) {
            (true, Some(last)) => last,
            _ => copied + SKIPPED_NUMBERS,
        };
        new.execute(
            "DELETE FROM sqlite_sequence WHERE name = 'status_event'",
            [],
        )?;
        new.execute(
            "INSERT INTO sqlite_sequence VALUES ('status_event', ?1)",
            [next],
        )?;
        if self.done.whole_history
            && let (Some(created), Some((remote, _))) = (created, stored_identity::read(new)?)
        {
            stored_identity::write(new, &remote, created)?;
        }
        // Its rows have no number to continue from; what comes before a damaged page is kept.
        let windows = "SELECT what, id, from_ms, until_ms FROM look";
        each_of(old, windows, [], |row| {
            let (from_ms, until_ms): (i64, i64) = (row.get(2)?, row.get(3)?);
            if from_ms <= until_ms && until_ms <= now {
                new.prepare_cached("INSERT OR IGNORE INTO look VALUES (?1, ?2, ?3, ?4)")?
                    .execute(params![
                        row.get::<_, String>(0)?,
                        row.get::<_, String>(1)?,
                        from_ms,
                        until_ms
                    ])?;
            }
            Ok(())
        })?;
        Ok(())
    }

    fn notes(&self) -> rusqlite::Result<()> {
        let mut sound = Vec::new();
        each_of(self.old, "SELECT key FROM note", [], |row| {
            let key: String = row.get(0)?;
            sound.extend(notes::read(self.old, &key)?.map(|value| (key, value)));
            Ok(())
        })?;
        for (key, value) in sound {
            notes::write(self.new, &key, &value)?;
        }
        Ok(())
    }
}

/// Returns when a run was confirmed, if that can be read.
fn confirmed_ms(old: &Connection, seq: i64) -> Option<i64> {
    let sql = format!("SELECT nullif({RUN_CONFIRMED_MS}, 0) FROM runs r WHERE r.seq = ?1");
    let mut statement = old.prepare_cached(&sql).ok()?;
    statement.query_row([seq], |row| row.get(0)).ok().flatten()
}

/// Passes each row of a table to `take`, except those on pages that cannot be read.
fn each_row(
    connection: &Connection,
    table: &str,
    columns: &str,
    mut take: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<Reading> {
    let sql = format!("SELECT {columns} FROM {table} NOT INDEXED WHERE seq >= ?1 ORDER BY seq");
    let mut all = Reading::default();
    let mut next = i64::MIN;
    loop {
        let reading = each_of(connection, &sql, [next], |row| {
            let seq: i64 = row.get(0)?;
            // On a damaged page, rows may be in any order; each number counts once.
            if seq < next {
                return Err(damaged("the order of rows"));
            }
            next = seq.saturating_add(1);
            take(row)
        })?;
        all.unsound += reading.unsound;
        if !reading.is_partial {
            return Ok(all);
        }
        all.is_partial = true;
        match after_gap(connection, table, next) {
            Some(after) => next = after.max(next.saturating_add(1)),
            None => return Ok(all),
        }
    }
}

/// Returns the number of the next row that can be found if the one after `from` cannot be read.
fn after_gap(connection: &Connection, table: &str, from: i64) -> Option<i64> {
    let sql = format!("SELECT seq FROM {table} NOT INDEXED WHERE seq >= ?1 ORDER BY seq LIMIT 1");
    let mut statement = connection.prepare(&sql).ok()?;
    let mut row_from =
        |number: i64| -> Option<i64> { statement.query_row([number], |row| row.get(0)).ok() };
    let mut unreadable = from.max(0);
    let mut readable = unreadable;
    // In steps that grow: the numbers of a long history are high.
    while row_from(readable).is_none() || readable == unreadable {
        if readable > LAST_NUMBER_TRIED {
            return None;
        }
        unreadable = readable;
        readable += 4 + (readable - from.max(0)) / 256;
    }
    while readable - unreadable > 1 {
        let middle = unreadable + (readable - unreadable) / 2;
        match row_from(middle) {
            Some(_) => readable = middle,
            None => unreadable = middle,
        }
    }
    row_from(readable)
}

/// Passes each row of a query to `take`, as far as the query can be read.
///
/// # Errors
///
/// Only that there is no room for the copies; what else is wrong with a row is its own fault.
fn each_of(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
    mut take: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<Reading> {
    let mut reading = Reading::default();
    let mut no_room = None;
    let read = || {
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query(values)?;
        while let Some(row) = rows.next()? {
            match take(row) {
                Ok(()) => {}
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
                    no_room = Some(error);
                    break;
                }
                Err(_) => reading.unsound += 1,
            }
        }
        Ok(())
    };
    let read: rusqlite::Result<()> = read();
    reading.is_partial = read.is_err();
    no_room.map_or(Ok(reading), Err)
}
