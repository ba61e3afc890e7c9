//! A `WHERE` clause with its parameters.

use docks_proto::query::ListQuery;
use rusqlite::types::Value;

/// A `WHERE` clause with its parameters.
#[derive(Clone)]
pub(super) struct WhereClause {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
    /// Whether no row can match. Such a clause must not be sent to SQLite together with a named
    /// index.
    pub(super) matches_nothing: bool,
}

impl WhereClause {
    /// Starts with one condition.
    pub(super) fn new(sql: impl Into<String>, values: Vec<Value>) -> Self {
        Self {
            sql: sql.into(),
            values,
            matches_nothing: false,
        }
    }

    /// Adds a condition with its parameters.
    pub(super) fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.values.extend(values);
    }

    /// Adds that a column holds one of these words; without words nothing matches.
    pub(super) fn and_one_of(&mut self, column: &str, words: &[impl AsRef<str>]) {
        self.matches_nothing |= words.is_empty();
        let condition = match words.len() {
            1 => format!("{column} = ?"),
            many => format!("{column} IN ({})", vec!["?"; many].join(", ")),
        };
        let text = |word: &dyn AsRef<str>| Value::Text(word.as_ref().to_owned());
        self.and(&condition, words.iter().map(|word| text(word)));
    }

    /// Adds the query's limits on the time of creation.
    pub(super) fn and_created_between(&mut self, query: &ListQuery) {
        if let Some(at) = query.since {
            self.and("created_ms >= ?", [Value::Integer(at.0)]);
        }
        if let Some(at) = query.until {
            self.and("created_ms < ?", [Value::Integer(at.0)]);
        }
    }
}
