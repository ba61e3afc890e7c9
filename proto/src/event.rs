//! What `GET /v1/events` sends: the present state, then every change of a status.
//!
//! Each event is one JSON object whose `event` names its shape, so that a line of
//! it can be kept and read anywhere. New shapes and fields may be added; readers
//! take what they do not know for [`Event::Unknown`].

use std::collections::BTreeMap;
use std::fmt;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use crate::object::{Lifecycle, RawObject, RunFields, lifecycle};
use crate::query::{Row, object_key};
use crate::routes::{self, RunKind};
use crate::trial::Trial;

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectKind {
    /// A plain run.
    Run,
    /// An evaluation run.
    Evaluation,
    /// A trial of an evaluation run.
    Trial,
}

impl ObjectKind {
    /// Every kind.
    pub const ALL: [ObjectKind; 3] = [ObjectKind::Run, ObjectKind::Evaluation, ObjectKind::Trial];

    /// Returns the name used in JSON and in query strings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ObjectKind::Run => RunKind::Run.name(),
            ObjectKind::Evaluation => RunKind::Evaluation.name(),
            ObjectKind::Trial => "trial",
        }
    }

    /// Finds the kind of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl From<RunKind> for ObjectKind {
    fn from(kind: RunKind) -> Self {
        match kind {
            RunKind::Run => ObjectKind::Run,
            RunKind::Evaluation => ObjectKind::Evaluation,
        }
    }
}

/// A place in one history: the number of its last event that was read.
///
/// A mirror that is made anew begins another history, in which the same number means another event.
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
    /// Reads what [`Display`](fmt::Display) writes.
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
    /// How an object is at present.
    State(ObjectState),
    /// An object came into another status.
    Change(Change),
    /// Counts of a run.
    Progress(Progress),
    /// Whether the remote can be seen.
    #[serde(rename = "source")]
    Connection(ConnectionState),
    /// The present state is complete; changes follow.
    Ready(Ready),
    /// The history does not reach back to where the reader was; the present state follows.
    Resync(Resync),
    /// A shape that this release does not know.
    #[serde(other)]
    Unknown,
}

/// How an object is at present.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectState {
    /// Of which kind.
    pub kind: ObjectKind,
    /// Run, or the run that the trial belongs to.
    pub run_id: String,
    /// Trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial_id: Option<String>,
    /// Name of the run, name or task of the trial.
    #[serde(default)]
    pub name: String,
    /// Status as the remote wrote it.
    pub status: String,
    /// Whether nothing changes by itself any more.
    pub ended: bool,
    /// When it began, as the remote wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// When it ended, as the remote wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
    /// Reward of a trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward: Option<f64>,
    /// What went wrong, or why a run has its status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl ObjectState {
    /// Reads a run.
    #[must_use]
    pub fn from_run(kind: RunKind, object: &RawObject) -> Self {
        let fields = RunFields::from_object(object);
        let row = Row::from_run_fields(object, &fields);
        Self {
            kind: kind.into(),
            run_id: object_key(object, &fields.id),
            trial_id: None,
            name: row.name,
            ended: lifecycle(&row.status) == Lifecycle::Terminal,
            status: row.status,
            started_at: fields.started_at.text(),
            completed_at: fields.completed_at.text(),
            reward: None,
            error: fields.status_reason.text(),
        }
    }

    /// Reads a trial of a run.
    #[must_use]
    pub fn from_trial(run: &str, object: &RawObject) -> Self {
        let Trial { fields, result, .. } = Trial::from_object(object);
        let row = Row::from_trial(object);
        let error = [
            &fields.error_message,
            &result.error_message,
            &result.error,
            &result.error_code,
        ];
        Self {
            kind: ObjectKind::Trial,
            run_id: run.to_owned(),
            trial_id: Some(object_key(object, &fields.id)),
            name: if row.name.is_empty() {
                row.task
            } else {
                row.name
            },
            ended: lifecycle(&row.status) == Lifecycle::Terminal,
            status: row.status,
            started_at: fields.started_at.text(),
            completed_at: fields.completed_at.text(),
            reward: row.reward,
            error: error.into_iter().find_map(crate::object::Scalar::text),
        }
    }
}

/// An object came into another status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// [`Position`] to resume from, as text.
    pub id: String,
    /// Number; later events have higher ones.
    pub seq: u64,
    /// Status before; missing when the object was seen for the first time.
    #[serde(default)]
    pub from: Option<String>,
    /// Since when it has the status: the object's own time, else when it was observed.
    pub at: String,
    /// When the request that showed it began.
    pub observed_at: String,
    /// `polled`, `own_action`, or another way of learning it.
    pub learned: String,
    /// Changes of this object before this one that were left out for a slow reader.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
    /// The object: its status is that of this change, the rest is as at present.
    #[serde(flatten)]
    pub object: ObjectState,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Counts of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Of which kind of run.
    pub kind: Option<ObjectKind>,
    /// Which run.
    pub run_id: String,
    /// Its status.
    pub status: String,
    /// Whether it ended.
    pub ended: bool,
    /// Whether the remote has it no more.
    #[serde(default)]
    pub gone: bool,
    /// Trials by status, as far as they were fetched.
    #[serde(default)]
    pub by_status: BTreeMap<String, u64>,
    /// Trials planned or known.
    #[serde(default)]
    pub total: u64,
    /// Trials that ended.
    #[serde(default)]
    pub finished: u64,
    /// Trials that passed.
    #[serde(default)]
    pub passed: u64,
    /// Mean of the rewards that there are.
    #[serde(default)]
    pub mean_reward: Option<f64>,
    /// Whether the trials are those of the run's end, so that none of them will change.
    #[serde(default)]
    pub settled: bool,
}

impl Progress {
    /// Counts trials in with a status; `reward_sum` is of those that have one.
    pub fn add_trials(&mut self, status: &str, trials: u64) {
        *self.by_status.entry(status.to_owned()).or_default() += trials;
        self.total += trials;
        if lifecycle(status) == Lifecycle::Terminal {
            self.finished += trials;
        }
        if is_pass(status) {
            self.passed += trials;
        }
    }

    /// Takes what the run itself says where that is more than its trials show.
    pub fn raise_to_counts_of(&mut self, run: &RunFields) {
        let number = |scalar: &crate::object::Scalar| {
            scalar
                .number()
                .filter(|n| *n >= 0.0)
                .map_or(0, |n| n as u64)
        };
        self.total = self.total.max(number(&run.total_trials));
        self.finished = self.finished.max(number(&run.completed_trials));
        self.passed = self.passed.max(number(&run.passed_trials));
    }
}

/// Tells whether a trial of this status passed.
#[must_use]
pub fn is_pass(status: &str) -> bool {
    ["passed", "success"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(status))
}

/// Tells whether a status is an end that is no success.
#[must_use]
pub fn is_failure(status: &str) -> bool {
    ["failed", "error"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(status))
}

/// Whether the remote can be seen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ConnectionState {
    /// Since when nothing was learned of the remote, while that lasts.
    #[serde(default, rename = "unreachable_since")]
    pub unreachable_since: Option<String>,
    /// Why.
    #[serde(default, rename = "why")]
    pub reason: Option<String>,
}

/// The present state is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// [`Position`] to resume from, as text.
    pub id: String,
}

/// The history does not reach back far enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resync {
    /// `pruned` (too long ago) or `other_history` (the mirror was made anew).
    pub reason: String,
}

/// A reader that names more runs than this hears of their trials what is learned anyway: to keep
/// those of each polled would cost the remote a request per run.
pub const MAX_RUNS_WITH_TRIALS: usize = 16;

/// Which events a reader wants; empty lists mean all.
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
    /// Writes path and query.
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

    /// Reads a query string; parameters that it does not know are left to others.
    ///
    /// # Errors
    ///
    /// What cannot be, for people.
    pub fn parse(query: &str) -> Result<Self, String> {
        let mut wanted = Self::default();
        for (name, value) in query_parameters(query)? {
            match name {
                "run" => wanted.runs.push(value),
                "status" => wanted.statuses.push(value),
                "kind" => {
                    let kind = ObjectKind::from_name(&value).ok_or_else(|| {
                        format!("`kind` must be run, evaluation or trial, not `{value}`")
                    })?;
                    wanted.kinds.push(kind);
                }
                _ => {}
            }
        }
        Ok(wanted)
    }
}

/// Cuts a query string into names and decoded values; commas separate several values of a name.
///
/// # Errors
///
/// When a value is no text.
pub fn query_parameters(query: &str) -> Result<Vec<(&str, String)>, String> {
    let mut pairs = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, values) = pair.split_once('=').unwrap_or((pair, ""));
        for value in values.split(',').filter(|value| !value.is_empty()) {
            let value = value.replace('+', " ");
            let text = percent_decode_str(&value).decode_utf8();
            let text = text.map_err(|_| format!("`{name}` is no text"))?;
            pairs.push((name, text.into_owned()));
        }
    }
    Ok(pairs)
}

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
    fn a_trial_is_read_with_its_reward_and_error() {
        let text = r#"{"id":"t","task_slug":"sum","status":"error","result_data":{"reward":0.5,"error":"boom"}}"#;
        let state = ObjectState::from_trial("r", &RawObject::parse(text).unwrap().unwrap());
        assert_eq!(state.name, "sum");
        assert_eq!(state.reward, Some(0.5));
        assert_eq!(state.error.as_deref(), Some("boom"));
        assert!(state.ended);
    }

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
