//! Questions to a list: filter, order, then cut.
//!
//! The daemon answers them from SQL; without a daemon the CLI asks the remote
//! for everything and applies the same question with [`apply`].

use std::cmp::Ordering;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::object::{RawObject, RunFields, Scalar, TrialFields, TrialResult};
use crate::time::UnixMs;

/// How many rows a list has when nobody says.
pub const DEFAULT_LIMIT: u64 = 20;

/// Largest number in a question: what every JSON reader and SQLite can hold.
const LARGEST_NUMBER: u64 = i64::MAX.unsigned_abs();

/// Which list is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListOf {
    /// Runs or evaluation runs.
    Runs,
    /// Trials of a run.
    Trials,
}

/// What a list can be ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SortKey {
    /// When it was made; runs' default, newest first.
    Created,
    /// The order in which the remote lists them; trials' default.
    Listed,
    /// Id.
    Id,
    /// Name, or template name of a plain run.
    Name,
    /// Status.
    Status,
    /// Trials only: task.
    Task,
    /// Trials only: agent variant.
    Agent,
    /// Trials only: reward, highest first.
    Reward,
    /// Trials only: wall time, longest first.
    Duration,
}

impl SortKey {
    /// Every key that fits a list, with its name in options and query strings.
    #[must_use]
    pub fn known(list: ListOf) -> &'static [(&'static str, SortKey)] {
        match list {
            ListOf::Runs => &[
                ("created", SortKey::Created),
                ("id", SortKey::Id),
                ("name", SortKey::Name),
                ("status", SortKey::Status),
            ],
            ListOf::Trials => &[
                ("listed", SortKey::Listed),
                ("created", SortKey::Created),
                ("id", SortKey::Id),
                ("status", SortKey::Status),
                ("task", SortKey::Task),
                ("agent", SortKey::Agent),
                ("reward", SortKey::Reward),
                ("duration", SortKey::Duration),
            ],
        }
    }

    /// Tells whether the key's natural order is from high to low.
    #[must_use]
    pub fn descends(self) -> bool {
        matches!(self, SortKey::Created | SortKey::Reward | SortKey::Duration)
    }
}

/// An order: a key, turned round or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sort {
    /// By what.
    pub key: SortKey,
    /// Against the key's natural order (`-created` is oldest first).
    pub reversed: bool,
}

impl Sort {
    /// Returns the list's own order.
    #[must_use]
    pub fn default_of(list: ListOf) -> Self {
        let key = match list {
            ListOf::Runs => SortKey::Created,
            ListOf::Trials => SortKey::Listed,
        };
        Self {
            key,
            reversed: false,
        }
    }

    /// Tells whether rows go from high to low.
    #[must_use]
    pub fn descending(self) -> bool {
        self.key.descends() != self.reversed
    }

    /// Reads a key, turned round by a leading `-`.
    ///
    /// # Errors
    ///
    /// [`BadQuery::Sort`] with the known keys.
    pub fn parse(list: ListOf, text: &str) -> Result<Self, BadQuery> {
        let (name, reversed) = text
            .strip_prefix('-')
            .map_or((text, false), |rest| (rest, true));
        let found = SortKey::known(list)
            .iter()
            .find(|(known, _)| *known == name);
        found
            .map(|&(_, key)| Self { key, reversed })
            .ok_or_else(|| BadQuery::Sort {
                given: text.to_owned(),
                known: SortKey::known(list)
                    .iter()
                    .map(|(n, _)| *n)
                    .collect::<Vec<_>>()
                    .join(", "),
            })
    }

    fn name(self, list: ListOf) -> String {
        let name = SortKey::known(list)
            .iter()
            .find(|(_, k)| *k == self.key)
            .map_or("created", |(n, _)| n);
        format!("{}{name}", if self.reversed { "-" } else { "" })
    }
}

/// Says why a query string is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadQuery {
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
        }
    }
}

impl ListQuery {
    /// Tells whether the question leaves anything out before the cut.
    #[must_use]
    pub fn filters(&self) -> bool {
        !self.status.is_empty()
            || self.search.is_some()
            || self.since.is_some()
            || self.until.is_some()
    }

    /// Writes the query string, without `?`.
    #[must_use]
    pub fn query_string(&self, list: ListOf) -> String {
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
    /// [`BadQuery`] for a known parameter with a value that is none.
    pub fn parse(list: ListOf, query: &str, default_limit: u64) -> Result<Self, BadQuery> {
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
                let read = value
                    .parse()
                    .ok()
                    .filter(|number| *number <= LARGEST_NUMBER);
                read.ok_or_else(|| BadQuery::Number {
                    name,
                    given: value.clone(),
                })
            };
            let time = |name| {
                UnixMs::parse(&value).ok_or_else(|| BadQuery::Time {
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
                _ => {}
            }
        }
        Ok(out)
    }
}

/// What a row is filtered and ordered by, read once per object.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// Key: its id, or one made from its text, see [`key`].
    pub id: String,
    /// Name or template name.
    pub name: String,
    /// Status as it came.
    pub status: String,
    /// When it was made.
    pub created: Option<UnixMs>,
    /// Trials: task.
    pub task: String,
    /// Trials: agent variant.
    pub agent: String,
    /// Trials: reward.
    pub reward: Option<f64>,
    /// Trials: wall time in seconds.
    pub duration_s: Option<f64>,
}

impl Row {
    /// Reads a run or evaluation run.
    #[must_use]
    pub fn of_run(object: &RawObject) -> Self {
        Self::of_run_fields(object, &RunFields::of(object))
    }

    /// Takes a run's row from fields that were read from `object` before.
    #[must_use]
    pub fn of_run_fields(object: &RawObject, f: &RunFields) -> Self {
        Self {
            id: key(object, &f.id),
            name: f
                .name
                .text()
                .or_else(|| f.template_name.text())
                .unwrap_or_default(),
            status: text(&f.status),
            created: instant(&f.created_at),
            ..Self::default()
        }
    }

    /// Reads a trial.
    #[must_use]
    pub fn of_trial(object: &RawObject) -> Self {
        Self::of_trial_fields(object, &TrialFields::of(object))
    }

    /// Takes a trial's row from fields that were read from `object` before.
    #[must_use]
    pub fn of_trial_fields(object: &RawObject, f: &TrialFields) -> Self {
        let r = TrialResult::of_trial(object);
        Self {
            id: key(object, &f.id),
            name: text(&f.name),
            status: text(&f.status),
            created: instant(&f.created_at),
            task: text(&f.task_slug),
            agent: f
                .agent_variant
                .text()
                .or_else(|| f.variant_name.text())
                .unwrap_or_default(),
            reward: r.reward.number(),
            duration_s: f
                .duration_seconds
                .number()
                .or_else(|| r.duration_seconds.number()),
        }
    }

    fn matches(&self, query: &ListQuery, needle: Option<&Needle>) -> bool {
        let status = query.status.is_empty()
            || query
                .status
                .iter()
                .any(|s| s.eq_ignore_ascii_case(&self.status));
        let search = needle.is_none_or(|needle| {
            [&self.id, &self.name, &self.task, &self.agent]
                .iter()
                .any(|hay| needle.is_in(hay))
        });
        let since = query
            .since
            .is_none_or(|at| self.created.is_some_and(|c| c >= at));
        let until = query
            .until
            .is_none_or(|at| self.created.is_some_and(|c| c < at));
        status && search && since && until
    }

    fn compare(&self, other: &Self, key: SortKey) -> Ordering {
        let number = |a: Option<f64>, b: Option<f64>| match (a, b) {
            // Adding zero makes -0 and 0 the same number, which total_cmp tells apart.
            (Some(a), Some(b)) => (a + 0.0).total_cmp(&(b + 0.0)),
            (a, b) => a.is_some().cmp(&b.is_some()),
        };
        match key {
            SortKey::Listed => Ordering::Equal,
            SortKey::Created => self.created.cmp(&other.created),
            SortKey::Id => self.id.cmp(&other.id),
            SortKey::Name => self.name.cmp(&other.name),
            SortKey::Status => self.status.cmp(&other.status),
            SortKey::Task => self.task.cmp(&other.task),
            SortKey::Agent => self.agent.cmp(&other.agent),
            SortKey::Reward => number(self.reward, other.reward),
            SortKey::Duration => number(self.duration_s, other.duration_s),
        }
    }
}

fn text(value: &Scalar) -> String {
    value.text().unwrap_or_default()
}

fn instant(value: &Scalar) -> Option<UnixMs> {
    value.text().and_then(|t| UnixMs::parse(&t))
}

/// Returns what an object is known by: its id, or `~` and 16 digits made from its text.
///
/// An object without an id is kept and listed like any other; equal texts are one object.
#[must_use]
pub fn key(object: &RawObject, id: &Scalar) -> String {
    id.text().unwrap_or_else(|| {
        // FNV-1a: stable over releases, since the key is stored, and needs no crate.
        let hash = object
            .text()
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        format!("~{hash:016x}")
    })
}

/// A text to look for without regard to case, character by character.
#[derive(Debug, Clone)]
pub struct Needle(String);

impl Needle {
    /// Takes the text as given; no character in it means anything special.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(fold(text))
    }

    /// Tells whether `hay` contains the text.
    #[must_use]
    pub fn is_in(&self, hay: &str) -> bool {
        if self.0.is_ascii() && hay.is_ascii() {
            let needle = self.0.as_bytes();
            return needle.is_empty()
                || hay
                    .as_bytes()
                    .windows(needle.len())
                    .any(|part| part.eq_ignore_ascii_case(needle));
        }
        fold(hay).contains(&self.0)
    }
}

/// Lowers each character by itself: `str::to_lowercase` looks at its neighbours (the Greek
/// final sigma), so that a part of a text would not be found in it.
fn fold(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

/// Applies a question to a whole list; returns the rows and how many matched before the cut.
///
/// Rows that compare equal are ordered by id in the same direction, except
/// in listed order, so the answer does not depend on the order that came in.
#[must_use]
pub fn apply(list: ListOf, objects: Vec<RawObject>, query: &ListQuery) -> (Vec<RawObject>, u64) {
    let row = |object: &RawObject| match list {
        ListOf::Runs => Row::of_run(object),
        ListOf::Trials => Row::of_trial(object),
    };
    let needle = query.search.as_deref().map(Needle::new);
    let mut rows: Vec<(Row, RawObject)> = objects
        .into_iter()
        .map(|o| (row(&o), o))
        .filter(|(r, _)| r.matches(query, needle.as_ref()))
        .collect();
    let sort = query.sort.unwrap_or_else(|| Sort::default_of(list));
    if sort.key == SortKey::Listed {
        if sort.reversed {
            rows.reverse();
        }
    } else {
        rows.sort_by(|(a, _), (b, _)| {
            let order = a.compare(b, sort.key).then_with(|| a.id.cmp(&b.id));
            if sort.descending() {
                order.reverse()
            } else {
                order
            }
        });
    }
    let total = rows.len() as u64;
    let limit = if query.limit == 0 {
        usize::MAX
    } else {
        usize::try_from(query.limit).unwrap_or(usize::MAX)
    };
    let offset = usize::try_from(query.offset).unwrap_or(usize::MAX);
    (
        rows.into_iter()
            .skip(offset)
            .take(limit)
            .map(|(_, o)| o)
            .collect(),
        total,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

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
        };
        assert_eq!(
            ListQuery::parse(ListOf::Runs, &query.query_string(ListOf::Runs), 20),
            Ok(query)
        );
        for bad in ["limit=-5", "limit=x", "offset=9223372036854775808"] {
            assert!(matches!(
                ListQuery::parse(ListOf::Runs, bad, 20),
                Err(BadQuery::Number { .. })
            ));
        }
        assert!(matches!(
            ListQuery::parse(ListOf::Runs, "sort=reward", 20),
            Err(BadQuery::Sort { .. })
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
            assert_eq!(Needle::new(needle).is_in(hay), found, "{needle} in {hay}");
        }
    }

    #[test]
    fn an_object_without_an_id_has_a_key_of_its_own() {
        let row = |text| Row::of_run(&RawObject::parse(text).unwrap().unwrap()).id;
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
        let (rows, total) = apply(ListOf::Runs, objects, &query);
        assert_eq!(total, 50);
        assert_eq!(
            rows.iter().map(|o| Row::of_run(o).id).collect::<Vec<_>>(),
            ["r049", "r048"]
        );
    }
}
