//! Which trials a scoreboard is over, and what its rows are.

use crate::query::{ListKind, ListQuery, Parameters, QueryError, add_parameters};
use crate::routes;

/// What rows are distinguished by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScoreKey {
    /// Agents, without their models.
    Agent,
    /// Models.
    Model,
    /// Datasets.
    Dataset,
    /// Evaluation runs.
    Run,
}

impl ScoreKey {
    /// All keys, in the order of their columns.
    pub const ALL: [Self; 4] = [Self::Agent, Self::Model, Self::Dataset, Self::Run];

    /// Returns the name in options, parameters and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Model => "model",
            Self::Dataset => "dataset",
            Self::Run => "run",
        }
    }

    /// Reads the name of a key.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.name() == name)
    }
}

/// Which trials a scoreboard is over, and what its rows are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoreQuery {
    /// Evaluation runs: ids, unique beginnings of them, or names; empty for all runs.
    pub runs: Vec<String>,
    /// What distinguishes rows, each once; none is agent and model.
    pub by: Vec<ScoreKey>,
    /// Only trials of these datasets, compared without case; empty for all.
    pub datasets: Vec<String>,
    /// The filters of a list of trials; order, limit and offset are ignored.
    pub filter: ListQuery,
}

/// Every row is in the response.
const ALL_ROWS: u64 = 0;

impl Default for ScoreQuery {
    fn default() -> Self {
        Self {
            runs: Vec::new(),
            by: vec![ScoreKey::Agent, ScoreKey::Model],
            datasets: Vec::new(),
            filter: ListQuery {
                limit: ALL_ROWS,
                ..ListQuery::default()
            },
        }
    }
}

impl ScoreQuery {
    /// Returns path and query of the request: `run`, `by` and `dataset`, each repeated, and the parameters of a list of
    /// trials.
    #[must_use]
    pub fn path(&self) -> String {
        let mut path = format!(
            "{}?{}",
            routes::SCORE,
            self.filter.query_string(ListKind::AllTrials)
        );
        add_parameters(&mut path, "by", self.by.iter().map(|key| key.name()));
        add_parameters(&mut path, "run", &self.runs);
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
        let mut by = Vec::new();
        for value in parameters.all("by") {
            let key = ScoreKey::from_name(&value).ok_or(QueryError::Choice {
                name: "by",
                value,
                choices: "agent, model, dataset and run",
            })?;
            if !by.contains(&key) {
                by.push(key);
            }
        }
        let default = Self::default();
        Ok(Self {
            runs: parameters.all("run"),
            by: if by.is_empty() { default.by } else { by },
            datasets: parameters.all("dataset"),
            filter: ListQuery::parse(ListKind::AllTrials, text, ALL_ROWS)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::TrialFilter;

    #[test]
    fn a_query_is_read_as_it_is_written() {
        let query = ScoreQuery {
            runs: vec!["a,b".into(), "c&d é".into()],
            by: vec![ScoreKey::Run, ScoreKey::Dataset],
            datasets: vec!["tb@2.0, hard".into()],
            filter: ListQuery {
                limit: 0,
                trials: TrialFilter {
                    agent: vec!["coder (acme/m)".into()],
                    ..TrialFilter::default()
                },
                ..ListQuery::default()
            },
        };
        let path = query.path();
        let (route, text) = path.split_once('?').unwrap();
        assert_eq!(route, "/v1/score");
        assert_eq!(ScoreQuery::parse(text), Ok(query));
        assert_eq!(ScoreQuery::parse(""), Ok(ScoreQuery::default()));
        let twice = ScoreQuery::parse("by=run,run").unwrap();
        assert_eq!(twice.by, [ScoreKey::Run]);
        let bad = ScoreQuery::parse("by=task").unwrap_err().to_string();
        assert!(bad.contains("agent, model, dataset and run"), "{bad}");
    }
}
