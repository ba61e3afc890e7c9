//! What to run again, and how. Fields may be added but are never renamed.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failures::FailureClass;

/// Why a trial failed, as `docks runs failures` says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RerunReason {
    /// The class.
    pub class: FailureClass,
    /// The cause, as its rule names it.
    pub cause: String,
    /// What decided about both.
    pub decided_by: String,
}

/// A trial to run again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RerunTrial {
    /// Its id.
    pub id: String,
    /// Its task.
    pub task: String,
    /// Its agent, with its model if the run has several.
    pub agent: String,
    /// Its status.
    pub status: String,
    /// The names of the [selectors](super::RerunSelector) that it meets.
    pub selected_by: Vec<String>,
    /// Why it failed; null if it did not, or if it did not end.
    pub reason: Option<RerunReason>,
}

/// A trial that is in no config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotRerun {
    /// Its id.
    pub id: String,
    /// Why it is in none.
    pub why: String,
}

/// The command with which Harbor goes on with a job where it lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumeCommand {
    /// The program and its arguments, to be called in [`RerunPlan::directory`].
    pub arguments: Vec<String>,
    /// Trials of this plan whose folders it removes before it runs them again.
    pub replaces: u64,
    /// Trials that it starts for the first time, whether they are in this plan or not.
    pub starts: u64,
}

/// A Harbor job that runs some of the trials again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RerunConfig {
    /// How many trials it has.
    pub trials: u64,
    /// A job config of Harbor, for `harbor run --config FILE`.
    pub config: Value,
}

/// What to run again, and how.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RerunPlan {
    /// The run's id.
    pub run_id: String,
    /// Its name; empty if it has none.
    pub run: String,
    /// Its status.
    pub status: String,
    /// The names of the [selectors](super::RerunSelector) that were looked for.
    pub selected_by: Vec<String>,
    /// Trials of the run that meet the filters.
    pub of: u64,
    /// Those to run again.
    pub trials: Vec<RerunTrial>,
    /// The directory in which the job was run, to which paths in its config are relative; null if it is not known.
    pub directory: Option<String>,
    /// How Harbor runs exactly these trials again in their job; null if it cannot.
    pub resume: Option<ResumeCommand>,
    /// Jobs of their own that run them again: several if not every task has as many attempts by every agent. Empty for
    /// other remotes than jobs directories.
    pub configs: Vec<RerunConfig>,
    /// Trials that are in none of these.
    pub left_out: Vec<NotRerun>,
    /// The arguments of `docks` commands that run them again, of a `harbor serve`.
    pub retries: Vec<Vec<String>>,
    /// What one should know before.
    pub notes: Vec<String>,
}
