//! Queries of lists: filter, sort, then apply `offset` and `limit`.
//!
//! The daemon answers them with SQL. Without a daemon the CLI fetches the whole list from the
//! remote and applies the same query with [`apply_query`].

mod condition;
mod parameters;
mod row;
mod sort;
mod trial_filter;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

pub use condition::{Comparison, ErrorFilter, RewardFilter};
pub use parameters::Parameters;
pub use row::{Row, SearchText, apply_query, full_object_text, object_key};
pub use sort::{Sort, SortKey};
pub use trial_filter::TrialFilter;

pub(crate) use self::parameters::add_parameters;
use self::parameters::{parse_number, parse_time};
use crate::time::UnixMs;

/// How many rows a list has by default.
pub const DEFAULT_LIMIT: u64 = 20;

/// Largest number in a query: what every JSON reader and SQLite can hold.
pub const MAX_NUMBER: u64 = i64::MAX.unsigned_abs();

/// Which list a query is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListKind {
    /// Runs or evaluation runs.
    Runs,
    /// Trials of a run.
    Trials,
    /// Trials of all evaluation runs.
    AllTrials,
}

/// Why a query string is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Not a number, negative or too large.
    #[error("`{name}` must be a whole number from 0 up, not `{value}`")]
    Number {
        /// The parameter.
        name: &'static str,
        /// Its value.
        value: String,
    },
    /// Neither true nor false.
    #[error("`{name}` must be true or false, not `{value}`")]
    Flag {
        /// The parameter.
        name: &'static str,
        /// Its value.
        value: String,
    },
    /// A sort key that the list does not have.
    #[error("unknown sort key `{value}`; known: {known}")]
    Sort {
        /// The value of `sort`.
        value: String,
        /// The keys that the list has.
        known: String,
    },
    /// Not a time.
    #[error("`{name}` must be an ISO 8601 time, not `{value}`")]
    Time {
        /// The parameter.
        name: &'static str,
        /// Its value.
        value: String,
    },
    /// A kind of object that does not exist.
    #[error("`kind` must be run, evaluation or trial, not `{value}`")]
    Kind {
        /// The value of `kind`.
        value: String,
    },
    /// A condition on the reward that cannot be read.
    #[error(
        "a reward is `none`, `any`, a number, or one after `=`, `!=`, `<`, `<=`, `>` or `>=`, not `{value}`"
    )]
    Reward {
        /// The value of `reward`.
        value: String,
    },
    /// A word that is none of those that a parameter knows.
    #[error("`{name}` must be one of {choices}, not `{value}`")]
    Choice {
        /// The parameter.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        choices: &'static str,
    },
    /// Not a number, or negative.
    #[error("`{name}` must be a number from 0 up, such as 0.02, not `{value}`")]
    Share {
        /// The parameter.
        name: &'static str,
        /// Its value.
        value: String,
    },
    /// A value that is not UTF-8.
    #[error("`{name}` is not valid UTF-8")]
    Encoding {
        /// The parameter.
        name: String,
    },
}

/// A query of a list. Filters apply before `offset` and `limit`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ListQuery {
    /// Maximum number of rows; 0 for all.
    pub limit: u64,
    /// Rows to skip.
    pub offset: u64,
    /// Only these statuses, compared without case; empty for all.
    pub status: Vec<String>,
    /// Only rows whose id, name, task or agent contains this text, compared without case.
    pub search: Option<String>,
    /// Only rows created at this time or later.
    pub since: Option<UnixMs>,
    /// Only rows created before this time.
    pub until: Option<UnixMs>,
    /// The order; `None` for the list's default.
    pub sort: Option<Sort>,
    /// Further conditions on trials; ignored for runs.
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
    /// Whether any filter is set; `limit` and `offset` do not count.
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
            self.trials.add_parameters(&mut pairs);
        }
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        pairs
            .iter()
            .map(|(k, v)| format!("{k}={}", encode(v)))
            .collect::<Vec<_>>()
            .join("&")
    }

    /// Parses a query string; unknown parameters are ignored, as the Docks API ignores them.
    ///
    /// # Errors
    ///
    /// [`QueryError`] for a known parameter with an invalid value.
    pub fn parse(list: ListKind, query: &str, default_limit: u64) -> Result<Self, QueryError> {
        let mut out = Self {
            limit: default_limit,
            ..Self::default()
        };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "limit" => out.limit = parse_number("limit", &value)?,
                "offset" => out.offset = parse_number("offset", &value)?,
                "status" => {
                    let statuses = value.split(',').filter(|status| !status.is_empty());
                    out.status.extend(statuses.map(str::to_owned));
                }
                "q" if !value.is_empty() => out.search = Some(value.into_owned()),
                "since" => out.since = Some(parse_time("since", &value)?),
                "until" => out.until = Some(parse_time("until", &value)?),
                "sort" => out.sort = Some(Sort::parse(list, &value)?),
                name if list != ListKind::Runs => out.trials.set(name, value.into_owned())?,
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
    fn a_query_survives_its_query_string() {
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
    fn an_object_without_an_id_gets_a_key_from_its_text() {
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
