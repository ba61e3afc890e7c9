//! Lists: filter, order, cut, and the stored texts joined.
//!
//! Answers exactly as [`docks_proto::query::apply_query`] does on the same objects.

use docks_proto::query::{ListKind, ListQuery, SearchText, Sort, SortKey};
use docks_proto::routes::RunKind;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use crate::confirmations::confirmed;
use crate::list::clauses::{Cut, Filter, Joined, order, texts};
use crate::trials::vocabulary as trial_words;
use crate::{Listing, Resource};

/// Up to so many statuses, each is walked in order by itself and the walks are merged.
const MERGED_STATUSES: usize = 16;

/// Reads a list of runs.
pub(crate) fn runs(
    connection: &Connection,
    kind: RunKind,
    query: &ListQuery,
) -> rusqlite::Result<Listing> {
    let source = Source {
        list: ListKind::Runs,
        owner: Value::Text(kind.name().to_owned()),
    };
    let mut listing = source.read(connection, query, || tally(connection, kind))?;
    listing.confirmation = confirmed(connection, &Resource::List(kind))?;
    Ok(listing)
}

/// Reads the trials of a run; `None` when its list was never mirrored.
pub(crate) fn trials(
    connection: &Connection,
    run: &str,
    query: &ListQuery,
) -> rusqlite::Result<Option<Listing>> {
    let resource = Resource::Trials(run.to_owned());
    let Some(confirmed) = confirmed(connection, &resource)? else {
        return Ok(None);
    };
    let list: Option<(i64, i64)> = connection
        .prepare_cached("SELECT seq, rows FROM trial_list WHERE run = ?1")?
        .query_row([run], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((list, rows)) = list else {
        return Ok(None);
    };
    let source = Source {
        list: ListKind::Trials,
        owner: Value::Integer(list),
    };
    let mut listing = if query.status.is_empty() {
        source.read(connection, query, || Ok(vec![(String::new(), rows)]))?
    } else {
        source.read(connection, query, || source.statuses(connection))?
    };
    listing.confirmation = Some(confirmed);
    Ok(Some(listing))
}

/// Live rows of a kind per status.
fn tally(connection: &Connection, kind: RunKind) -> rusqlite::Result<Vec<(String, i64)>> {
    let mut statement =
        connection.prepare_cached("SELECT status, rows FROM tally WHERE kind = ?1")?;
    let rows = statement.query_map([kind.name()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// Which rows a list is made of.
struct Source {
    list: ListKind,
    owner: Value,
}

impl Source {
    fn table(&self) -> &'static str {
        match self.list {
            ListKind::Runs => "runs",
            ListKind::Trials | ListKind::AllTrials => "trials",
        }
    }

    fn all(&self) -> Filter {
        let owner = match self.list {
            ListKind::Runs => "kind",
            ListKind::Trials | ListKind::AllTrials => "list",
        };
        Filter {
            sql: format!("{owner} = ? AND gone_ms IS NULL"),
            values: vec![self.owner.clone()],
            never: false,
        }
    }

    /// Live rows per status, counted.
    fn statuses(&self, connection: &Connection) -> rusqlite::Result<Vec<(String, i64)>> {
        let filter = self.all();
        let mut statement = connection.prepare_cached(&format!(
            "SELECT status, count(*) FROM {} WHERE {} GROUP BY status",
            self.table(),
            filter.sql
        ))?;
        let rows = statement.query_map(params_from_iter(filter.values), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        rows.collect()
    }

    /// Answers a question; `counts` are the live rows per status.
    fn read(
        &self,
        connection: &Connection,
        query: &ListQuery,
        counts: impl FnOnce() -> rusqlite::Result<Vec<(String, i64)>>,
    ) -> rusqlite::Result<Listing> {
        let counts = counts()?;
        let wanted: Vec<&(String, i64)> = counts
            .iter()
            .filter(|(status, _)| {
                let same = |asked: &String| asked.eq_ignore_ascii_case(status);
                query.status.is_empty() || query.status.iter().any(same)
            })
            .collect();
        let mut filter = self.all();
        filter.and_made(query);
        if self.list != ListKind::Runs {
            trial_words::restrict(connection, &mut filter, &query.trials)?;
        }
        let statuses: Vec<&str> = wanted.iter().map(|(status, _)| status.as_str()).collect();
        let sort = query.sort.unwrap_or_else(|| Sort::default_for(self.list));
        let cut = Cut::of(query);
        if let Some(text) = &query.search {
            if !query.status.is_empty() {
                filter.and_one_of("status", &statuses);
            }
            let found = self.search(connection, &filter, sort, &SearchText::new(text))?;
            let rows = texts(connection, self.table(), cut.of_rows(&found))?;
            return Ok(rows.listing(found.len() as u64));
        }
        let (mut merged, many) = (filter.clone(), statuses.len());
        if !query.status.is_empty() {
            filter.and_one_of("status", &statuses);
        }
        let by_status_only = query.since.is_none()
            && query.until.is_none()
            && (self.list == ListKind::Runs || query.trials.is_empty());
        let total = if by_status_only {
            wanted.iter().map(|(_, rows)| rows.unsigned_abs()).sum()
        } else {
            self.count(connection, &filter)?
        };
        let walked = self.list == ListKind::Runs
            && sort.key == SortKey::Created
            && query.limit > 0
            && !query.status.is_empty()
            && (2..=MERGED_STATUSES).contains(&many);
        if walked {
            merged.and("status = ?", []);
            let keys = self.merge(connection, &merged, &statuses, sort, cut)?;
            return Ok(texts(connection, self.table(), &keys)?.listing(total));
        }
        Ok(self.walk(connection, filter, sort, cut)?.listing(total))
    }

    fn count(&self, connection: &Connection, filter: &Filter) -> rusqlite::Result<u64> {
        connection
            .prepare_cached(&format!(
                "SELECT count(*) FROM {} WHERE {}",
                self.table(),
                filter.sql
            ))?
            .query_row(params_from_iter(&filter.values), |row| row.get::<_, i64>(0))
            .map(i64::unsigned_abs)
    }

    /// Joins the texts in the order of the index, or of a sort where no index has it.
    fn walk(
        &self,
        connection: &Connection,
        mut filter: Filter,
        sort: Sort,
        cut: Cut,
    ) -> rusqlite::Result<Joined> {
        filter.values.push(Value::Integer(cut.limit));
        filter.values.push(Value::Integer(cut.offset));
        let mut statement = connection.prepare_cached(&format!(
            "SELECT body FROM {} WHERE {} ORDER BY {} LIMIT ? OFFSET ?",
            self.table(),
            filter.sql,
            order(sort)
        ))?;
        let mut rows = statement.query(params_from_iter(filter.values))?;
        let mut joined = Joined::new();
        while let Some(row) = rows.next()? {
            joined.push(row.get_ref(0)?.as_bytes()?);
        }
        Ok(joined)
    }

    /// Walks the index once per status and merges; no walk is longer than the cut.
    fn merge(
        &self,
        connection: &Connection,
        filter: &Filter,
        statuses: &[&str],
        sort: Sort,
        cut: Cut,
    ) -> rusqlite::Result<Vec<i64>> {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT created_ms, id, seq FROM {} WHERE {} ORDER BY {} LIMIT ?",
            self.table(),
            filter.sql,
            order(sort)
        ))?;
        let mut keys: Vec<(Option<i64>, String, i64)> = Vec::new();
        for status in statuses {
            let mut values = filter.values.clone();
            values.push(Value::Text((*status).to_owned()));
            values.push(Value::Integer(cut.offset.saturating_add(cut.limit)));
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
        let keys: Vec<i64> = keys.into_iter().map(|(_, _, seq)| seq).collect();
        Ok(cut.of_rows(&keys).to_vec())
    }

    /// Finds the rows that contain a text, in order; reads every row's names.
    fn search(
        &self,
        connection: &Connection,
        filter: &Filter,
        sort: Sort,
        needle: &SearchText,
    ) -> rusqlite::Result<Vec<i64>> {
        let names: &[&str] = match self.list {
            ListKind::Runs => &["id", "name"],
            ListKind::Trials | ListKind::AllTrials => &["id", "name", "task", "agent"],
        };
        let mut statement = connection.prepare_cached(&format!(
            "SELECT seq, {} FROM {} WHERE {} ORDER BY {}",
            names.join(", "),
            self.table(),
            filter.sql,
            order(sort)
        ))?;
        let mut rows = statement.query(params_from_iter(&filter.values))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            for column in 1..=names.len() {
                if needle.is_in(row.get_ref(column)?.as_str()?) {
                    found.push(row.get(0)?);
                    break;
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::open::{in_memory, plan_of};

    /// The plan's lines for a walk.
    fn plan(list: ListKind, status: Option<&str>) -> String {
        let connection = in_memory();
        let source = Source {
            list,
            owner: Value::Integer(1),
        };
        let mut filter = source.all();
        if status.is_some() {
            filter.and("status = ?", []);
        }
        let sql = format!(
            "SELECT body FROM {} WHERE {} ORDER BY {} LIMIT ? OFFSET ?",
            source.table(),
            filter.sql,
            order(Sort::default_for(list))
        );
        plan_of(&connection, &sql)
    }

    #[test]
    fn the_usual_lists_are_walks_of_an_index() {
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
