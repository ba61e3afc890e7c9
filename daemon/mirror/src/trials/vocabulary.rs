//! The distinct words in the columns of trials: stored when they arrive, looked up by filters.
//!
//! They are few (agents, models, tasks, types of errors). So a filter compares them in
//! Rust, with whatever leniency it needs, and SQL gets the exact words that match.

use std::collections::BTreeSet;

use docks_proto::query::Row;
use rusqlite::Connection;

/// Columns whose words are stored, in the order of [`Vocabulary::words`].
const FIELDS: [&str; 4] = ["task", "agent", "model", "error"];

/// The distinct words of some trials.
#[derive(Debug, Default)]
pub(crate) struct Vocabulary {
    statuses: BTreeSet<String>,
    words: [BTreeSet<String>; 4],
}

impl Vocabulary {
    /// Adds the words of a trial.
    pub(crate) fn add_trial(&mut self, row: &Row) {
        let new = [&row.task, &row.agent, &row.model, &row.error];
        let fields = self.words.iter_mut().zip(new);
        let fields = fields.filter(|(_, word)| !word.is_empty());
        for (known, word) in fields.chain([(&mut self.statuses, &row.status)]) {
            // Most trials bring nothing new, and copying every word would be slow.
            if !known.contains(word) {
                known.insert(word.clone());
            }
        }
    }

    /// Stores the words that are not stored yet.
    pub(crate) fn store(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement =
            connection.prepare_cached("INSERT OR IGNORE INTO trial_status VALUES (?1)")?;
        for status in &self.statuses {
            statement.execute([status])?;
        }
        let mut statement =
            connection.prepare_cached("INSERT OR IGNORE INTO trial_word VALUES (?1, ?2)")?;
        for (field, words) in FIELDS.iter().zip(&self.words) {
            for word in words {
                statement.execute([field, word.as_str()])?;
            }
        }
        Ok(())
    }
}

/// Reads the stored words of a field that satisfy a predicate.
pub(crate) fn words_matching(
    connection: &Connection,
    field: &str,
    matches: impl Fn(&str) -> bool,
) -> rusqlite::Result<Vec<String>> {
    let mut statement =
        connection.prepare_cached("SELECT word FROM trial_word WHERE field = ?1")?;
    let mut rows = statement.query([field])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let word = row.get_ref(0)?.as_str()?;
        if matches(word) {
            found.push(word.to_owned());
        }
    }
    Ok(found)
}
