//! The page of a list that a query requests.

use docks_proto::query::ListQuery;

use crate::sql_int::to_sql_int;

/// Offset and limit, as SQLite takes them.
#[derive(Clone, Copy)]
pub(super) struct Page {
    pub(super) offset: i64,
    /// -1 for no limit.
    pub(super) limit: i64,
}

impl Page {
    /// All rows.
    pub(super) const ALL: Self = Self {
        offset: 0,
        limit: -1,
    };

    pub(super) fn from_query(query: &ListQuery) -> Self {
        Self {
            offset: to_sql_int(query.offset),
            limit: match query.limit {
                0 => -1,
                limit => to_sql_int(limit),
            },
        }
    }

    /// Returns the part of `rows` on the page.
    pub(super) fn slice(self, rows: &[i64]) -> &[i64] {
        let start = usize::try_from(self.offset).unwrap_or(usize::MAX);
        let rows = rows.get(start..).unwrap_or_default();
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        &rows[..limit.min(rows.len())]
    }
}
