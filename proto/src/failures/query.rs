//! Which trials to look at.

use crate::query::{ListKind, ListQuery, Parameters, QueryError, add_parameters};
use crate::routes;

/// How many clusters a report has by default.
pub const DEFAULT_CLUSTERS: u64 = 20;

/// Which trials to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailuresQuery {
    /// Evaluation runs: ids, unique beginnings of them, or names; empty for all runs.
    pub runs: Vec<String>,
    /// The filters of a list of trials. Its `limit` is the number of clusters, 0 for all; order and offset are ignored.
    pub filter: ListQuery,
}

impl Default for FailuresQuery {
    fn default() -> Self {
        Self {
            runs: Vec::new(),
            filter: ListQuery {
                limit: DEFAULT_CLUSTERS,
                ..ListQuery::default()
            },
        }
    }
}

impl FailuresQuery {
    /// Returns path and query of the request: `run` for each run, and the parameters of a list of trials.
    #[must_use]
    pub fn path(&self) -> String {
        let mut path = format!(
            "{}?{}",
            routes::FAILURES,
            self.filter.query_string(ListKind::AllTrials)
        );
        add_parameters(&mut path, "run", &self.runs);
        path
    }

    /// Reads a query string, without its `?`; unknown parameters are ignored.
    ///
    /// # Errors
    ///
    /// [`QueryError`] for a known parameter with an invalid value.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let parameters = Parameters::parse(text)?;
        Ok(Self {
            runs: parameters.all("run"),
            filter: ListQuery::parse(ListKind::AllTrials, text, DEFAULT_CLUSTERS)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::{ErrorFilter, TrialFilter};

    #[test]
    fn a_query_is_read_as_it_is_written() {
        let query = FailuresQuery {
            runs: vec!["a,b".into(), "c&d é".into()],
            filter: ListQuery {
                limit: 0,
                status: vec!["error".into()],
                search: Some("x+y".into()),
                trials: TrialFilter {
                    agent: vec!["coder (acme/m)".into()],
                    error: vec![ErrorFilter::Any],
                    ..TrialFilter::default()
                },
                ..ListQuery::default()
            },
        };
        let path = query.path();
        let (route, text) = path.split_once('?').unwrap();
        assert_eq!(route, "/v1/failures");
        assert_eq!(FailuresQuery::parse(text), Ok(query));
        assert_eq!(FailuresQuery::parse(""), Ok(FailuresQuery::default()));
        assert!(FailuresQuery::parse("run=a&reward=x").is_err());
    }
}
