//! Which trials of a run to run again.

use crate::query::{ListKind, ListQuery, Parameters, QueryError, add_parameters};
use crate::routes;

/// A reason to run a trial again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RerunSelector {
    /// It ended, and did not solve its task.
    Failed,
    /// It failed for infrastructure, by the rules of `docks runs failures`.
    Infra,
    /// Its process was gone, or its run ended before it started.
    Lost,
    /// It ended, and whether it solved its task cannot be told: nothing says how it ended, its status and its reward
    /// contradict each other, or the verifier failed.
    Unclear,
    /// It has an exception of this type; of any for `any`. Compared without case.
    Error(String),
}

impl RerunSelector {
    /// What is selected if nothing else is: all that did not end with a valid reward of 1.
    pub const DEFAULT: [Self; 3] = [Self::Failed, Self::Lost, Self::Unclear];

    /// Returns the name in queries and in JSON: `failed`, or `error:TYPE`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Failed => "failed".to_owned(),
            Self::Infra => "infra".to_owned(),
            Self::Lost => "lost".to_owned(),
            Self::Unclear => "unclear".to_owned(),
            Self::Error(kind) => format!("error:{kind}"),
        }
    }

    /// Reads a name; `None` if there is no such selector.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "failed" => Some(Self::Failed),
            "infra" => Some(Self::Infra),
            "lost" => Some(Self::Lost),
            "unclear" => Some(Self::Unclear),
            name => {
                let kind = name.strip_prefix("error:").filter(|kind| !kind.is_empty());
                kind.map(|kind| Self::Error(kind.to_owned()))
            }
        }
    }
}

/// Which trials of a run to run again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RerunQuery {
    /// An evaluation run: full id, unique beginning of it, or name.
    pub run: String,
    /// Trials that meet one of these; none are [`RerunSelector::DEFAULT`].
    pub select: Vec<RerunSelector>,
    /// The filters of a list of trials, which each trial has to meet as well. Order, `limit` and `offset` are ignored.
    pub filter: ListQuery,
}

impl RerunQuery {
    /// Returns path and query of the request.
    #[must_use]
    pub fn path(&self) -> String {
        let mut path = format!(
            "{}?{}",
            routes::RERUN,
            self.filter.query_string(ListKind::AllTrials)
        );
        add_parameters(&mut path, "run", [&self.run]);
        let selected = self.select.iter().map(RerunSelector::name);
        add_parameters(&mut path, "select", selected);
        path
    }

    /// Reads a query string, without its `?`; unknown parameters are ignored.
    ///
    /// # Errors
    ///
    /// [`QueryError`] for a known parameter with an invalid value.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let parameters = Parameters::parse(text)?;
        let read = |name: String| {
            RerunSelector::from_name(&name).ok_or(QueryError::Choice {
                name: "select",
                value: name,
                choices: "failed, infra, lost, unclear, error:TYPE",
            })
        };
        let selected = parameters.all("select").into_iter();
        Ok(Self {
            run: parameters.text("run").unwrap_or_default().to_owned(),
            select: selected.map(read).collect::<Result<_, _>>()?,
            filter: ListQuery::parse(ListKind::AllTrials, text, 0)?,
        })
    }

    /// Returns what is selected, by default too.
    #[must_use]
    pub fn selectors(&self) -> &[RerunSelector] {
        match &self.select[..] {
            [] => &RerunSelector::DEFAULT,
            given => given,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::TrialFilter;

    #[test]
    fn a_query_is_read_as_it_is_written() {
        let query = RerunQuery {
            run: "a,b é".into(),
            select: vec![
                RerunSelector::Infra,
                RerunSelector::Unclear,
                RerunSelector::Error("x,Y:&".into()),
            ],
            filter: ListQuery {
                limit: 0,
                trials: TrialFilter {
                    agent: vec!["coder".into()],
                    ..TrialFilter::default()
                },
                ..ListQuery::default()
            },
        };
        let path = query.path();
        let (route, text) = path.split_once('?').unwrap();
        assert_eq!(route, "/v1/rerun");
        assert_eq!(RerunQuery::parse(text), Ok(query));
        for bad in ["run=a&select=all", "run=a&select=error:"] {
            assert!(RerunQuery::parse(bad).is_err(), "{bad}");
        }
        let bare = RerunQuery::parse("run=a").unwrap();
        assert_eq!(bare.selectors(), RerunSelector::DEFAULT);
    }
}
