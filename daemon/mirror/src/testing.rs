//! What unit tests of several modules share.

use rusqlite::Connection;

use crate::open::MIGRATIONS;

/// Opens an empty mirror in memory.
pub(crate) fn in_memory() -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    MIGRATIONS.to_latest(&mut connection).unwrap();
    connection
}

/// Returns SQLite's query plan for a statement, one step per line, whatever its parameters are.
pub(crate) fn query_plan(connection: &Connection, sql: &str) -> String {
    let mut statement = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .unwrap();
    let values = vec![1; statement.parameter_count()];
    let lines = statement
        .query_map(rusqlite::params_from_iter(values), |row| row.get(3))
        .unwrap();
    let lines: Vec<String> = lines.map(Result::unwrap).collect();
    lines.join("\n")
}
