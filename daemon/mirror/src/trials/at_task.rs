//! Reads what figures are made of, for the trials at one task.

use std::collections::HashMap;

use docks_statistics::trial::{FactsList, RunFacts};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension};

use super::facts::{RUN_COLUMNS, RUNS, from_text, run_from_row};
use super::vocabulary::words_matching;
use crate::digest::damaged;

/// The tasks that a name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TaskMatch {
    /// This one.
    One(String),
    /// Several begin with the name, or are written alike but for case.
    Several(Vec<String>),
    /// None.
    None,
}

/// Finds a task by its name, compared without case if none is written like that, or by a unique beginning of it.
pub(crate) fn find_task(connection: &Connection, name: &str) -> rusqlite::Result<TaskMatch> {
    let begins = |word: &str| {
        let beginning = word.get(..name.len());
        beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(name))
    };
    let mut found = words_matching(connection, "task", begins)?;
    if found.iter().any(|word| word == name) {
        return Ok(TaskMatch::One(name.to_owned()));
    }
    if found.iter().any(|word| word.len() == name.len()) {
        found.retain(|word| word.len() == name.len());
    }
    Ok(match found.len() {
        0 => TaskMatch::None,
        1 => TaskMatch::One(found.remove(0)),
        _ => TaskMatch::Several(found),
    })
}

/// A trial as it is stored.
struct StoredFacts {
    position: i64,
    seq: i64,
    /// Empty where an earlier release wrote none.
    encoded: Vec<u8>,
}

/// Reads the facts of those of these rows that are trials at a task, runs oldest first, each run's in their order.
pub(crate) fn read_at_task(
    connection: &Connection,
    task: &str,
    rows: impl IntoIterator<Item = i64>,
) -> rusqlite::Result<FactsList> {
    let mut by_list: HashMap<i64, Vec<StoredFacts>> = HashMap::new();
    let mut statement = connection.prepare_cached(FACTS_OF_ROW)?;
    for seq in rows {
        let found = statement
            .query_row((seq, task), |row| {
                let trial = StoredFacts {
                    position: row.get(1)?,
                    seq,
                    encoded: match row.get_ref(2)? {
                        ValueRef::Blob(facts) => facts.to_vec(),
                        _ => Vec::new(),
                    },
                };
                Ok((row.get(0)?, trial))
            })
            .optional()?;
        if let Some((list, trial)) = found {
            by_list.entry(list).or_default().push(trial);
        }
    }
    let mut find_run =
        connection.prepare_cached(&format!("SELECT {RUN_COLUMNS} FROM {RUNS} AND l.seq = ?1"))?;
    let mut runs: Vec<(RunFacts, Vec<StoredFacts>)> = Vec::new();
    for (list, trials) in by_list {
        let run = find_run.query_row([list], run_from_row).optional()?;
        runs.extend(run.map(|(_, run)| (run, trials)));
    }
    runs.sort_by(|(a, _), (b, _)| (a.created_ms, &a.id).cmp(&(b.created_ms, &b.id)));
    let mut facts = FactsList::default();
    for (run, mut trials) in runs {
        facts.begin_run(run);
        trials.sort_unstable_by_key(|trial| (trial.position, trial.seq));
        for trial in trials {
            let is_read = facts.push(&trial.encoded);
            if !is_read && !facts.push(&from_text(connection, trial.seq)?) {
                return Err(damaged("a trial's facts"));
            }
        }
    }
    Ok(facts)
}

/// Rows of one task are few, so each is looked up by its number.
const FACTS_OF_ROW: &str =
    "SELECT list, position, facts FROM trials WHERE seq = ?1 AND task = ?2 AND gone_ms IS NULL";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::in_memory;

    #[test]
    fn a_task_is_found_by_its_name_or_a_unique_beginning() {
        let connection = in_memory();
        connection
            .execute_batch(
                "INSERT INTO trial_word VALUES ('task', 'sum'), ('task', 'sum-orders'),
                   ('task', 'Hello'), ('task', 'hello'), ('task', 'é'), ('agent', 'other');",
            )
            .unwrap();
        let one = |name: &str| TaskMatch::One(name.to_owned());
        for (name, expected) in [
            ("sum", one("sum")),
            ("SUM", one("sum")),
            ("sum-", one("sum-orders")),
            ("hello", one("hello")),
            (
                "HELLO",
                TaskMatch::Several(vec!["Hello".to_owned(), "hello".to_owned()]),
            ),
            (
                "su",
                TaskMatch::Several(vec!["sum".to_owned(), "sum-orders".to_owned()]),
            ),
            ("é", one("é")),
            ("e", TaskMatch::None),
            ("other", TaskMatch::None),
        ] {
            assert_eq!(find_task(&connection, name).unwrap(), expected, "{name}");
        }
    }
}
