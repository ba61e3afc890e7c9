//! The events of `GET /v1/events`: the current state, then every change of a status.
//!
//! Each event is one JSON object whose `event` names its type, so a stored line can be read without
//! its context. New types and fields may be added; readers take an unknown type for
//! [`Event::Unknown`].

mod kind;
mod object_state;
mod progress;
mod query;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::UnixMs;

pub use self::kind::ObjectKind;
pub use self::object_state::ObjectState;
pub use self::progress::{Progress, is_failure, is_pass};
pub use self::query::EventQuery;

/// A position in one history: the number of the last event that was read.
///
/// A mirror that is rebuilt starts another history, in which the same number means another event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Which history.
    pub history: u64,
    /// Number of the last event read; 0 before the first.
    pub seq: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.history, self.seq)
    }
}

impl Position {
    /// Parses what [`Display`](fmt::Display) writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (history, seq) = text.trim().split_once('-')?;
        Some(Self {
            history: u64::from_str_radix(history, 16).ok()?,
            seq: seq.parse().ok()?,
        })
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// The current state of an object.
    State(ObjectState),
    /// The status of an object changed.
    Change(Change),
    /// Counts of the trials of a run.
    Progress(Progress),
    /// Whether the remote can be reached.
    #[serde(rename = "source")]
    Connection(ConnectionState),
    /// The current state is complete; changes follow.
    Ready(Ready),
    /// The history does not reach back to the reader's position; the current state follows.
    Resync(Resync),
    /// A type that this release does not know.
    #[serde(other)]
    Unknown,
}

/// The status of an object changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// [`Position`] to resume from, as text.
    pub id: String,
    /// Number of the event; later events have higher numbers.
    pub seq: u64,
    /// Previous status; `None` when the object was seen for the first time.
    #[serde(default)]
    pub from: Option<String>,
    /// When it got the status, RFC 3339: by the object's own time if it has one, else when it was observed.
    pub at: String,
    /// When the request that showed it started, RFC 3339.
    pub observed_at: String,
    /// How it was learned: `polled`, `own_action`, or a newer way.
    pub learned: String,
    /// Number of earlier changes of this object that were skipped for a slow reader.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
    /// The object: its status is the one after this change, the rest is current.
    #[serde(flatten)]
    pub object: ObjectState,
}

impl Change {
    /// Creates a change that was found just now by comparing states, so that it has no place in the
    /// history of a daemon. `at` is when the object says that it got its status.
    #[must_use]
    pub fn without_history(from: Option<String>, at: Option<String>, object: ObjectState) -> Self {
        let now = UnixMs::now().rfc3339();
        Self {
            id: String::new(),
            seq: 0,
            from,
            at: at.unwrap_or_else(|| now.clone()),
            observed_at: now,
            learned: "polled".to_owned(),
            left_out: 0,
            object,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Whether the remote can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ConnectionState {
    /// Since when the remote has not been reachable, RFC 3339; `None` while it is.
    #[serde(default, rename = "blind_since")]
    pub unreachable_since: Option<String>,
    /// Why it is not reachable.
    #[serde(default, rename = "why")]
    pub reason: Option<String>,
}

/// The current state is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// [`Position`] to resume from, as text.
    pub id: String,
}

/// The history does not reach back far enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resync {
    /// `pruned` (too long ago) or `other_history` (the mirror was rebuilt).
    pub reason: String,
}

/// Maximum number of runs in a filter whose trials are polled for it.
///
/// A subscriber that names more runs only gets the changes of trials that are found anyway:
/// polling the trials of each run would cost the remote a request per run.
pub const MAX_RUNS_WITH_TRIALS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_was_written() {
        let position = Position {
            history: 0x19ab_cdef,
            seq: 42,
        };
        assert_eq!(position.to_string(), "19abcdef-42");
        assert_eq!(Position::parse(&position.to_string()), Some(position));
        for bad in ["", "42", "-42", "x-1", "1-x", "1-2-3"] {
            assert_eq!(Position::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_event_of_a_newer_release_is_unknown_and_not_an_error() {
        let read = |text: &str| serde_json::from_str::<Event>(text).unwrap();
        assert_eq!(read(r#"{"event":"weather","sun":true}"#), Event::Unknown);
        let change = read(
            r#"{"event":"change","id":"1-2","seq":2,"from":null,"at":"a","observed_at":"b",
                "learned":"polled","kind":"trial","run_id":"r","trial_id":"t","status":"passed",
                "ended":true,"more":1}"#,
        );
        assert!(matches!(change, Event::Change(c) if c.object.trial_id.as_deref() == Some("t")));
    }

    #[test]
    fn the_names_on_the_wire_stay_those_of_protocol_1() {
        let text = r#"{"event":"source","blind_since":"2026-11-23T16:00:00Z","why":"no route"}"#;
        let event: Event = serde_json::from_str(text).unwrap();
        let Event::Connection(state) = &event else {
            panic!("{event:?}");
        };
        assert_eq!(state.reason.as_deref(), Some("no route"));
        assert_eq!(serde_json::to_string(&event).unwrap(), text);
    }
}
