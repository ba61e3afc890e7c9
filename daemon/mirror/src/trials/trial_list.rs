//! The row of a run's trial list: how many trials it has, and when it was confirmed.

use docks_proto::freshness::Validator;
use docks_proto::time::UnixMs;
use rusqlite::{Connection, OptionalExtension, params};

use crate::observation_window;
use crate::resource::Resource;

/// The row of a run's trial list.
pub(super) struct TrialList {
    pub(super) seq: i64,
    /// When the complete list was last confirmed; `None` when it never was.
    pub(super) confirmed_ms: Option<i64>,
    /// Live trials.
    pub(super) rows: i64,
    /// Stands for the version of the list; `None` if nothing does.
    pub(super) validator: Option<Validator>,
}

/// Reads the row of a run's trial list, or inserts it.
pub(super) fn get_or_insert(connection: &Connection, run: &str) -> rusqlite::Result<TrialList> {
    let found = connection
        .prepare_cached("SELECT seq, confirmed_ms, rows, validator FROM trial_list WHERE run = ?1")?
        .query_row([run], |row| {
            Ok(TrialList {
                seq: row.get(0)?,
                confirmed_ms: row.get(1)?,
                rows: row.get(2)?,
                validator: row.get::<_, Option<String>>(3)?.map(Validator),
            })
        })
        .optional()?;
    if let Some(found) = found {
        return Ok(found);
    }
    connection
        .prepare_cached("INSERT INTO trial_list (run) VALUES (?1)")?
        .execute([run])?;
    Ok(TrialList {
        seq: connection.last_insert_rowid(),
        confirmed_ms: None,
        rows: 0,
        validator: None,
    })
}

/// Adds to the number of live trials.
pub(super) fn add_rows(connection: &Connection, list: i64, added: i64) -> rusqlite::Result<()> {
    if added == 0 {
        return Ok(());
    }
    connection
        .prepare_cached("UPDATE trial_list SET rows = rows + ?2 WHERE seq = ?1")?
        .execute([list, added])
        .map(drop)
}

/// Forgets the validator of a list of which a trial was written by itself.
pub(super) fn forget_validator(connection: &Connection, list: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE trial_list SET validator = NULL WHERE seq = ?1")?
        .execute([list])
        .map(drop)
}

/// SQL for the number of live trials of the list `l`, counted anew.
pub(crate) const COUNTED_ROWS: &str =
    "(SELECT count(*) FROM trials t WHERE t.list = l.seq AND t.gone_ms IS NULL)";

/// Counts the live trials of all lists anew.
pub(crate) fn recount_rows(connection: &Connection) -> rusqlite::Result<()> {
    let sql =
        format!("UPDATE trial_list AS l SET rows = {COUNTED_ROWS} WHERE l.rows <> {COUNTED_ROWS}");
    connection.execute(&sql, []).map(drop)
}

/// Records that a run's complete list was confirmed; an older confirmation changes nothing.
///
/// The run's trials are no longer due, unless the run changed when the request began or later. A change in the
/// same millisecond may have come before or after; what was read together (`with_run`) belongs together.
pub(crate) fn confirm(
    connection: &Connection,
    run: &str,
    at_ms: i64,
    validator: Option<&Validator>,
    with_run: bool,
) -> rusqlite::Result<()> {
    let resource = Resource::Trials(run.to_owned());
    observation_window::record(connection, &resource, UnixMs(at_ms))?;
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
               AND (active = 1 OR changed_ms < ?2 OR (?3 AND changed_ms = ?2))",
        )?
        .execute(params![run, at_ms, with_run])
        .map(drop)
}

/// Reads when a run's complete list was last confirmed; `None` when it never was.
pub(crate) fn confirmed_ms(connection: &Connection, run: &str) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT confirmed_ms FROM trial_list WHERE run = ?1")?
        .query_row([run], |row| row.get(0))
        .optional()
        .map(Option::flatten)
}
