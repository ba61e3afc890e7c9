//! Fills columns of stored trials that a migration added.

use docks_proto::query::Row as Columns;
use rusqlite::{Connection, params};

use super::vocabulary::Vocabulary;
use crate::stored_object::parse_stored_text;

/// Fills the columns that the fifth migration added, from the stored texts.
///
/// The migration's SQL cannot do this: how a column is read from a text is defined in Rust only.
pub(crate) fn fill_columns_from_texts(connection: &Connection) -> rusqlite::Result<()> {
    let mut update = connection.prepare(
        "UPDATE trials SET model = ?2, error = ?3, cost_usd = ?4, tokens = ?5, tests_passed = ?6,
           artifacts = ?7 WHERE seq = ?1",
    )?;
    let mut vocabulary = Vocabulary::default();
    let mut after = i64::MIN;
    loop {
        // In portions: a scan that updates its own table may visit rows twice.
        let rows: Vec<(i64, String)> = connection
            .prepare_cached("SELECT seq, body FROM trials WHERE seq > ?1 ORDER BY seq LIMIT 1000")?
            .query_map([after], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let Some((last, _)) = rows.last() else {
            return vocabulary.store(connection);
        };
        after = *last;
        for (seq, text) in &rows {
            let Some(object) = parse_stored_text(text) else {
                continue;
            };
            let columns = Columns::from_trial(&object);
            vocabulary.add_trial(&columns);
            update.execute(params![
                seq,
                columns.model,
                columns.error,
                columns.cost_usd,
                columns.tokens,
                columns.tests_passed,
                columns.artifacts,
            ])?;
        }
    }
}
