//! Searches rows for a text in their names.

use docks_proto::query::SearchText;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

/// Returns the rows that contain a text, in the order of the statement.
///
/// The statement selects `seq` and then the columns to search; every row that it yields is read.
pub(super) fn search(
    connection: &Connection,
    sql: &str,
    values: &[Value],
    text: &SearchText,
) -> rusqlite::Result<Vec<i64>> {
    let mut statement = connection.prepare_cached(sql)?;
    let columns = statement.column_count();
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        for column in 1..columns {
            if text.is_in(row.get_ref(column)?.as_str()?) {
                found.push(row.get(0)?);
                break;
            }
        }
    }
    Ok(found)
}
