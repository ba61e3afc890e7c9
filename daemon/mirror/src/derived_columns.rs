//! Columns that are read from the texts of objects: written again for all rows by a migration, and for
//! single rows when they turn out to differ from their text.

use docks_proto::object::RawObject;
use rusqlite::{Connection, ToSql, params, params_from_iter};

use crate::digest::{self, sound_text};
use crate::history::{EVENT_COLUMNS, EventRow};
use crate::notes;
use crate::open::add_digest_to_identity;
use crate::stored_object::parse_stored_text;
use crate::trials::Vocabulary;
use crate::{runs, trials};

/// Rows that are read at once.
const PORTION: i64 = 500;

/// A table of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    Runs,
    Trials,
}

impl Table {
    pub(crate) const ALL: [Table; 2] = [Table::Runs, Table::Trials];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Table::Runs => "runs",
            Table::Trials => "trials",
        }
    }

    fn columns(self) -> &'static [&'static str] {
        match self {
            Table::Runs => &runs::DERIVED_COLUMNS,
            Table::Trials => &trials::DERIVED_COLUMNS,
        }
    }

    /// Returns SQL that compares or sets these columns, which are the first ones or all.
    fn for_each_column(columns: &[&str], what: &str, separator: &str) -> String {
        let columns = columns.iter();
        let terms: Vec<String> = columns.map(|column| format!("{column} {what}")).collect();
        terms.join(separator)
    }

    /// Passes the values of the columns to `use_values`, and adds the words of a trial to `vocabulary`.
    fn derive<T>(
        self,
        object: RawObject,
        vocabulary: &mut Vocabulary,
        use_values: impl FnOnce(&[&dyn ToSql]) -> T,
    ) -> T {
        match self {
            Table::Runs => runs::with_derived_values(&object, use_values),
            Table::Trials => trials::with_derived_values(object, vocabulary, use_values),
        }
    }
}

/// What [`check_portion`] found.
#[derive(Debug, Default)]
pub(crate) struct CheckedPortion {
    /// Last row that was read; `None` after the last one of the table.
    pub(crate) last: Option<i64>,
    /// Rows whose columns differ from their text.
    pub(crate) outdated: Vec<i64>,
}

/// Compares the rows after `after` with their digests and texts.
///
/// # Errors
///
/// `SQLITE_CORRUPT` if a digest does not fit.
pub(crate) fn check_portion(
    connection: &Connection,
    table: Table,
    after: i64,
    vocabulary: &mut Vocabulary,
) -> rusqlite::Result<CheckedPortion> {
    let name = table.name();
    let mut is_same = connection.prepare_cached(&format!(
        "SELECT {} FROM {name} WHERE seq = ?",
        Table::for_each_column(table.columns(), "IS ?", " AND ")
    ))?;
    let mut rows = connection.prepare_cached(&format!(
        "SELECT seq, body, digest FROM {name} WHERE seq > ?1 ORDER BY seq LIMIT {PORTION}"
    ))?;
    let mut rows = rows.query([after])?;
    let mut portion = CheckedPortion::default();
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        portion.last = Some(seq);
        let Some(object) = parse_stored_text(sound_text(row, 1)?) else {
            continue;
        };
        let same: bool = table.derive(object, vocabulary, |values| {
            let seq: &dyn ToSql = &seq;
            let all = values.iter().copied().chain([seq]);
            is_same.query_row(params_from_iter(all), |row| row.get(0))
        })?;
        if !same {
            portion.outdated.push(seq);
        }
    }
    Ok(portion)
}

/// Writes the columns and the digest of one row again, from its text.
pub(crate) fn derive_row(
    connection: &Connection,
    table: Table,
    seq: i64,
    vocabulary: &mut Vocabulary,
) -> rusqlite::Result<()> {
    derive_columns(connection, table, table.columns(), seq, vocabulary)
}

/// Writes these columns, which are the first ones or all, and the digest of one row.
fn derive_columns(
    connection: &Connection,
    table: Table,
    columns: &[&str],
    seq: i64,
    vocabulary: &mut Vocabulary,
) -> rusqlite::Result<()> {
    let name = table.name();
    let text: String = connection
        .prepare_cached(&format!("SELECT body FROM {name} WHERE seq = ?1"))?
        .query_row([seq], |row| row.get(0))?;
    let digest = digest::of_text(text.as_bytes());
    let last: [&dyn ToSql; 2] = [&digest, &seq];
    let Some(object) = parse_stored_text(&text) else {
        return connection
            .prepare_cached(&format!("UPDATE {name} SET digest = ? WHERE seq = ?"))?
            .execute(last)
            .map(drop);
    };
    let mut update = connection.prepare_cached(&format!(
        "UPDATE {name} SET {}, digest = ? WHERE seq = ?",
        Table::for_each_column(columns, "= ?", ", ")
    ))?;
    table.derive(object, vocabulary, |values| {
        let all = values[..columns.len()].iter().copied().chain(last);
        update.execute(params_from_iter(all)).map(drop)
    })
}

/// Writes the digests of all rows, and the columns that there were when these were added: what the migration cannot do
/// in SQL, since how a column is read from a text is defined in Rust only.
///
/// Columns that later migrations add are filled by sweeps, see [`check_portion`].
pub(crate) fn derive_all(connection: &Connection) -> rusqlite::Result<()> {
    let mut vocabulary = Vocabulary::default();
    for table in Table::ALL {
        let columns = match table.columns() {
            [earlier @ .., trials::FACTS_COLUMN] => earlier,
            all => all,
        };
        let mut after = i64::MIN;
        loop {
            // In portions: a scan that updates its own table may visit rows twice.
            let portion = numbers_after(connection, table.name(), after)?;
            let Some(last) = portion.last() else { break };
            after = *last;
            for seq in portion {
                derive_columns(connection, table, columns, seq, &mut vocabulary)?;
            }
        }
    }
    vocabulary.store(connection)?;
    add_digests_to_events(connection)?;
    add_digests_to_notes(connection)?;
    add_digest_to_identity(connection)
}

fn numbers_after(connection: &Connection, table: &str, after: i64) -> rusqlite::Result<Vec<i64>> {
    connection
        .prepare_cached(&format!(
            "SELECT seq FROM {table} WHERE seq > ?1 ORDER BY seq LIMIT {PORTION}"
        ))?
        .query_map([after], |row| row.get(0))?
        .collect()
}

fn add_digests_to_events(connection: &Connection) -> rusqlite::Result<()> {
    let mut update =
        connection.prepare_cached("UPDATE status_event SET digest = ?2 WHERE seq = ?1")?;
    let mut read = connection.prepare_cached(&format!(
        "SELECT {EVENT_COLUMNS} FROM status_event WHERE seq > ?1 ORDER BY seq LIMIT {PORTION}"
    ))?;
    let mut after = i64::MIN;
    loop {
        let portion: Vec<(i64, i64)> = read
            .query_map([after], |row| {
                EventRow::read_unchecked(row).map(|(seq, event)| (seq, event.digest()))
            })?
            .collect::<rusqlite::Result<_>>()?;
        let Some((last, _)) = portion.last() else {
            return Ok(());
        };
        after = *last;
        for (seq, digest) in portion {
            update.execute([seq, digest])?;
        }
    }
}

fn add_digests_to_notes(connection: &Connection) -> rusqlite::Result<()> {
    let notes: Vec<(String, String)> = connection
        .prepare("SELECT key, value FROM note")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (key, value) in notes {
        connection.execute(
            "UPDATE note SET digest = ?2 WHERE key = ?1",
            params![key, notes::digest(&key, &value)],
        )?;
    }
    Ok(())
}
