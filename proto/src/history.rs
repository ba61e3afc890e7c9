//! What happened: the statuses of one object, and what changed over all of them.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use crate::event::{EventQuery, ObjectKind};
use crate::routes;
use crate::time::UnixMs;

/// Changes that a history or a list of changes holds when nobody says how many.
pub const DEFAULT_CHANGES: u64 = 1_000;

/// Answer of `GET /v1/history`. New fields may be added; none is ever renamed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Of which kind of object.
    pub kind: ObjectKind,
    /// Run, or the run that the trial belongs to.
    pub run_id: String,
    /// Trial.
    pub trial_id: Option<String>,
    /// Name of the run, name or task of the trial.
    pub name: String,
    /// Status now.
    pub status: String,
    /// Whether nothing changes by itself any more.
    pub ended: bool,
    /// Changes of its status, oldest first.
    pub changes: Vec<StatusChange>,
    /// Stretches of time in which it was looked at; between them nobody looked. Oldest first.
    #[serde(rename = "looks")]
    pub observation_windows: Vec<TimeRange>,
    /// When the answer was written.
    pub now: String,
}

/// One change of a status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusChange {
    /// Number in the mirror's history.
    pub seq: u64,
    /// Status before; `None` when it was seen for the first time.
    pub from: Option<String>,
    /// Status since.
    pub to: String,
    /// Since when: the object's own time, else when it was observed.
    pub at: String,
    /// When the request that showed it began.
    pub observed_at: String,
    /// `polled`, `own_action`, or another way of learning it.
    pub learned: String,
}

/// A stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeRange {
    /// Its beginning.
    pub from: String,
    /// Its end.
    pub until: String,
}

/// A question for what changed over all runs; the lists of `filter` mean all when they are empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChangesQuery {
    /// Which objects and statuses.
    pub filter: EventQuery,
    /// From when on.
    pub since: Option<UnixMs>,
    /// Until before when.
    pub until: Option<UnixMs>,
    /// Newest changes at most; 0 for as many as the daemon gives.
    pub limit: Option<u64>,
}

impl ChangesQuery {
    /// Writes path and query.
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
    fn a_question_for_changes_is_written_whole() {
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
