//! The fields of a row that queries use, and a query applied to a whole list.

use std::cmp::Ordering;

use super::{ListKind, ListQuery, Sort, SortKey};
use crate::hash::fnv1a_64;
use crate::object::{RawObject, RunFields, Scalar};
use crate::time::UnixMs;
use crate::trial::Trial;

/// The fields by which a row is filtered and sorted, read once per object.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// Its id, or a key made from its text, see [`object_key`].
    pub id: String,
    /// Name or template name.
    pub name: String,
    /// Status as the remote wrote it.
    pub status: String,
    /// When it was created.
    pub created: Option<UnixMs>,
    /// Trials: task.
    pub task: String,
    /// Trials: agent variant.
    pub agent: String,
    /// Trials: model.
    pub model: String,
    /// Trials: type of the error; empty if there is none.
    pub error: String,
    /// Trials: when it started.
    pub started: Option<UnixMs>,
    /// Trials: when it ended.
    pub completed: Option<UnixMs>,
    /// Trials: reward.
    pub reward: Option<f64>,
    /// Trials: number of tests that passed.
    pub tests_passed: Option<f64>,
    /// Trials: wall time in seconds.
    pub duration_s: Option<f64>,
    /// Trials: cost in US dollars.
    pub cost_usd: Option<f64>,
    /// Trials: number of prompt and completion tokens.
    pub tokens: Option<f64>,
    /// Trials: for how many types there is an artifact.
    pub artifacts: u8,
}

impl Row {
    /// Reads the row of a run or evaluation run.
    #[must_use]
    pub fn from_run(object: &RawObject) -> Self {
        Self::from_run_fields(object, &RunFields::from_object(object))
    }

    /// Builds the row of a run from fields that were already read from `object`.
    #[must_use]
    pub fn from_run_fields(object: &RawObject, f: &RunFields) -> Self {
        Self {
            id: object_key(object, &f.id),
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

    /// Reads the row of a trial.
    #[must_use]
    pub fn from_trial(object: &RawObject) -> Self {
        Self::from_trial_fields(object, &Trial::from_object(object))
    }

    /// Builds the row of a trial that was already read from `object`.
    #[must_use]
    pub fn from_trial_fields(object: &RawObject, trial: &Trial) -> Self {
        let f = &trial.fields;
        Self {
            id: object_key(object, &f.id),
            name: text(&f.name),
            status: text(&f.status),
            created: instant(&f.created_at),
            task: text(&f.task_slug),
            agent: trial.agent().unwrap_or_default(),
            model: trial.model().unwrap_or_default(),
            error: trial.error_type().unwrap_or_default(),
            started: instant(&f.started_at),
            completed: instant(&f.completed_at),
            reward: trial.reward(),
            tests_passed: trial.result.tests_passed.number(),
            duration_s: trial.duration_s(),
            cost_usd: trial.cost_usd(),
            tokens: trial.tokens(),
            artifacts: u8::try_from(trial.artifacts()).unwrap_or(u8::MAX),
        }
    }

    fn matches(&self, list: ListKind, query: &ListQuery, search: Option<&SearchText>) -> bool {
        let status = query.status.is_empty()
            || query
                .status
                .iter()
                .any(|s| s.eq_ignore_ascii_case(&self.status));
        let found = search.is_none_or(|search| {
            [&self.id, &self.name, &self.task, &self.agent]
                .iter()
                .any(|text| search.is_in(text))
        });
        let since = query
            .since
            .is_none_or(|at| self.created.is_some_and(|c| c >= at));
        let until = query
            .until
            .is_none_or(|at| self.created.is_some_and(|c| c < at));
        let trial = list == ListKind::Runs || query.trials.matches(self);
        status && found && since && until && trial
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
            SortKey::Model => self.model.cmp(&other.model),
            SortKey::Error => self.error.cmp(&other.error),
            SortKey::Started => self.started.cmp(&other.started),
            SortKey::Completed => self.completed.cmp(&other.completed),
            SortKey::Reward => number(self.reward, other.reward),
            SortKey::Tests => number(self.tests_passed, other.tests_passed),
            SortKey::Duration => number(self.duration_s, other.duration_s),
            SortKey::Cost => number(self.cost_usd, other.cost_usd),
            SortKey::Tokens => number(self.tokens, other.tokens),
            SortKey::Artifacts => self.artifacts.cmp(&other.artifacts),
            // These are not in the row; `apply_query` sorts by them itself.
            SortKey::Message | SortKey::Dataset | SortKey::Phase => Ordering::Equal,
        }
    }
}

/// Returns the text of a column that is too long or too rare to be part of every row; empty for
/// all other columns.
#[must_use]
pub fn full_object_text(object: &RawObject, key: SortKey) -> String {
    let trial = Trial::from_object(object);
    match key {
        SortKey::Message => trial.error_message().unwrap_or_default(),
        SortKey::Dataset => text(&trial.harbor.dataset),
        SortKey::Phase => text(&trial.harbor.phase),
        _ => String::new(),
    }
}

fn text(value: &Scalar) -> String {
    value.text().unwrap_or_default()
}

fn instant(value: &Scalar) -> Option<UnixMs> {
    value.text().and_then(|t| UnixMs::parse(&t))
}

/// Returns the key of an object: its id, or `~` and 16 hexadecimal digits made from its text.
///
/// An object without an id is stored and listed like any other; equal texts are one object.
#[must_use]
pub fn object_key(object: &RawObject, id: &Scalar) -> String {
    id.text()
        .unwrap_or_else(|| format!("~{:016x}", fnv1a_64(object.text())))
}

/// A text to search for, ignoring case.
#[derive(Debug, Clone)]
pub struct SearchText(String);

impl SearchText {
    /// Prepares a text; no character in it is special.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(fold(text))
    }

    /// Whether `hay` contains the text.
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

/// Lowercases each character on its own: `str::to_lowercase` depends on the neighbours (Greek final
/// sigma), so a part of a text might not be found in it.
fn fold(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

/// Applies a query to a whole list; returns the rows, and how many matched before `offset` and
/// `limit`.
///
/// Rows that compare equal are sorted by id in the same direction, except in listed order, so the
/// result does not depend on the order of `objects`. Trials of two runs that have the same id stay
/// in the order of `objects`.
#[must_use]
pub fn apply_query<T: AsRef<RawObject>>(
    list: ListKind,
    objects: Vec<T>,
    query: &ListQuery,
) -> (Vec<T>, u64) {
    let row = |object: &RawObject| match list {
        ListKind::Runs => Row::from_run(object),
        ListKind::Trials | ListKind::AllTrials => Row::from_trial(object),
    };
    let search = query.search.as_deref().map(SearchText::new);
    let mut rows: Vec<(Row, T)> = objects
        .into_iter()
        .map(|o| (row(o.as_ref()), o))
        .filter(|(r, _)| r.matches(list, query, search.as_ref()))
        .collect();
    let sort = query.sort.unwrap_or_else(|| Sort::default_for(list));
    if sort.key.needs_full_object() {
        rows.sort_by_cached_key(|(row, object)| {
            (full_object_text(object.as_ref(), sort.key), row.id.clone())
        });
    } else if sort.key != SortKey::Listed {
        rows.sort_by(|(a, _), (b, _)| a.compare(b, sort.key).then_with(|| a.id.cmp(&b.id)));
    }
    if sort.is_descending() {
        rows.reverse();
    }
    let total = rows.len() as u64;
    let limit = if query.limit == 0 {
        usize::MAX
    } else {
        usize::try_from(query.limit).unwrap_or(usize::MAX)
    };
    let offset = usize::try_from(query.offset).unwrap_or(usize::MAX);
    let rows = rows.into_iter().skip(offset).take(limit);
    (rows.map(|(_, o)| o).collect(), total)
}
