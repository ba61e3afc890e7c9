//! Unsigned numbers as SQLite stores them.

/// Converts to SQLite's signed integer; a number beyond its range becomes the largest one.
pub(crate) fn to_sql_int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
