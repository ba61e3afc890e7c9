//! Reads what figures are made of, for the trials of some runs or of all.

use std::collections::HashSet;

use docks_proto::routes::RunKind;
use docks_statistics::trial::{FactsList, RunFacts, TrialFacts, decode};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};

use super::batch::IncomingTrial;
use crate::digest::{damaged, sound_text};
use crate::stored_object::parse_stored_text;

/// The runs whose trials are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All evaluation runs whose trials are mirrored, oldest first.
    All,
    /// Those with these ids, in this order. One that the mirror does not have is left out.
    Ids(Vec<String>),
}

/// The columns of [`run_from_row`]; `trials_due` says that trials may be missing.
pub(super) const RUN_COLUMNS: &str =
    "l.seq, r.id, r.name, r.status, r.created_ms, l.confirmed_ms, r.trials_due";
pub(super) const RUNS: &str = "runs r JOIN trial_list l ON l.run = r.id \
                    WHERE r.kind = 'evaluation' AND r.gone_ms IS NULL";

/// Reads the facts of the trials of the selected runs, each in the order of its run; with `wanted`, only of these rows.
pub(crate) fn read(
    connection: &Connection,
    selection: &Selection,
    wanted: Option<&HashSet<i64>>,
) -> rusqlite::Result<FactsList> {
    let runs: Vec<(i64, RunFacts)> = match selection {
        Selection::All => connection
            .prepare_cached(&format!(
                "SELECT {RUN_COLUMNS} FROM {RUNS} ORDER BY r.created_ms, r.id"
            ))?
            .query_map([], run_from_row)?
            .collect::<rusqlite::Result<_>>()?,
        Selection::Ids(ids) => {
            let mut statement = connection
                .prepare_cached(&format!("SELECT {RUN_COLUMNS} FROM {RUNS} AND r.id = ?1"))?;
            let mut find = |id| statement.query_row([id], run_from_row).optional();
            ids.iter()
                .filter_map(|id| find(id).transpose())
                .collect::<rusqlite::Result<_>>()?
        }
    };
    let mut facts = FactsList::default();
    for (list, run) in runs {
        facts.begin_run(run);
        read_list(connection, list, wanted, |encoded| facts.push(encoded))?;
    }
    Ok(facts)
}

/// Passes the facts of each trial of one run on, whether or not the run itself is mirrored.
pub(crate) fn for_each_of_run(
    connection: &Connection,
    run: &str,
    mut each: impl FnMut(&TrialFacts<'_>),
) -> rusqlite::Result<()> {
    let list: Option<i64> = connection
        .prepare_cached("SELECT seq FROM trial_list WHERE run = ?1")?
        .query_row([run], |row| row.get(0))
        .optional()?;
    let Some(list) = list else {
        return Ok(());
    };
    let accept = |encoded: &[u8]| decode(encoded).map(|facts| each(&facts)).is_some();
    read_list(connection, list, None, accept)
}

/// Passes the encoded facts of the trials of a list to `accept`, which says whether it can read them; those that it
/// cannot are read out of the trial's text.
fn read_list(
    connection: &Connection,
    list: i64,
    wanted: Option<&HashSet<i64>>,
    mut accept: impl FnMut(&[u8]) -> bool,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(FACTS_OF_LIST)?;
    let mut rows = statement.query([list])?;
    while let Some(row) = rows.next()? {
        if let Some(wanted) = wanted
            && !wanted.contains(&row.get(1)?)
        {
            continue;
        }
        let is_read = match row.get_ref(0)? {
            ValueRef::Blob(encoded) => accept(encoded),
            _ => false,
        };
        if !is_read && !accept(&from_text(connection, row.get(1)?)?) {
            return Err(damaged("a trial's facts"));
        }
    }
    Ok(())
}

/// Counts the live evaluation runs whose trials are not mirrored, or may have changed since.
pub(crate) fn unread_runs(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT coalesce(sum(due), 0) FROM tally WHERE kind = ?1")?
        .query_row([RunKind::Evaluation.name()], |row| row.get::<_, i64>(0))
        .map(i64::unsigned_abs)
}

/// Reads the index only.
const FACTS_OF_LIST: &str = "SELECT facts, seq FROM trials INDEXED BY trials_by_position
                             WHERE list = ?1 AND gone_ms IS NULL ORDER BY position";

/// Reads [`RUN_COLUMNS`].
pub(super) fn run_from_row(row: &Row<'_>) -> rusqlite::Result<(i64, RunFacts)> {
    let run = RunFacts {
        id: row.get(1)?,
        name: row.get(2)?,
        status: row.get(3)?,
        created_ms: row.get(4)?,
        confirmed_ms: row.get(5)?,
        is_complete: row.get::<_, Option<i64>>(5)?.is_some() && row.get::<_, i64>(6)? == 0,
    };
    Ok((row.get(0)?, run))
}

/// Reads the facts of a trial out of its text, where an earlier release wrote none or others.
pub(super) fn from_text(connection: &Connection, seq: i64) -> rusqlite::Result<Vec<u8>> {
    connection
        .prepare_cached("SELECT body, digest FROM trials WHERE seq = ?1")?
        .query_row([seq], |row| {
            let object = parse_stored_text(sound_text(row, 0)?);
            let object = object.ok_or_else(|| damaged("an object"))?;
            Ok(IncomingTrial::from_object(object).facts)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{in_memory, query_plan};

    #[test]
    fn facts_are_read_from_an_index_alone_and_in_order() {
        let plan = query_plan(&in_memory(), FACTS_OF_LIST);
        assert!(plan.contains("COVERING INDEX trials_by_position"), "{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }
}
