//! Removes old events.

use docks_proto::time::UnixMs;
use rusqlite::Connection;

use super::bounds::{PRUNED_NOTE, read_bounds};
use crate::notes;

/// Removes events observed before `until`, and remembers the highest removed sequence number.
pub(crate) fn prune(connection: &Connection, until: UnixMs) -> rusqlite::Result<()> {
    let highest: Option<i64> = connection.query_row(
        "SELECT max(seq) FROM status_event WHERE observed_ms < ?1",
        [until.0],
        |row| row.get(0),
    )?;
    let Some(highest) = highest else {
        return Ok(());
    };
    connection.execute("DELETE FROM status_event WHERE observed_ms < ?1", [until.0])?;
    let pruned_seq = read_bounds(connection)?
        .pruned_seq
        .max(highest.unsigned_abs());
    notes::write(connection, PRUNED_NOTE, &pruned_seq.to_string())
}
