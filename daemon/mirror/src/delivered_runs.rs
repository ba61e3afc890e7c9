//! Runs that are mirrored in both their forms together with all their trials.

use docks_proto::freshness::Validator;
use docks_proto::object::RawObject;
use rusqlite::Connection;

use crate::stored_object::parse_stored_text;

/// A run in both its forms, all trials of which are mirrored.
#[derive(Debug)]
pub struct DeliveredRun {
    /// Its id.
    pub id: String,
    /// As a run.
    pub run: RawObject,
    /// As an evaluation run.
    pub evaluation: RawObject,
    /// Validator of its trials.
    pub trials_validator: Validator,
}

/// Lists them. What cannot be parsed is left out, and is fetched from the remote again.
pub(crate) fn delivered_runs(connection: &Connection) -> rusqlite::Result<Vec<DeliveredRun>> {
    let mut statement = connection.prepare_cached(
        "SELECT e.id, r.body, e.body, l.validator
         FROM runs e
         JOIN runs r ON r.kind = 'run' AND r.id = e.id AND r.gone_ms IS NULL
         JOIN trial_list l ON l.run = e.id
         WHERE e.kind = 'evaluation' AND e.gone_ms IS NULL AND e.trials_due = 0 AND l.validator IS NOT NULL",
    )?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let object = |at| Ok::<_, rusqlite::Error>(parse_stored_text(row.get_ref(at)?.as_str()?));
        if let (Some(run), Some(evaluation)) = (object(1)?, object(2)?) {
            found.push(DeliveredRun {
                id: row.get(0)?,
                run,
                evaluation,
                trials_validator: Validator(row.get(3)?),
            });
        }
    }
    Ok(found)
}
