//! What lists of all kinds are made of: conditions, order, cut, joined texts.

use docks_proto::object::RawObject;
use docks_proto::query::{ListKind, ListQuery, Sort, SortKey, full_object_text};
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::Value;

use crate::Listing;
use crate::history::events::signed;

/// Bytes to reserve per row; most objects are of about this size.
const TYPICAL_ROW: usize = 512;

/// A `WHERE` clause with its values.
#[derive(Clone)]
pub(crate) struct Filter {
    pub(crate) sql: String,
    pub(crate) values: Vec<Value>,
    /// Whether no row can pass, which SQLite must not be asked when an index is named.
    pub(crate) never: bool,
}

impl Filter {
    pub(crate) fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.values.extend(values);
    }

    /// Adds that a column holds one of these words; none fit, none is found.
    pub(crate) fn and_one_of(&mut self, column: &str, words: &[impl AsRef<str>]) {
        self.never |= words.is_empty();
        let condition = match words.len() {
            1 => format!("{column} = ?"),
            many => format!("{column} IN ({})", vec!["?"; many].join(", ")),
        };
        let text = |word: &dyn AsRef<str>| Value::Text(word.as_ref().to_owned());
        self.and(&condition, words.iter().map(|word| text(word)));
    }

    /// Adds when rows were made.
    pub(crate) fn and_made(&mut self, query: &ListQuery) {
        if let Some(at) = query.since {
            self.and("created_ms >= ?", [Value::Integer(at.0)]);
        }
        if let Some(at) = query.until {
            self.and("created_ms < ?", [Value::Integer(at.0)]);
        }
    }
}

/// Adds what [`order`] calls: `trial_says(body, key)`, for columns that no row keeps.
pub(crate) fn add_functions(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("trial_says", 2, flags, |call| {
        let (body, key): (String, String) = (call.get(0)?, call.get(1)?);
        let key = Sort::parse(ListKind::Trials, &key).map(|sort| sort.key);
        let said = key.ok().zip(RawObject::parse(&body).ok().flatten());
        Ok(said.map_or_else(String::new, |(key, object)| full_object_text(&object, key)))
    })
}

/// Rows with equal keys go by id in the same direction, as in `query::apply_query`.
pub(crate) fn order(sort: Sort) -> String {
    let direction = if sort.is_descending() { "DESC" } else { "ASC" };
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
        SortKey::Message => "trial_says(body, 'message')",
        SortKey::Dataset => "trial_says(body, 'dataset')",
        SortKey::Phase => "trial_says(body, 'phase')",
    };
    format!("{column} {direction}, id {direction}")
}

/// The part of a list that is asked; SQLite takes -1 for all.
#[derive(Clone, Copy)]
pub(crate) struct Cut {
    pub(crate) offset: i64,
    pub(crate) limit: i64,
}

impl Cut {
    pub(crate) fn of(query: &ListQuery) -> Self {
        Self {
            offset: signed(query.offset),
            limit: match query.limit {
                0 => -1,
                limit => signed(limit),
            },
        }
    }

    pub(crate) fn of_rows(self, rows: &[i64]) -> &[i64] {
        let start = usize::try_from(self.offset).unwrap_or(usize::MAX);
        let rows = rows.get(start..).unwrap_or_default();
        let most = usize::try_from(self.limit).unwrap_or(usize::MAX);
        &rows[..most.min(rows.len())]
    }
}

/// A JSON array that grows by stored texts.
pub(crate) struct Joined {
    body: Vec<u8>,
    rows: u64,
}

impl Joined {
    pub(crate) fn new() -> Self {
        let mut body = Vec::with_capacity(20 * TYPICAL_ROW);
        body.push(b'[');
        Self { body, rows: 0 }
    }

    pub(crate) fn push(&mut self, text: &[u8]) {
        if self.rows > 0 {
            self.body.push(b',');
        }
        self.body.extend_from_slice(text);
        self.rows += 1;
    }

    pub(crate) fn listing(mut self, total: u64) -> Listing {
        self.body.push(b']');
        Listing {
            body: self.body.into(),
            returned: self.rows,
            total,
            confirmation: None,
        }
    }
}

pub(crate) fn texts(
    connection: &Connection,
    table: &str,
    rows: &[i64],
) -> rusqlite::Result<Joined> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT body FROM {table} WHERE seq = ?1"))?;
    let mut joined = Joined::new();
    for row in rows {
        statement.query_row([row], |row| {
            joined.push(row.get_ref(0)?.as_bytes()?);
            Ok(())
        })?;
    }
    Ok(joined)
}
