//! Past statuses: the history of one object, and the changes of all of them.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use crate::event::{EventQuery, ObjectKind};
use crate::routes;
use crate::time::UnixMs;

/// Default number of changes in a history or a list of changes.
pub const DEFAULT_CHANGES: u64 = 1_000;

/// Response of `GET /v1/history`. Fields may be added but are never renamed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Kind of the object.
    pub kind: ObjectKind,
    /// Id of the run; for a trial, of the run it belongs to.
    pub run_id: String,
    /// Id of the trial; `None` for a run.
    pub trial_id: Option<String>,
    /// Name of the run; name or task of the trial.
    pub name: String,
    /// Current status.
    pub status: String,
    /// Whether the status is terminal.
    pub ended: bool,
    /// Changes of the status, oldest first.
    pub changes: Vec<StatusChange>,
    /// When it was observed, oldest first; between two ranges nobody checked it.
    #[serde(rename = "looks")]
    pub observation_windows: Vec<TimeRange>,
    /// What was done to the run through a hub, oldest first; empty for a trial.
    #[serde(default)]
    pub actions: Vec<RunAction>,
    /// When the response was sent, RFC 3339.
    pub now: String,
}

/// Something that was done to a run through a hub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunAction {
    /// `stop`, `start` or `cancel`.
    pub action: String,
    /// Name of the token that it was done with, or what stands for it.
    pub by: String,
    /// When it was done, RFC 3339.
    pub at: String,
}

/// One change of a status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusChange {
    /// Number of the change in the mirror's history.
    pub seq: u64,
    /// Previous status; `None` when the object was seen for the first time.
    pub from: Option<String>,
    /// New status.
    pub to: String,
    /// When it got the status, RFC 3339: by the object's own time if it has one, else when it was
    /// observed.
    pub at: String,
    /// When the request that showed it started, RFC 3339.
    pub observed_at: String,
    /// How it was learned: `polled`, `own_action`, or a newer way.
    pub learned: String,
}

/// A range of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeRange {
    /// Start, RFC 3339.
    pub from: String,
    /// End, RFC 3339.
    pub until: String,
}

/// A query of the changes of all runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChangesQuery {
    /// Which objects and statuses; an empty list means all.
    pub filter: EventQuery,
    /// Only changes at this time or later.
    pub since: Option<UnixMs>,
    /// Only changes before this time.
    pub until: Option<UnixMs>,
    /// Maximum number of changes, the newest; 0 for the daemon's own maximum.
    pub limit: Option<u64>,
}

impl ChangesQuery {
    /// Returns path and query of the request.
    #[must_use]
    pub fn path(&self) -> String {
        let events = self.filter.path();
        let mut path = events.replacen(routes::EVENTS, routes::CHANGES, 1);
        let mut add = |name: &str, value: String| {
            path.push(if path.contains('?') { '&' } else { '?' });
            path.push_str(&format!("{name}={value}"));
        };
        let time = |at: UnixMs| utf8_percent_encode(&at.rfc3339(), NON_ALPHANUMERIC).to_string();
        if let Some(at) = self.since {
            add("since", time(at));
        }
        if let Some(at) = self.until {
            add("until", time(at));
        }
        if let Some(limit) = self.limit {
            add("limit", limit.to_string());
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_of_changes_is_written_in_full() {
        let query = ChangesQuery {
            filter: EventQuery {
                kinds: vec![ObjectKind::Trial],
                ..EventQuery::default()
            },
            since: Some(UnixMs(0)),
            until: None,
            limit: Some(5),
        };
        let expected = "/v1/changes?kind=trial&since=1970%2D01%2D01T00%3A00%3A00%2E000Z&limit=5";
        assert_eq!(query.path(), expected);
        assert_eq!(ChangesQuery::default().path(), "/v1/changes");
    }
}
