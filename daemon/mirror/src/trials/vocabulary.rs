//! Words that stand in the columns of trials: remembered when they come, looked up by filters.
//!
//! There are few of them (agents, models, tasks, types of errors), so a filter compares those, in
//! Rust and as leniently as it likes, and SQL gets the exact words that fit.

use std::collections::BTreeSet;

use docks_proto::query::{ErrorFilter, RewardFilter, Row, TrialFilter};
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::list::clauses::Filter;

/// Columns whose words are remembered, in the order of [`Words::others`].
const FIELDS: [&str; 4] = ["task", "agent", "model", "error"];

/// Words of some trials.
#[derive(Debug, Default)]
pub(crate) struct Words {
    statuses: BTreeSet<String>,
    others: [BTreeSet<String>; 4],
}

impl Words {
    /// Takes the words of a trial.
    pub(crate) fn note(&mut self, row: &Row) {
        let words = [&row.task, &row.agent, &row.model, &row.error];
        let others = self.others.iter_mut().zip(words);
        let others = others.filter(|(_, word)| !word.is_empty());
        for (known, word) in others.chain([(&mut self.statuses, &row.status)]) {
            // Most trials bring nothing new, and a copy of every word would be felt.
            if !known.contains(word) {
                known.insert(word.clone());
            }
        }
    }

    /// Writes down those that are new.
    pub(crate) fn remember(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement =
            connection.prepare_cached("INSERT OR IGNORE INTO trial_status VALUES (?1)")?;
        for status in &self.statuses {
            statement.execute([status])?;
        }
        let mut statement =
            connection.prepare_cached("INSERT OR IGNORE INTO trial_word VALUES (?1, ?2)")?;
        for (field, words) in FIELDS.iter().zip(&self.others) {
            for word in words {
                statement.execute([field, word.as_str()])?;
            }
        }
        Ok(())
    }
}

/// The one word of a column that a filter comes down to, if it is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Narrow {
    /// Nothing so narrow.
    No,
    /// One type of error.
    OneError,
}

/// Adds what is asked of trials.
pub(crate) fn restrict(
    connection: &Connection,
    filter: &mut Filter,
    asked: &TrialFilter,
) -> rusqlite::Result<Narrow> {
    if !asked.agent.is_empty() {
        let fits = |word: &str| asked.matches_agent(word);
        filter.and_one_of("agent", &words(connection, "agent", fits)?);
    }
    if !asked.model.is_empty() {
        let fits = |word: &str| asked.matches_model(word);
        filter.and_one_of("model", &words(connection, "model", fits)?);
    }
    if !asked.task.is_empty() {
        let fits = |word: &str| asked.matches_task(word);
        filter.and_one_of("task", &words(connection, "task", fits)?);
    }
    for wanted in &asked.reward {
        match wanted {
            RewardFilter::Any => filter.and("reward IS NOT NULL", []),
            RewardFilter::None => filter.and("reward IS NULL", []),
            RewardFilter::Is(compared, number) => {
                let condition = format!("reward {} ?", compared.operator());
                filter.and(&condition, [Value::Real(*number)]);
            }
        }
    }
    errors(connection, filter, asked)
}

fn errors(
    connection: &Connection,
    filter: &mut Filter,
    asked: &TrialFilter,
) -> rusqlite::Result<Narrow> {
    if asked.error.is_empty() {
        return Ok(Narrow::No);
    }
    let (any, none) = (
        asked.error.contains(&ErrorFilter::Any),
        asked.error.contains(&ErrorFilter::None),
    );
    match (any, none) {
        (true, true) => return Ok(Narrow::No),
        (true, false) => filter.and("error <> ''", []),
        (false, true) => {
            let mut found = words(connection, "error", |word| asked.matches_error(word))?;
            found.push(String::new());
            filter.and_one_of("error", &found);
        }
        (false, false) => {
            let found = words(connection, "error", |word| asked.matches_error(word))?;
            // Said so that SQLite sees that the index of errors has them.
            filter.and("error <> ''", []);
            filter.and_one_of("error", &found);
            if found.len() == 1 {
                return Ok(Narrow::OneError);
            }
        }
    }
    Ok(Narrow::No)
}

fn words(
    connection: &Connection,
    field: &str,
    fits: impl Fn(&str) -> bool,
) -> rusqlite::Result<Vec<String>> {
    let mut statement =
        connection.prepare_cached("SELECT word FROM trial_word WHERE field = ?1")?;
    let mut rows = statement.query([field])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let word = row.get_ref(0)?.as_str()?;
        if fits(word) {
            found.push(word.to_owned());
        }
    }
    Ok(found)
}
