//! Runs whose id was provisional: a Harbor job has its folder's name as id until it has written its UUID.
//!
//! When the run arrives under its real id, the row under the provisional one becomes its row, with its
//! history and its trials. So nothing is ever said to be gone that only has its real id by now.

use std::sync::{Arc, Mutex, PoisonError};

use docks_proto::object::{RawObject, RunFields, harbor_job_id, has_outgrown_id};
use docks_proto::repair;
use docks_proto::routes::RunKind;
use rusqlite::{Connection, params};

use crate::actions;
use crate::digest::sound_text;
use crate::history::{self, Subject};
use crate::notes;

/// A run that has got its real id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rename {
    /// In which list; a job is in both.
    pub kind: RunKind,
    /// The provisional id.
    pub from: String,
    /// The real id.
    pub to: String,
}

/// The renames since the mirror was opened, for those who know a run by its provisional id.
#[derive(Debug, Clone, Default)]
pub(crate) struct RenameLog(Arc<Mutex<Vec<Rename>>>);

impl RenameLog {
    /// Returns how many renames there were.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Returns the renames after the first `seen` ones.
    pub(crate) fn after(&self, seen: usize) -> Vec<Rename> {
        let log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.iter().skip(seen).cloned().collect()
    }
}

/// The renames of the writer: readers learn of one when they can see it.
#[derive(Debug, Default)]
pub(crate) struct RenameWriter {
    log: RenameLog,
    uncommitted: Vec<Rename>,
}

impl RenameWriter {
    /// Records what is committed in this log.
    pub(crate) fn new(log: RenameLog) -> Self {
        Self {
            log,
            uncommitted: Vec::new(),
        }
    }

    /// Returns how many are not committed.
    pub(crate) fn uncommitted(&self) -> usize {
        self.uncommitted.len()
    }

    /// Forgets those after the first so many that are not committed: they were rolled back.
    pub(crate) fn roll_back_to(&mut self, uncommitted: usize) {
        self.uncommitted.truncate(uncommitted);
    }

    /// Tells readers of those that have been committed.
    pub(crate) fn commit(&mut self) {
        let mut log = self.log.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.append(&mut self.uncommitted);
    }

    /// Returns the real id of an evaluation run that a request which is under way knows by its provisional
    /// one; any other id as it is.
    pub(crate) fn current_id(
        &self,
        connection: &Connection,
        id: &str,
    ) -> rusqlite::Result<Option<String>> {
        let committed = self.log.after(0);
        let renames = committed.iter().chain(&self.uncommitted);
        let mut of_evaluations = renames.filter(|rename| rename.kind == RunKind::Evaluation);
        let Some(rename) = of_evaluations.rfind(|rename| rename.from == id) else {
            return Ok(None);
        };
        // By now, another run may have this id.
        let is_taken: bool = connection
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM runs WHERE kind = ?1 AND id = ?2 AND gone_ms IS NULL)",
            )?
            .query_row([RunKind::Evaluation.name(), id], |row| row.get(0))?;
        Ok((!is_taken).then(|| rename.to.clone()))
    }
}

/// Gives the row of a run that was stored under a provisional id its real one, if there is such a row; returns
/// whether there is.
pub(crate) fn adopt(
    connection: &Connection,
    renames: &mut RenameWriter,
    kind: RunKind,
    object: &RawObject,
    created_ms: Option<i64>,
) -> rusqlite::Result<bool> {
    let fields = RunFields::from_object(object);
    let (Some(id), Some(name)) = (fields.id.text(), fields.name.text()) else {
        return Ok(false);
    };
    let Some((seq, old)) = provisional_row(connection, kind, &name, &fields, created_ms)? else {
        return Ok(false);
    };
    if !has_outgrown_id(object, &old) {
        return Ok(false);
    }
    rename(connection, kind, seq, &old, &id)?;
    renames.uncommitted.push(Rename {
        kind,
        from: old,
        to: id,
    });
    Ok(true)
}

/// Finds the row of a job in the same folder that has no UUID yet.
fn provisional_row(
    connection: &Connection,
    kind: RunKind,
    name: &str,
    fields: &RunFields,
    created_ms: Option<i64>,
) -> rusqlite::Result<Option<(i64, String)>> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, id, gone_ms, body, digest FROM runs WHERE kind = ?1 AND id IN (?2, '~' || ?2)",
    )?;
    let mut rows = statement.query([kind.name(), name])?;
    while let Some(row) = rows.next()? {
        // One that was gone before this run began was another run.
        let gone_ms: Option<i64> = row.get(2)?;
        if gone_ms.is_some_and(|gone_ms| created_ms.is_none_or(|created_ms| created_ms > gone_ms)) {
            continue;
        }
        let text = sound_text(row, 3)?;
        let stored: RunFields = repair::read(text);
        let is_same_folder = stored.remote_ref.text() == fields.remote_ref.text();
        if is_same_folder && harbor_job_id(text) == Some(None) {
            return Ok(Some((row.get(0)?, row.get(1)?)));
        }
    }
    Ok(None)
}

fn rename(
    connection: &Connection,
    kind: RunKind,
    seq: i64,
    old: &str,
    new: &str,
) -> rusqlite::Result<()> {
    let evaluation = kind == RunKind::Evaluation;
    // The texts of its trials name the old id, so they are fetched once more.
    connection
        .prepare_cached(
            "UPDATE runs SET id = ?2, gone_ms = NULL, trials_due = max(trials_due, ?3)
             WHERE seq = ?1",
        )?
        .execute(params![seq, new, evaluation])?;
    connection
        .prepare_cached("DELETE FROM confirmation WHERE kind = ?1 AND id = ?2")?
        .execute([kind.name(), old])?;
    rename_in(
        connection,
        "UPDATE OR IGNORE look SET id = ?3 WHERE what = ?1 AND id = ?2",
        kind.name(),
        old,
        new,
    )?;
    history::rename_run(connection, Subject::Run(kind), old, new)?;
    actions::rename_run(connection, old, new)?;
    notes::rename_run(connection, old, new)?;
    if evaluation {
        history::rename_run(connection, Subject::Trial, old, new)?;
        rename_in(
            connection,
            "UPDATE OR IGNORE look SET id = ?3 WHERE what = ?1 AND id = ?2",
            "trials",
            old,
            new,
        )?;
        connection
            .prepare_cached(
                "UPDATE OR IGNORE trial_list SET run = ?2, validator = NULL WHERE run = ?1",
            )?
            .execute([old, new])?;
        // If its trials were stored under the real id before, these are the newer ones.
        connection
            .prepare_cached(
                "DELETE FROM trials WHERE list = (SELECT seq FROM trial_list WHERE run = ?1)",
            )?
            .execute([old])?;
        connection
            .prepare_cached("DELETE FROM trial_list WHERE run = ?1")?
            .execute([old])?;
    }
    Ok(())
}

fn rename_in(
    connection: &Connection,
    sql: &'static str,
    what: &str,
    old: &str,
    new: &str,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(sql)?
        .execute([what, old, new])
        .map(drop)
}
