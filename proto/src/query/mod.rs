//! Questions to a list: filter, order, then cut.
//!
//! The daemon answers them from SQL; without a daemon the CLI asks the remote
//! for everything and applies the same question with [`apply_query`].

mod row;
mod sort;
mod trial_filter;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

pub use row::{Row, SearchText, apply_query, full_object_text, object_key};
pub use sort::{Sort, SortKey};
pub use trial_filter::{Comparison, ErrorFilter, RewardFilter, TrialFilter};

use crate::time::UnixMs;

/// How many rows a list has when nobody says.
pub const DEFAULT_LIMIT: u64 = 20;

/// Largest number in a question: what every JSON reader and SQLite can hold.
pub const MAX_NUMBER: u64 = i64::MAX.unsigned_abs();

/// Which list is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListKind {
    /// Runs or evaluation runs.
    Runs,
    /// Trials of a run.
    Trials,
    /// Trials of all evaluation runs.
    AllTrials,
}

/// Says why a query string is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A number that is none, or is negative.
    #[error("`{name}` must be a whole number from 0 up, not `{given}`")]
    Number {
        /// The parameter.
        name: &'static str,
        /// What was given.
        given: String,
    },
    /// A sort key that the list does not have.
    #[error("unknown sort key `{given}`; known: {known}")]
    Sort {
        /// What was given.
        given: String,
        /// What would do.
        known: String,
    },
    /// A time that is none.
    #[error("`{name}` must be an ISO 8601 time, not `{given}`")]
    Time {
        /// The parameter.
        name: &'static str,
        /// What was given.
        given: String,
    },
    /// A condition on the reward that is none.
    #[error(
        "a reward is `none`, `any`, a number, or one after `=`, `!=`, `<`, `<=`, `>` or `>=`, not `{given}`"
    )]
    Reward {
        /// What was given.
        given: String,
    },
}

/// A question to a list. Filters apply before `offset` and `limit`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ListQuery {
    /// Rows at most; 0 is all.
    pub limit: u64,
    /// Rows to leave out first.
    pub offset: u64,
    /// Any of these statuses, compared without case; empty is any.
    pub status: Vec<String>,
    /// Text that id, name, task or agent contains, compared without case.
    pub search: Option<String>,
    /// Made at or after.
    pub since: Option<UnixMs>,
    /// Made before.
    pub until: Option<UnixMs>,
    /// In which order.
    pub sort: Option<Sort>,
    /// What else is asked of trials; of no meaning for runs.
    pub trials: TrialFilter,
}

impl Default for ListQuery {
    fn default() -> Self {
        Self {
            limit: DEFAULT_LIMIT,
            offset: 0,
            status: Vec::new(),
            search: None,
            since: None,
            until: None,
            sort: None,
            trials: TrialFilter::default(),
        }
    }
}

impl ListQuery {
    /// Tells whether the question leaves anything out before the cut.
    #[must_use]
    pub fn has_filters(&self) -> bool {
        !self.status.is_empty()
            || self.search.is_some()
            || self.since.is_some()
            || self.until.is_some()
            || !self.trials.is_empty()
    }

    /// Writes the query string, without `?`.
    #[must_use]
    pub fn query_string(&self, list: ListKind) -> String {
        let mut pairs: Vec<(&str, String)> = vec![("limit", self.limit.to_string())];
        if self.offset > 0 {
            pairs.push(("offset", self.offset.to_string()));
        }
        for status in &self.status {
            pairs.push(("status", status.clone()));
        }
        if let Some(text) = &self.search {
            pairs.push(("q", text.clone()));
        }
        if let Some(at) = self.since {
            pairs.push(("since", at.rfc3339()));
        }
        if let Some(at) = self.until {
            pairs.push(("until", at.rfc3339()));
        }
        if let Some(sort) = self.sort {
            pairs.push(("sort", sort.name(list)));
        }
        if list != ListKind::Runs {
            self.trials.write(&mut pairs);
        }
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        pairs
            .iter()
            .map(|(k, v)| format!("{k}={}", encode(v)))
            .collect::<Vec<_>>()
            .join("&")
    }

    /// Reads a query string; parameters it does not know are ignored, as the Docks API's are.
    ///
    /// # Errors
    ///
    /// [`QueryError`] for a known parameter with a value that is none.
    pub fn parse(list: ListKind, query: &str, default_limit: u64) -> Result<Self, QueryError> {
        let mut out = Self {
            limit: default_limit,
            ..Self::default()
        };
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(&value.replace('+', " "))
                .decode_utf8_lossy()
                .into_owned();
            let number = |name| {
                let read = value.parse().ok().filter(|number| *number <= MAX_NUMBER);
                read.ok_or_else(|| QueryError::Number {
                    name,
                    given: value.clone(),
                })
            };
            let time = |name| {
                UnixMs::parse(&value).ok_or_else(|| QueryError::Time {
                    name,
                    given: value.clone(),
                })
            };
            match key {
                "limit" => out.limit = number("limit")?,
                "offset" => out.offset = number("offset")?,
                "status" => out.status.extend(
                    value
                        .split(',')
                        .filter(|s| !s.is_empty())
                        .map(str::to_owned),
                ),
                "q" if !value.is_empty() => out.search = Some(value),
                "since" => out.since = Some(time("since")?),
                "until" => out.until = Some(time("until")?),
                "sort" => out.sort = Some(Sort::parse(list, &value)?),
                _ if list != ListKind::Runs => out.trials.read(key, value)?,
                _ => {}
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::RawObject;

    #[test]
    fn a_query_survives_its_string() {
        let query = ListQuery {
            limit: 0,
            offset: 3,
            status: vec!["failed".into(), "a&b".into()],
            search: Some("x y%".into()),
            since: Some(UnixMs(1_000)),
            until: None,
            sort: Some(Sort {
                key: SortKey::Name,
                reversed: true,
            }),
            trials: TrialFilter::default(),
        };
        assert_eq!(
            ListQuery::parse(ListKind::Runs, &query.query_string(ListKind::Runs), 20),
            Ok(query)
        );
        for bad in ["limit=-5", "limit=x", "offset=9223372036854775808"] {
            assert!(matches!(
                ListQuery::parse(ListKind::Runs, bad, 20),
                Err(QueryError::Number { .. })
            ));
        }
        assert!(matches!(
            ListQuery::parse(ListKind::Runs, "sort=reward", 20),
            Err(QueryError::Sort { .. })
        ));
    }

    #[test]
    fn a_search_is_literal_and_ignores_case_in_every_script() {
        for (needle, hay, found) in [
            ("NIGHT", "a-nightly", true),
            ("", "x", true),
            ("", "", true),
            ("%", "100 percent", false),
            ("_", "ab", false),
            ("\u{3a3}", "\u{391}\u{3a3}", true),
            ("\u{c9}t\u{e9}", "an \u{e9}T\u{c9} run", true),
            ("longer than it", "short", false),
        ] {
            assert_eq!(
                SearchText::new(needle).is_in(hay),
                found,
                "{needle} in {hay}"
            );
        }
    }

    #[test]
    fn an_object_without_an_id_has_a_key_of_its_own() {
        let row = |text| Row::from_run(&RawObject::parse(text).unwrap().unwrap()).id;
        let key = row(r#"{"name":"a"}"#);
        assert!(key.starts_with('~') && key.len() == 17, "{key}");
        assert_eq!(key, row(r#"{"name":"a"}"#));
        assert_ne!(key, row(r#"{"name":"b"}"#));
        assert_eq!(row(r#"{"id":9007199254740993}"#), "9007199254740993");
    }

    #[test]
    fn filters_apply_before_the_limit() {
        let objects = (0..100)
            .map(|i| {
                let status = if i < 50 { "failed" } else { "completed" };
                let text = format!(r#"{{"id":"r{i:03}","status":"{status}","created_at":"2026-01-01T00:{:02}:00Z"}}"#, i % 60);
                RawObject::parse(&text).unwrap().unwrap()
            })
            .collect();
        let query = ListQuery {
            status: vec!["FAILED".into()],
            limit: 2,
            ..ListQuery::default()
        };
        let (rows, total) = apply_query(ListKind::Runs, objects, &query);
        assert_eq!(total, 50);
        assert_eq!(
            rows.iter().map(|o| Row::from_run(o).id).collect::<Vec<_>>(),
            ["r049", "r048"]
        );
    }
}
