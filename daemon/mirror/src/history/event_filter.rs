//! Which events a query selects.

use docks_proto::event::{EventQuery, ObjectKind};

/// Whether a query selects events of this kind of object, run and status.
///
/// An empty list in the query selects everything. Statuses compare without regard to case.
#[must_use]
pub fn matches_query(query: &EventQuery, kind: ObjectKind, run: &str, status: &str) -> bool {
    let matches_any = |unrestricted: bool, hit: bool| unrestricted || hit;
    matches_any(query.kinds.is_empty(), query.kinds.contains(&kind))
        && matches_any(query.runs.is_empty(), query.runs.iter().any(|r| r == run))
        && matches_any(
            query.statuses.is_empty(),
            query
                .statuses
                .iter()
                .any(|s| s.eq_ignore_ascii_case(status)),
        )
}
