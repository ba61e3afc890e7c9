//! Which tasks are listed, and of which attempts.

use std::borrow::Cow;

use crate::query::{DEFAULT_LIMIT, ListKind, ListQuery, Parameters, QueryError, add_parameters};
use crate::routes;

/// What tasks are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TaskSortKey {
    /// By name.
    #[default]
    Name,
    /// By flip rate, highest first.
    Flakiness,
    /// By solved rate, lowest first.
    Difficulty,
    /// By median cost, highest first.
    Cost,
}

impl TaskSortKey {
    /// All keys.
    pub const ALL: [Self; 4] = [Self::Name, Self::Flakiness, Self::Difficulty, Self::Cost];

    /// Returns the name in options and parameters.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Flakiness => "flakiness",
            Self::Difficulty => "difficulty",
            Self::Cost => "cost",
        }
    }
}

/// The order of tasks. Those of which it is not known are last, whatever the direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TaskSort {
    /// The key.
    pub key: TaskSortKey,
    /// Whether the order of the key is reversed.
    pub reversed: bool,
}

impl TaskSort {
    /// Reads the name of a key; a dash in front reverses its order.
    ///
    /// # Errors
    ///
    /// [`QueryError::Sort`] for another key.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let name = text.trim();
        let (name, reversed) = match name.strip_prefix('-') {
            Some(name) => (name, true),
            None => (name, false),
        };
        let key = TaskSortKey::ALL.into_iter().find(|key| key.name() == name);
        let key = key.ok_or_else(|| QueryError::Sort {
            value: text.to_owned(),
            known: TaskSortKey::ALL.map(TaskSortKey::name).join(", "),
        })?;
        Ok(Self { key, reversed })
    }

    /// Returns what [`TaskSort::parse`] reads.
    #[must_use]
    pub fn name(self) -> String {
        let dash = if self.reversed { "-" } else { "" };
        format!("{dash}{}", self.key.name())
    }
}

/// Which tasks are listed, and of which attempts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TasksQuery {
    /// The order.
    pub sort: TaskSort,
    /// Only tasks whose name contains this text, compared without case.
    pub search: Option<String>,
    /// Only trials of these datasets, compared without case; empty for all.
    pub datasets: Vec<String>,
    /// The filters of a list of trials, and `limit` and `offset` of the list of tasks. Its order and search are ignored.
    pub filter: ListQuery,
}

impl TasksQuery {
    /// Returns path and query of the request: `sort`, `dataset`, and the parameters of a list of trials.
    #[must_use]
    pub fn path(&self) -> String {
        let filter = ListQuery {
            search: self.search.clone(),
            sort: None,
            ..self.filter.clone()
        };
        let mut path = format!(
            "{}?{}&sort={}",
            routes::TASKS,
            filter.query_string(ListKind::AllTrials),
            self.sort.name()
        );
        add_parameters(&mut path, "dataset", &self.datasets);
        path
    }

    /// Reads a query string, without its `?`; unknown parameters are ignored.
    ///
    /// # Errors
    ///
    /// [`QueryError`] for a known parameter with an invalid value.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let parameters = Parameters::parse(text)?;
        let mut filter = trial_filter(text, DEFAULT_LIMIT)?;
        Ok(Self {
            sort: parameters
                .text("sort")
                .map_or(Ok(TaskSort::default()), TaskSort::parse)?,
            search: filter.search.take(),
            datasets: parameters.all("dataset"),
            filter,
        })
    }
}

/// What the rows of a task's history are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HistoryBy {
    /// Evaluation runs.
    #[default]
    Run,
    /// Weeks from Monday, UTC, by when attempts ended.
    Week,
}

impl HistoryBy {
    /// Returns the name in options and parameters.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Week => "week",
        }
    }
}

/// Which task's history is wanted, and of which attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskHistoryQuery {
    /// The task: its name, compared without case, or a unique beginning of it.
    pub task: String,
    /// What the rows are.
    pub by: HistoryBy,
    /// Only trials of these datasets, compared without case; empty for all.
    pub datasets: Vec<String>,
    /// The filters of a list of trials. Its `limit` is the number of rows, the newest, 0 for all; order, offset and
    /// tasks are ignored.
    pub filter: ListQuery,
}

/// All rows.
const ALL_ROWS: u64 = 0;

impl TaskHistoryQuery {
    /// The whole history of a task.
    #[must_use]
    pub fn of_task(task: &str) -> Self {
        Self {
            task: task.to_owned(),
            by: HistoryBy::default(),
            datasets: Vec::new(),
            filter: ListQuery {
                limit: ALL_ROWS,
                ..ListQuery::default()
            },
        }
    }

    /// Returns path and query of the request: `task`, `by`, `dataset`, and the parameters of a list of trials.
    #[must_use]
    pub fn path(&self) -> String {
        let mut filter = self.filter.clone();
        filter.sort = None;
        filter.trials.task.clear();
        let mut path = format!(
            "{}?{}&by={}",
            routes::TASK_HISTORY,
            filter.query_string(ListKind::AllTrials),
            self.by.name()
        );
        add_parameters(&mut path, "task", [&self.task]);
        add_parameters(&mut path, "dataset", &self.datasets);
        path
    }

    /// Reads a query string, without its `?`; unknown parameters are ignored. The task is empty if it has none.
    ///
    /// # Errors
    ///
    /// [`QueryError`] for a known parameter with an invalid value.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let parameters = Parameters::parse(text)?;
        let by = match parameters.text("by") {
            None | Some("run") => HistoryBy::Run,
            Some("week") => HistoryBy::Week,
            Some(value) => {
                return Err(QueryError::Choice {
                    name: "by",
                    value: value.to_owned(),
                    choices: "run and week",
                });
            }
        };
        let mut filter = trial_filter(text, ALL_ROWS)?;
        filter.trials.task.clear();
        Ok(Self {
            task: parameters.text("task").unwrap_or_default().to_owned(),
            by,
            datasets: parameters.all("dataset"),
            filter,
        })
    }
}

/// Reads the filters of a list of trials out of a query string whose `sort` means something else.
fn trial_filter(text: &str, default_limit: u64) -> Result<ListQuery, QueryError> {
    let pairs = form_urlencoded::parse(text.as_bytes());
    let kept: Vec<(Cow<'_, str>, Cow<'_, str>)> =
        pairs.filter(|(name, _)| name != "sort").collect();
    let text = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(kept)
        .finish();
    ListQuery::parse(ListKind::AllTrials, &text, default_limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::TrialFilter;

    #[test]
    fn a_list_is_read_as_it_is_written() {
        let query = TasksQuery {
            sort: TaskSort::parse("-flakiness").unwrap(),
            search: Some("a&b".into()),
            datasets: vec!["x,y".into()],
            filter: ListQuery {
                limit: 5,
                offset: 2,
                trials: TrialFilter {
                    model: vec!["acme/m".into()],
                    ..TrialFilter::default()
                },
                ..ListQuery::default()
            },
        };
        let path = query.path();
        let (route, text) = path.split_once('?').unwrap();
        assert_eq!(route, "/v1/tasks");
        assert_eq!(TasksQuery::parse(text), Ok(query));
        assert_eq!(TasksQuery::parse(""), Ok(TasksQuery::default()));
        let bad = TasksQuery::parse("sort=reward").unwrap_err().to_string();
        assert!(bad.contains("name, flakiness, difficulty, cost"), "{bad}");
    }

    #[test]
    fn a_history_is_read_as_it_is_written() {
        let mut query = TaskHistoryQuery::of_task("tiny/a,b é");
        query.by = HistoryBy::Week;
        query.datasets = vec!["d".into()];
        query.filter.trials.agent = vec!["coder".into()];
        let path = query.path();
        let (route, text) = path.split_once('?').unwrap();
        assert_eq!(route, "/v1/task-history");
        assert_eq!(TaskHistoryQuery::parse(text), Ok(query));
        assert!(TaskHistoryQuery::parse("by=day").is_err());
    }
}
