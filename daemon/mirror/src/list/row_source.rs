//! The live rows that belong to one owner: runs of a kind, or trials of a run.

use docks_proto::query::{ListKind, ListQuery, SearchText, Sort, SortKey};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::listing::{JsonArray, Listing};
use super::page::Page;
use super::search::search;
use super::sort_order::order_by;
use super::trial_filter;
use super::where_clause::WhereClause;
use crate::digest::sound_text;

/// Up to this many statuses, the index is walked once per status and the walks are merged.
const MAX_MERGED_STATUSES: usize = 16;

/// The live rows of one owner.
pub(super) struct RowSource {
    pub(super) list: ListKind,
    /// Kind of the runs, or row number of the trial list.
    pub(super) owner: Value,
}

impl RowSource {
    fn table(&self) -> &'static str {
        match self.list {
            ListKind::Runs => "runs",
            ListKind::Trials | ListKind::AllTrials => "trials",
        }
    }

    fn live_rows(&self) -> WhereClause {
        let owner = match self.list {
            ListKind::Runs => "kind",
            ListKind::Trials | ListKind::AllTrials => "list",
        };
        WhereClause::new(
            format!("{owner} = ? AND gone_ms IS NULL"),
            vec![self.owner.clone()],
        )
    }

    /// Counts the live rows by status.
    pub(super) fn count_by_status(
        &self,
        connection: &Connection,
    ) -> rusqlite::Result<Vec<(String, i64)>> {
        let clause = self.live_rows();
        let mut statement = connection.prepare_cached(&format!(
            "SELECT status, count(*) FROM {} WHERE {} GROUP BY status",
            self.table(),
            clause.sql
        ))?;
        let rows = statement.query_map(params_from_iter(clause.values), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        rows.collect()
    }

    /// Lists the rows that a query selects; `counts` are the live rows by status.
    pub(super) fn list(
        &self,
        connection: &Connection,
        query: &ListQuery,
        counts: &[(String, i64)],
    ) -> rusqlite::Result<Listing> {
        let filters_status = !query.status.is_empty();
        let selected: Vec<&(String, i64)> = counts
            .iter()
            .filter(|(status, _)| {
                let equals = |other: &String| other.eq_ignore_ascii_case(status);
                !filters_status || query.status.iter().any(equals)
            })
            .collect();
        let statuses: Vec<&str> = selected.iter().map(|(status, _)| status.as_str()).collect();
        let mut any_status = self.live_rows();
        any_status.and_created_between(query);
        if self.list != ListKind::Runs {
            trial_filter::add_conditions(connection, &mut any_status, &query.trials)?;
        }
        let mut clause = any_status.clone();
        if filters_status {
            clause.and_one_of("status", &statuses);
        }
        let sort = query.sort.unwrap_or_else(|| Sort::default_for(self.list));
        let page = Page::from_query(query);
        if let Some(text) = &query.search {
            let found = self.search(connection, &clause, sort, &SearchText::new(text))?;
            let array = JsonArray::from_rows(connection, self.table(), page.slice(&found))?;
            return Ok(array.into_listing(found.len() as u64));
        }
        let filters_status_only = query.since.is_none()
            && query.until.is_none()
            && (self.list == ListKind::Runs || query.trials.is_empty());
        let total = if filters_status_only {
            selected.iter().map(|(_, rows)| rows.unsigned_abs()).sum()
        } else {
            self.count(connection, &clause)?
        };
        let merges_statuses = self.list == ListKind::Runs
            && sort.key == SortKey::Created
            && query.limit > 0
            && filters_status
            && (2..=MAX_MERGED_STATUSES).contains(&statuses.len());
        let array = if merges_statuses {
            let rows = self.merge_statuses(connection, any_status, &statuses, sort, page)?;
            JsonArray::from_rows(connection, self.table(), &rows)?
        } else {
            self.read_in_order(connection, clause, sort, page)?
        };
        Ok(array.into_listing(total))
    }

    fn count(&self, connection: &Connection, clause: &WhereClause) -> rusqlite::Result<u64> {
        connection
            .prepare_cached(&format!(
                "SELECT count(*) FROM {} WHERE {}",
                self.table(),
                clause.sql
            ))?
            .query_row(params_from_iter(&clause.values), |row| row.get::<_, i64>(0))
            .map(i64::unsigned_abs)
    }

    /// Reads the texts of a page in the order of an index, or sorted if no index has that order.
    fn read_in_order(
        &self,
        connection: &Connection,
        mut clause: WhereClause,
        sort: Sort,
        page: Page,
    ) -> rusqlite::Result<JsonArray> {
        clause.values.push(Value::Integer(page.limit));
        clause.values.push(Value::Integer(page.offset));
        let mut statement = connection.prepare_cached(&format!(
            "SELECT body, digest FROM {} WHERE {} ORDER BY {} LIMIT ? OFFSET ?",
            self.table(),
            clause.sql,
            order_by(sort)
        ))?;
        let mut rows = statement.query(params_from_iter(clause.values))?;
        let mut array = JsonArray::new();
        while let Some(row) = rows.next()? {
            array.push(sound_text(row, 0)?);
        }
        Ok(array)
    }

    /// Walks the index once per status, no further than the page, and merges the walks.
    fn merge_statuses(
        &self,
        connection: &Connection,
        mut clause: WhereClause,
        statuses: &[&str],
        sort: Sort,
        page: Page,
    ) -> rusqlite::Result<Vec<i64>> {
        clause.and("status = ?", []);
        let mut statement = connection.prepare_cached(&format!(
            "SELECT created_ms, id, seq FROM {} WHERE {} ORDER BY {} LIMIT ?",
            self.table(),
            clause.sql,
            order_by(sort)
        ))?;
        let mut keys: Vec<(Option<i64>, String, i64)> = Vec::new();
        for status in statuses {
            let mut values = clause.values.clone();
            values.push(Value::Text((*status).to_owned()));
            values.push(Value::Integer(page.offset.saturating_add(page.limit)));
            let rows = statement.query_map(params_from_iter(values), |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
            for row in rows {
                keys.push(row?);
            }
        }
        keys.sort_unstable();
        if sort.is_descending() {
            keys.reverse();
        }
        let rows: Vec<i64> = keys.into_iter().map(|(_, _, seq)| seq).collect();
        Ok(page.slice(&rows).to_vec())
    }

    fn search(
        &self,
        connection: &Connection,
        clause: &WhereClause,
        sort: Sort,
        text: &SearchText,
    ) -> rusqlite::Result<Vec<i64>> {
        let names = match self.list {
            ListKind::Runs => "id, name",
            ListKind::Trials | ListKind::AllTrials => "id, name, task, agent",
        };
        let sql = format!(
            "SELECT seq, {names} FROM {} WHERE {} ORDER BY {}",
            self.table(),
            clause.sql,
            order_by(sort)
        );
        search(connection, &sql, &clause.values, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{in_memory, query_plan};

    fn plan(list: ListKind, status: Option<&str>) -> String {
        let connection = in_memory();
        let source = RowSource {
            list,
            owner: Value::Integer(1),
        };
        let mut clause = source.live_rows();
        if status.is_some() {
            clause.and("status = ?", []);
        }
        let sql = format!(
            "SELECT body, digest FROM {} WHERE {} ORDER BY {} LIMIT ? OFFSET ?",
            source.table(),
            clause.sql,
            order_by(Sort::default_for(list))
        );
        query_plan(&connection, &sql)
    }

    #[test]
    fn the_usual_lists_walk_an_index_and_sort_nothing() {
        for (plan, index) in [
            (plan(ListKind::Runs, None), "runs_by_created"),
            (plan(ListKind::Runs, Some("failed")), "runs_by_status"),
            (plan(ListKind::Trials, None), "trials_by_position"),
        ] {
            assert!(plan.contains(index), "{plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{plan}");
        }
    }
}
