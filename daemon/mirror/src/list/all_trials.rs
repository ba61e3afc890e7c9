//! Trials of all evaluation runs in one list, each marked with its run.
//!
//! A mirror can hold a million trials. So an index that holds every column is walked, the indexes
//! are named, and texts are read only for the rows of the page.

use std::collections::HashSet;

use docks_proto::query::{ListKind, ListQuery, SearchText, Sort, SortKey};
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use docks_proto::trial::add_run_reference;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::listing::{JsonArray, Listing};
use super::page::Page;
use super::search::search;
use super::sort_order::{direction, order_by};
use super::trial_filter::{self, Selectivity};
use super::where_clause::WhereClause;
use crate::confirmations;
use crate::digest::sound_text;
use crate::resource::{Confirmation, Resource};

/// The index that holds every column used by filters and searches.
const BY_CREATED: &str = "trials INDEXED BY trials_by_created";

/// The trial lists of tombstones, whose trials are left out.
const LISTS_OF_GONE_RUNS: &str = "SELECT l.seq FROM runs r INDEXED BY runs_gone \
                                  JOIN trial_list l ON l.run = r.id \
                                  WHERE r.gone_ms IS NOT NULL AND r.kind = 'evaluation'";

/// Which trials count for the age of a list of all trials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgeOfTrials {
    /// Those that may still change by themselves: of runs that have not ended, or that ended since they were
    /// mirrored.
    Unsettled,
    /// Those of ended runs, too, which somebody may have changed, as by grading them again.
    All,
}

/// Lists the trials of all evaluation runs.
pub(crate) fn list_all_trials(
    connection: &Connection,
    query: &ListQuery,
    age: AgeOfTrials,
) -> rusqlite::Result<Listing> {
    let sort = query
        .sort
        .unwrap_or_else(|| Sort::default_for(ListKind::AllTrials));
    let scan = TrialScan::new(connection, query, sort)?;
    let page = Page::from_query(query);
    let (rows, total) = match &query.search {
        _ if scan.clause.matches_nothing => (Vec::new(), 0),
        Some(text) => {
            let found = scan.search(connection, &SearchText::new(text))?;
            (page.slice(&found).to_vec(), found.len() as u64)
        }
        None => (scan.rows(connection, page)?, scan.count(connection, query)?),
    };
    let mut listing = texts_with_run(connection, &rows)?.into_listing(total);
    listing.confirmation = oldest_confirmation(connection, age)?;
    Ok(listing)
}

/// Returns the rows of the trials that meet the filters of a query, of all evaluation runs; `None` if it has no filters.
pub(crate) fn matching_trials(
    connection: &Connection,
    query: &ListQuery,
) -> rusqlite::Result<Option<HashSet<i64>>> {
    if !query.has_filters() {
        return Ok(None);
    }
    let scan = TrialScan::new(connection, query, Sort::default_for(ListKind::AllTrials))?;
    let rows = match &query.search {
        _ if scan.clause.matches_nothing => Vec::new(),
        Some(text) => scan.search(connection, &SearchText::new(text))?,
        None => scan.rows(connection, Page::ALL)?,
    };
    Ok(Some(rows.into_iter().collect()))
}

/// Whether the index [`BY_CREATED`] also holds the column of a sort key.
fn is_covered(key: SortKey) -> bool {
    matches!(
        key,
        SortKey::Created
            | SortKey::Id
            | SortKey::Name
            | SortKey::Status
            | SortKey::Task
            | SortKey::Agent
            | SortKey::Model
            | SortKey::Error
            | SortKey::Reward
    )
}

/// How the rows are found.
struct TrialScan {
    clause: WhereClause,
    /// The table with the index to walk.
    table: &'static str,
    order_by: String,
    /// Row numbers of the trial lists of tombstones.
    hidden_lists: Vec<i64>,
}

impl TrialScan {
    fn new(connection: &Connection, query: &ListQuery, sort: Sort) -> rusqlite::Result<Self> {
        let mut clause = WhereClause::new("gone_ms IS NULL", Vec::new());
        clause.and_created_between(query);
        let hidden_lists: Vec<i64> = connection
            .prepare_cached(LISTS_OF_GONE_RUNS)?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        if !hidden_lists.is_empty() {
            clause.and(&format!("list NOT IN ({LISTS_OF_GONE_RUNS})"), []);
        }
        let selectivity = trial_filter::add_conditions(connection, &mut clause, &query.trials)?;
        if !query.status.is_empty() {
            clause.and_one_of("status", &stored_statuses(connection, query)?);
        }
        let table = match selectivity {
            Selectivity::OneError => "trials INDEXED BY trials_by_error",
            Selectivity::Any if is_covered(sort.key) => BY_CREATED,
            // Looking up every row from an index takes longer than scanning the table.
            Selectivity::Any => "trials NOT INDEXED",
        };
        Ok(Self {
            clause,
            table,
            // Trials of two runs may have the same id.
            order_by: format!("{}, list {}", order_by(sort), direction(sort)),
            hidden_lists,
        })
    }

    fn rows(&self, connection: &Connection, page: Page) -> rusqlite::Result<Vec<i64>> {
        let mut values = self.clause.values.clone();
        values.push(Value::Integer(page.limit));
        values.push(Value::Integer(page.offset));
        let mut statement = connection.prepare_cached(&format!(
            "SELECT seq FROM {} WHERE {} ORDER BY {} LIMIT ? OFFSET ?",
            self.table, self.clause.sql, self.order_by
        ))?;
        let rows = statement.query_map(params_from_iter(values), |row| row.get(0))?;
        rows.collect()
    }

    fn count(&self, connection: &Connection, query: &ListQuery) -> rusqlite::Result<u64> {
        let rows: i64 = if query.has_filters() {
            // Counting needs no order, and this index holds every column that is filtered by.
            let table = self.table.replace("trials NOT INDEXED", BY_CREATED);
            connection
                .prepare_cached(&format!(
                    "SELECT count(*) FROM {table} WHERE {}",
                    self.clause.sql
                ))?
                .query_row(params_from_iter(&self.clause.values), |row| row.get(0))?
        } else {
            let all: i64 = connection
                .prepare_cached("SELECT coalesce(sum(rows), 0) FROM trial_list")?
                .query_row([], |row| row.get(0))?;
            let mut rows_of_list =
                connection.prepare_cached("SELECT rows FROM trial_list WHERE seq = ?1")?;
            let mut hidden = 0;
            for list in &self.hidden_lists {
                hidden += rows_of_list.query_row([list], |row| row.get::<_, i64>(0))?;
            }
            all - hidden
        };
        Ok(rows.unsigned_abs())
    }

    fn search(&self, connection: &Connection, text: &SearchText) -> rusqlite::Result<Vec<i64>> {
        let sql = format!(
            "SELECT seq, id, name, task, agent FROM {} WHERE {} ORDER BY {}",
            self.table, self.clause.sql, self.order_by
        );
        search(connection, &sql, &self.clause.values, text)
    }
}

/// Returns the statuses that the query names, in the spelling of the mirror.
fn stored_statuses(connection: &Connection, query: &ListQuery) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare_cached("SELECT status FROM trial_status")?;
    let all: Vec<String> = statement
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let is_named = |status: &String| query.status.iter().any(|s| s.eq_ignore_ascii_case(status));
    Ok(all.into_iter().filter(is_named).collect())
}

/// Reads the texts of these rows, each with a reference to its run in front.
fn texts_with_run(connection: &Connection, rows: &[i64]) -> rusqlite::Result<JsonArray> {
    let mut statement = connection.prepare_cached(
        "SELECT t.body, t.digest, l.run, r.name FROM trials t JOIN trial_list l ON l.seq = t.list
         LEFT JOIN runs r ON r.kind = 'evaluation' AND r.id = l.run WHERE t.seq = ?1",
    )?;
    let mut array = JsonArray::new();
    for row in rows {
        statement.query_row([row], |row| {
            let name = row.get_ref(3)?.as_str_or_null()?.unwrap_or_default();
            let (text, run) = (sound_text(row, 0)?, row.get_ref(2)?.as_str()?);
            let marked = add_run_reference(text, run, name)
                .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
            array.push(&marked);
            Ok(())
        })?;
    }
    Ok(array)
}

/// Returns the confirmation of the list: as old as the oldest part that counts.
pub(crate) fn oldest_confirmation(
    connection: &Connection,
    age: AgeOfTrials,
) -> rusqlite::Result<Option<Confirmation>> {
    let resource = Resource::List(RunKind::Evaluation);
    let Some(mut confirmation) = confirmations::read(connection, &resource)? else {
        return Ok(None);
    };
    let counted: &[(&str, &str)] = match age {
        // What was mirrored before a run ended may have changed until its end.
        AgeOfTrials::Unsettled => &[
            ("runs_active", "r.active = 1"),
            ("runs_trials_due", "r.trials_due = 1 AND r.active = 0"),
        ],
        AgeOfTrials::All => &[("runs_by_created", "1")],
    };
    for (index, condition) in counted {
        let oldest_ms: Option<i64> = connection
            .prepare_cached(&format!(
                "SELECT min(l.confirmed_ms) FROM runs r INDEXED BY {index}
                 JOIN trial_list l ON l.run = r.id
                 WHERE r.kind = 'evaluation' AND {condition} AND r.gone_ms IS NULL"
            ))?
            .query_row([], |row| row.get(0))?;
        if let Some(oldest_ms) = oldest_ms {
            confirmation.at = confirmation.at.min(UnixMs(oldest_ms));
        }
    }
    confirmation.validator = None;
    Ok(Some(confirmation))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{in_memory, query_plan};

    fn plan(query: &str) -> String {
        let connection = in_memory();
        connection
            .execute_batch(
                "INSERT INTO trial_status VALUES ('running');
                 INSERT INTO trial_word VALUES ('error', 'AgentTimeoutError'), ('agent', 'oracle'),
                   ('task', 'x');",
            )
            .unwrap();
        let query = ListQuery::parse(ListKind::AllTrials, query, 20).unwrap();
        let sort = query
            .sort
            .unwrap_or_else(|| Sort::default_for(ListKind::AllTrials));
        let scan = TrialScan::new(&connection, &query, sort).unwrap();
        let sql = format!(
            "SELECT seq FROM {} WHERE {} ORDER BY {} LIMIT ? OFFSET ?",
            scan.table, scan.clause.sql, scan.order_by
        );
        query_plan(&connection, &sql)
    }

    #[test]
    fn lists_over_all_runs_walk_an_index_and_stop_at_their_limit() {
        for (query, index) in [
            ("", "COVERING INDEX trials_by_created"),
            (
                "sort=-created&since=2026-01-01",
                "COVERING INDEX trials_by_created",
            ),
            ("agent=oracle&reward=>0", "COVERING INDEX trials_by_created"),
            ("status=running", "COVERING INDEX trials_by_created"),
            (
                "error=agenttimeouterror&agent=oracle",
                "INDEX trials_by_error",
            ),
        ] {
            let plan = plan(query);
            assert!(plan.contains(index), "{query}: {plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{query}: {plan}");
        }
        let sorted = plan("sort=reward&task=x");
        assert!(
            sorted.contains("COVERING INDEX trials_by_created"),
            "{sorted}"
        );
        let sorted = plan("sort=cost&task=x");
        assert!(sorted.contains("SCAN trials\n"), "{sorted}");
    }
}
