//! Trials of all evaluation runs in one list.
//!
//! Answers as [`docks_proto::query::apply_query`] does on all trials, each marked with its run. A mirror
//! can hold a million trials, so an index that holds every column is walked, the indexes are
//! named, and texts are read of the rows that are shown only.

use docks_proto::query::{ListKind, ListQuery, SearchText, Sort, SortKey};
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use docks_proto::trial;
use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

use crate::confirmations::confirmed;
use crate::history::events::signed;
use crate::list::clauses::{Cut, Filter, Joined, order};
use crate::trials::vocabulary::{self, Narrow};
use crate::{Confirmation, Listing, Resource, UnsettledRun};

/// Reads the list.
pub(crate) fn list(connection: &Connection, query: &ListQuery) -> rusqlite::Result<Listing> {
    let sort = query
        .sort
        .unwrap_or_else(|| Sort::default_for(ListKind::AllTrials));
    let walk = Walk::new(connection, query, sort)?;
    let cut = Cut::of(query);
    let (rows, total) = match &query.search {
        _ if walk.filter.never => (Vec::new(), 0),
        Some(text) => {
            let found = walk.search(connection, &SearchText::new(text))?;
            (cut.of_rows(&found).to_vec(), found.len() as u64)
        }
        None => (walk.rows(connection, cut)?, walk.count(connection, query)?),
    };
    let mut listing = marked(connection, &rows)?.listing(total);
    listing.confirmation = age(connection)?;
    Ok(listing)
}

/// The index that holds every column that filters and searches look at.
const BY_CREATED: &str = "trials INDEXED BY trials_by_created";

/// Tells whether that index holds what rows are ordered by, too.
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
struct Walk {
    filter: Filter,
    /// The table, and the index that is walked.
    table: &'static str,
    order: String,
    /// Lists of runs that are gone, whose trials are not shown.
    hidden: Vec<i64>,
}

impl Walk {
    fn new(connection: &Connection, query: &ListQuery, sort: Sort) -> rusqlite::Result<Self> {
        let mut filter = Filter {
            sql: "gone_ms IS NULL".to_owned(),
            values: Vec::new(),
            never: false,
        };
        filter.and_made(query);
        let hidden = hidden(connection)?;
        if !hidden.is_empty() {
            filter.and(&format!("list NOT IN ({HIDDEN})"), []);
        }
        let narrow = vocabulary::restrict(connection, &mut filter, &query.trials)?;
        if !query.status.is_empty() {
            filter.and_one_of("status", &statuses(connection, query)?);
        }
        let table = match narrow {
            Narrow::OneError => "trials INDEXED BY trials_by_error",
            Narrow::No if is_covered(sort.key) => BY_CREATED,
            // Looking every row up from an index takes longer than going through all of them.
            Narrow::No => "trials NOT INDEXED",
        };
        let direction = if sort.is_descending() { "DESC" } else { "ASC" };
        Ok(Self {
            filter,
            table,
            // Two runs may have trials of one id.
            order: format!("{}, list {direction}", order(sort)),
            hidden,
        })
    }

    fn rows(&self, connection: &Connection, cut: Cut) -> rusqlite::Result<Vec<i64>> {
        let mut values = self.filter.values.clone();
        values.push(Value::Integer(cut.limit));
        values.push(Value::Integer(cut.offset));
        let mut statement = connection.prepare_cached(&format!(
            "SELECT seq FROM {} WHERE {} ORDER BY {} LIMIT ? OFFSET ?",
            self.table, self.filter.sql, self.order
        ))?;
        let rows = statement.query_map(params_from_iter(values), |row| row.get(0))?;
        rows.collect()
    }

    fn count(&self, connection: &Connection, query: &ListQuery) -> rusqlite::Result<u64> {
        let rows: i64 = if query.has_filters() {
            // No order is asked here, and the index holds whatever is filtered by.
            let table = self.table.replace("trials NOT INDEXED", BY_CREATED);
            connection
                .prepare_cached(&format!(
                    "SELECT count(*) FROM {table} WHERE {}",
                    self.filter.sql
                ))?
                .query_row(params_from_iter(&self.filter.values), |row| row.get(0))?
        } else {
            let all: i64 = connection
                .prepare_cached("SELECT coalesce(sum(rows), 0) FROM trial_list")?
                .query_row([], |row| row.get(0))?;
            let mut one =
                connection.prepare_cached("SELECT rows FROM trial_list WHERE seq = ?1")?;
            let mut gone = 0;
            for list in &self.hidden {
                gone += one.query_row([list], |row| row.get::<_, i64>(0))?;
            }
            all - gone
        };
        Ok(rows.unsigned_abs())
    }

    /// Finds the rows that contain a text; reads the names of every row that passes the filter.
    fn search(&self, connection: &Connection, needle: &SearchText) -> rusqlite::Result<Vec<i64>> {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT seq, id, name, task, agent FROM {} WHERE {} ORDER BY {}",
            self.table, self.filter.sql, self.order
        ))?;
        let mut rows = statement.query(params_from_iter(&self.filter.values))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            for column in 1..=4 {
                if needle.is_in(row.get_ref(column)?.as_str()?) {
                    found.push(row.get(0)?);
                    break;
                }
            }
        }
        Ok(found)
    }
}

const HIDDEN: &str = "SELECT l.seq FROM runs r INDEXED BY runs_gone \
                      JOIN trial_list l ON l.run = r.id \
                      WHERE r.gone_ms IS NOT NULL AND r.kind = 'evaluation'";

fn hidden(connection: &Connection) -> rusqlite::Result<Vec<i64>> {
    connection
        .prepare_cached(HIDDEN)?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// The statuses that were asked for, as they are written in the mirror.
fn statuses(connection: &Connection, query: &ListQuery) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare_cached("SELECT status FROM trial_status")?;
    let all: Vec<String> = statement
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let asked = |status: &String| query.status.iter().any(|s| s.eq_ignore_ascii_case(status));
    Ok(all.into_iter().filter(asked).collect())
}

/// Joins the texts, each with its run in front.
fn marked(connection: &Connection, rows: &[i64]) -> rusqlite::Result<Joined> {
    let mut statement = connection.prepare_cached(
        "SELECT t.body, l.run, r.name FROM trials t JOIN trial_list l ON l.seq = t.list
         LEFT JOIN runs r ON r.kind = 'evaluation' AND r.id = l.run WHERE t.seq = ?1",
    )?;
    let mut joined = Joined::new();
    for row in rows {
        statement.query_row([row], |row| {
            let name = row.get_ref(2)?.as_str_or_null()?.unwrap_or_default();
            let (text, run) = (row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_str()?);
            let marked = trial::add_run_reference(text, run, name)
                .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
            joined.push(marked.as_bytes());
            Ok(())
        })?;
    }
    Ok(joined)
}

/// Returns how old the list is: as old as the oldest part of it that may still change.
fn age(connection: &Connection) -> rusqlite::Result<Option<Confirmation>> {
    let Some(mut list) = confirmed(connection, &Resource::List(RunKind::Evaluation))? else {
        return Ok(None);
    };
    let oldest: Option<i64> = connection
        .prepare_cached(
            "SELECT min(l.confirmed_ms) FROM runs r INDEXED BY runs_active
             JOIN trial_list l ON l.run = r.id
             WHERE r.kind = 'evaluation' AND r.active = 1 AND r.gone_ms IS NULL",
        )?
        .query_row([], |row| row.get(0))?;
    if let Some(oldest) = oldest {
        list.at = list.at.min(UnixMs(oldest));
    }
    list.validator = None;
    Ok(Some(list))
}

/// Lists runs whose trials the mirror may not have as they are now, newest first: those that have
/// not ended, and those whose trials are due.
pub(crate) fn loose_runs(
    connection: &Connection,
    most: usize,
) -> rusqlite::Result<Vec<UnsettledRun>> {
    let most = signed(most as u64);
    let mut found = Vec::new();
    for (index, condition) in [
        ("runs_active", "r.active = 1"),
        ("runs_trials_due", "r.trials_due = 1 AND r.active = 0"),
    ] {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT r.id, r.active, r.trials_due, l.confirmed_ms FROM runs r INDEXED BY {index}
             LEFT JOIN trial_list l ON l.run = r.id
             WHERE r.kind = 'evaluation' AND {condition} AND r.gone_ms IS NULL
             ORDER BY r.created_ms DESC, r.id DESC LIMIT ?1"
        ))?;
        let rows = statement.query_map(params![most], |row| {
            Ok(UnsettledRun {
                id: row.get(0)?,
                active: row.get(1)?,
                due: row.get(2)?,
                trials_confirmed_at: row.get::<_, Option<i64>>(3)?.map(UnixMs),
            })
        })?;
        for row in rows {
            found.push(row?);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::open::{in_memory, plan_of};

    fn plan(question: &str) -> String {
        let connection = in_memory();
        connection
            .execute_batch(
                "INSERT INTO trial_status VALUES ('running');
                 INSERT INTO trial_word VALUES ('error', 'AgentTimeoutError'), ('agent', 'oracle'),
                   ('task', 'x');",
            )
            .unwrap();
        let query = ListQuery::parse(ListKind::AllTrials, question, 20).unwrap();
        let sort = query
            .sort
            .unwrap_or_else(|| Sort::default_for(ListKind::AllTrials));
        let walk = Walk::new(&connection, &query, sort).unwrap();
        let sql = format!(
            "SELECT seq FROM {} WHERE {} ORDER BY {} LIMIT ? OFFSET ?",
            walk.table, walk.filter.sql, walk.order
        );
        plan_of(&connection, &sql)
    }

    #[test]
    fn lists_over_all_runs_are_walks_of_an_index_that_end_with_their_limit() {
        for (question, index) in [
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
            let plan = plan(question);
            assert!(plan.contains(index), "{question}: {plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{question}: {plan}");
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
