//! Jobs of `harbor serve`: the same objects as for a jobs directory, from what a server says.
//!
//! The caller asks the server and keeps its answers; this module knows how they map to statuses, figures and
//! fields. Trials that ended are read from the server's `TrialResult`, which is Harbor's `result.json`. While
//! that was not asked for yet, what the server's tables say of the trial stands in for it.

mod artifacts;
mod job;
mod recall;
mod result;
mod state;
#[cfg(test)]
mod tests;

use docks_proto::object::RawObject;

use crate::format::trial::TrialResult;
use crate::format::written_time::WrittenTime;

pub use artifacts::ServedArtifacts;
pub use recall::recalled_update;

/// The version of this mapping. Objects of another one are built again instead of being taken over after a restart.
pub const MAPPING: u32 = 1;

pub use job::{ServedCount, ServedJob, ServedTrials, job_objects, trial_objects};

/// The state of a job or an attempt, in the server's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServedState {
    /// It waits for a slot, or for a retry.
    Queued,
    /// It runs.
    Running,
    /// It does not start before somebody resumes it.
    Paused,
    /// It is being stopped.
    Cancelling,
    /// It ended, well or not.
    Finished,
    /// It was stopped.
    Cancelled,
}

impl ServedState {
    /// Parses the server's word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "queued" => Self::Queued,
            "running" => Self::Running,
            "paused" => Self::Paused,
            "cancelling" => Self::Cancelling,
            "finished" => Self::Finished,
            "cancelled" => Self::Cancelled,
            _ => return None,
        })
    }

    /// Whether it has ended; a retry can make a job run again.
    #[must_use]
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Finished | Self::Cancelled)
    }
}

/// The phase of a running attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServedPhase {
    /// Its environment and its agent are set up.
    Setup,
    /// The agent works.
    Agent,
    /// The result is graded.
    Verifier,
    /// It is graded and cleans up.
    Ending,
}

/// One attempt: what the server calls a rollout. Times are in microseconds since 1970.
#[derive(Debug, Clone)]
pub struct ServedAttempt {
    /// Its UUID.
    pub id: Box<str>,
    /// The name of the trial, which all attempts of a chain share.
    pub name: Box<str>,
    /// Its state.
    pub state: ServedState,
    /// When it was submitted.
    pub created_us: Option<i64>,
    /// When it started.
    pub started_us: Option<i64>,
    /// When it ended, cleaned up.
    pub finished_us: Option<i64>,
    /// The name of its task in the plan.
    pub task: Box<str>,
    /// The dataset.
    pub source: Option<Box<str>>,
    /// The agent as configured: its name, or an import path.
    pub agent: Box<str>,
    /// The agent's version.
    pub agent_version: Option<Box<str>>,
    /// The model as configured.
    pub model: Option<Box<str>>,
    /// Input tokens, cached ones included.
    pub input_tokens: Option<u64>,
    /// Cached input tokens.
    pub cache_tokens: Option<u64>,
    /// Output tokens.
    pub output_tokens: Option<u64>,
    /// Cost in US dollars.
    pub cost_usd: Option<f64>,
    /// Rewards; a value is missing while it runs, and where an exception makes the reward invalid.
    pub rewards: Vec<(Box<str>, Option<f64>)>,
    /// The type of its first exception.
    pub error_type: Option<Box<str>>,
    /// Its phase, if it runs and somebody asked the server for it.
    pub phase: Option<ServedPhase>,
    /// The files that it left.
    pub artifacts: ServedArtifacts,
    /// What Harbor wrote at its end; `None` until the server was asked for it.
    pub result: Option<AttemptResult>,
}

/// What Harbor wrote at the end of an attempt.
#[derive(Debug, Clone)]
pub struct AttemptResult(TrialResult);

impl AttemptResult {
    /// Parses the server's `TrialResult`; `None` unless it is an object.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        TrialResult::parse(text).map(Self)
    }

    /// Returns the result of an attempt that never started, of which there is none.
    #[must_use]
    pub fn none() -> Self {
        Self(TrialResult::default())
    }

    /// Reads the result back from a trial's object that was built of it, and the id of the attempt; `None` if
    /// the object was built without it.
    #[must_use]
    pub fn recall(trial: &RawObject) -> Option<(String, Self)> {
        recall::recall(trial).map(|(id, result)| (id, Self(result)))
    }
}

/// Reads a time as the server writes it: microseconds since 1970.
#[must_use]
pub fn parse_time(text: &str) -> Option<i64> {
    WrittenTime::parse_utc(text).map(|time| time.0)
}
