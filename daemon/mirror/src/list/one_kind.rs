//! The list of runs of one kind, and the list of trials of one run.

use docks_proto::query::{ListKind, ListQuery};
use docks_proto::routes::RunKind;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension};

use super::listing::Listing;
use super::row_source::RowSource;
use crate::confirmations;
use crate::resource::Resource;
use crate::tally::live_runs_by_status;

/// Lists runs of a kind.
pub(crate) fn list_runs(
    connection: &Connection,
    kind: RunKind,
    query: &ListQuery,
) -> rusqlite::Result<Listing> {
    let source = RowSource {
        list: ListKind::Runs,
        owner: Value::Text(kind.name().to_owned()),
    };
    let counts = live_runs_by_status(connection, kind)?;
    let mut listing = source.list(connection, query, &counts)?;
    listing.confirmation = confirmations::read(connection, &Resource::List(kind))?;
    Ok(listing)
}

/// Lists the trials of a run; `None` when its list was never mirrored.
pub(crate) fn list_trials(
    connection: &Connection,
    run: &str,
    query: &ListQuery,
) -> rusqlite::Result<Option<Listing>> {
    let resource = Resource::Trials(run.to_owned());
    let Some(confirmation) = confirmations::read(connection, &resource)? else {
        return Ok(None);
    };
    let list: Option<(i64, i64)> = connection
        .prepare_cached("SELECT seq, rows FROM trial_list WHERE run = ?1")?
        .query_row([run], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((list, rows)) = list else {
        return Ok(None);
    };
    let source = RowSource {
        list: ListKind::Trials,
        owner: Value::Integer(list),
    };
    // Without a filter on statuses, the stored number of rows replaces counting them by status.
    let counts = if query.status.is_empty() {
        vec![(String::new(), rows)]
    } else {
        source.count_by_status(connection)?
    };
    let mut listing = source.list(connection, query, &counts)?;
    listing.confirmation = Some(confirmation);
    Ok(Some(listing))
}
