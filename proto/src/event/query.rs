//! The filter of an event stream, as the query string of `GET /v1/events`.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::kind::ObjectKind;
use crate::query::{Parameters, QueryError};
use crate::routes;

/// Which events a subscriber wants; an empty list means all.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct EventQuery {
    /// Only these runs, and their trials.
    pub runs: Vec<String>,
    /// Only objects of these kinds.
    pub kinds: Vec<ObjectKind>,
    /// Only changes to these statuses.
    pub statuses: Vec<String>,
}

impl EventQuery {
    /// Returns path and query of the request.
    #[must_use]
    pub fn path(&self) -> String {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let pairs: Vec<String> = (self.runs.iter().map(|run| format!("run={}", encode(run))))
            .chain(
                self.kinds
                    .iter()
                    .map(|kind| format!("kind={}", kind.name())),
            )
            .chain(
                self.statuses
                    .iter()
                    .map(|s| format!("status={}", encode(s))),
            )
            .collect();
        if pairs.is_empty() {
            return routes::EVENTS.to_owned();
        }
        format!("{}?{}", routes::EVENTS, pairs.join("&"))
    }

    /// Parses a query string; unknown parameters are ignored.
    ///
    /// # Errors
    ///
    /// [`QueryError`] for a kind that does not exist, or a value that is not text.
    pub fn parse(query: &str) -> Result<Self, QueryError> {
        Self::from_parameters(&Parameters::parse(query)?)
    }

    /// Reads the filter from parsed parameters; others are ignored.
    ///
    /// # Errors
    ///
    /// [`QueryError::Kind`] for a kind that does not exist.
    pub fn from_parameters(parameters: &Parameters) -> Result<Self, QueryError> {
        let mut filter = Self::default();
        for (name, value) in parameters.values() {
            match name {
                "run" => filter.runs.push(value.to_owned()),
                "status" => filter.statuses.push(value.to_owned()),
                "kind" => {
                    let kind = ObjectKind::from_name(value);
                    filter.kinds.push(kind.ok_or_else(|| QueryError::Kind {
                        value: value.to_owned(),
                    })?);
                }
                _ => {}
            }
        }
        Ok(filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_written_with_every_text_encoded() {
        let query = EventQuery {
            runs: vec!["a&b".into()],
            kinds: vec![ObjectKind::Trial],
            statuses: vec!["failed".into()],
        };
        assert_eq!(
            query.path(),
            "/v1/events?run=a%26b&kind=trial&status=failed"
        );
        assert_eq!(EventQuery::default().path(), "/v1/events");
        let read = |text: &str| EventQuery::parse(text.split_once('?').map_or("", |both| both.1));
        assert_eq!(read(&query.path()), Ok(query));
        let several = read("?kind=run,trial&status=a,b&status=c&other=1").unwrap();
        assert_eq!((several.kinds.len(), several.statuses.len()), (2, 3));
        assert!(read("?kind=cat").is_err());
    }
}
