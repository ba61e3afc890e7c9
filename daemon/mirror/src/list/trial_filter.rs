//! The conditions that a filter on trials adds to a list.

use docks_proto::query::{ErrorFilter, RewardFilter, TrialFilter};
use rusqlite::Connection;
use rusqlite::types::Value;

use super::where_clause::WhereClause;
use crate::trials::words_matching;

/// How selective a filter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Selectivity {
    /// Unknown.
    Any,
    /// Only trials with one certain type of error match.
    OneError,
}

/// Adds the conditions of a filter.
pub(super) fn add_conditions(
    connection: &Connection,
    clause: &mut WhereClause,
    filter: &TrialFilter,
) -> rusqlite::Result<Selectivity> {
    if !filter.agent.is_empty() {
        let matches = |word: &str| filter.matches_agent(word);
        clause.and_one_of("agent", &words_matching(connection, "agent", matches)?);
    }
    if !filter.model.is_empty() {
        let matches = |word: &str| filter.matches_model(word);
        clause.and_one_of("model", &words_matching(connection, "model", matches)?);
    }
    if !filter.task.is_empty() {
        let matches = |word: &str| filter.matches_task(word);
        clause.and_one_of("task", &words_matching(connection, "task", matches)?);
    }
    for reward in &filter.reward {
        match reward {
            RewardFilter::Any => clause.and("reward IS NOT NULL", []),
            RewardFilter::None => clause.and("reward IS NULL", []),
            RewardFilter::Is(comparison, number) => {
                let condition = format!("reward {} ?", comparison.operator());
                clause.and(&condition, [Value::Real(*number)]);
            }
        }
    }
    add_error_condition(connection, clause, filter)
}

fn add_error_condition(
    connection: &Connection,
    clause: &mut WhereClause,
    filter: &TrialFilter,
) -> rusqlite::Result<Selectivity> {
    if filter.error.is_empty() {
        return Ok(Selectivity::Any);
    }
    let errors = || words_matching(connection, "error", |word| filter.matches_error(word));
    let (any, none) = (
        filter.error.contains(&ErrorFilter::Any),
        filter.error.contains(&ErrorFilter::None),
    );
    match (any, none) {
        (true, true) => {}
        (true, false) => clause.and("error <> ''", []),
        (false, true) => {
            let mut words = errors()?;
            words.push(String::new());
            clause.and_one_of("error", &words);
        }
        (false, false) => {
            let words = errors()?;
            // Redundant, but it lets SQLite use the partial index on errors.
            clause.and("error <> ''", []);
            clause.and_one_of("error", &words);
            if words.len() == 1 {
                return Ok(Selectivity::OneError);
            }
        }
    }
    Ok(Selectivity::Any)
}
