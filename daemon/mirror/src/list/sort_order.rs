//! The `ORDER BY` terms of a list.

use docks_proto::object::RawObject;
use docks_proto::query::{ListKind, Sort, SortKey, full_object_text};
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

/// Adds the function that [`order_by`] uses for keys without a column: `trial_sort_key(body, key)`.
pub(crate) fn add_sql_functions(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("trial_sort_key", 2, flags, |call| {
        let (body, key): (String, String) = (call.get(0)?, call.get(1)?);
        let key = Sort::parse(ListKind::Trials, &key).map(|sort| sort.key);
        let parsed = key.ok().zip(RawObject::parse(&body).ok().flatten());
        Ok(parsed.map_or_else(String::new, |(key, object)| full_object_text(&object, key)))
    })
}

/// Returns the `ORDER BY` terms of a sort.
///
/// Rows with equal keys are ordered by id in the same direction, as in `query::apply_query`.
pub(super) fn order_by(sort: Sort) -> String {
    let direction = direction(sort);
    let column = match sort.key {
        SortKey::Listed => return format!("position {direction}"),
        SortKey::Created => "created_ms",
        SortKey::Id => return format!("id {direction}"),
        SortKey::Name => "name",
        SortKey::Status => "status",
        SortKey::Task => "task",
        SortKey::Agent => "agent",
        SortKey::Model => "model",
        SortKey::Error => "error",
        SortKey::Started => "started_ms",
        SortKey::Completed => "completed_ms",
        SortKey::Reward => "reward",
        SortKey::Tests => "tests_passed",
        SortKey::Duration => "duration_s",
        SortKey::Cost => "cost_usd",
        SortKey::Tokens => "tokens",
        SortKey::Artifacts => "artifacts",
        SortKey::Message => "trial_sort_key(body, 'message')",
        SortKey::Dataset => "trial_sort_key(body, 'dataset')",
        SortKey::Phase => "trial_sort_key(body, 'phase')",
    };
    format!("{column} {direction}, id {direction}")
}

/// Returns `ASC` or `DESC`.
pub(super) fn direction(sort: Sort) -> &'static str {
    if sort.is_descending() { "DESC" } else { "ASC" }
}
