//! What is known of tasks. Fields may be added but are never renamed.

use serde::{Deserialize, Serialize};

use crate::comparison::{Known, RateFigure};
use crate::score::TaskShare;

/// The last time that one agent with one model did otherwise at a task than in its run before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskChange {
    /// When its attempts in that run ended, RFC 3339; null if the remote says nothing.
    pub at: Option<String>,
    /// The id of that run.
    pub run_id: String,
    /// The agent, as the remote writes it.
    pub agent: String,
    /// The model; empty if it is not known.
    pub model: String,
    /// Its attempts in the run before.
    pub before: TaskShare,
    /// Its attempts in that run.
    pub after: TaskShare,
}

/// A task, over all runs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TaskFigures {
    /// The task.
    pub task: String,
    /// Its dataset; empty if it is not known.
    pub dataset: String,
    /// Runs with attempts at it.
    pub runs: u64,
    /// Agents with their models that tried it.
    pub configurations: u64,
    /// Attempts, also those that have not ended.
    pub trials: u64,
    /// Those that ended, also errored, cancelled and lost ones.
    pub ended: u64,
    /// Of those, the ones of which it is known whether they solved it.
    pub known: u64,
    /// Those that solved it.
    pub solved: u64,
    /// Those with an exception.
    pub errored: u64,
    /// Those that failed for infrastructure.
    pub infrastructure: u64,
    /// Solved ÷ ended, as far as that is known; its interval is that of independent attempts.
    pub rate: Option<RateFigure>,
    /// The chance that two attempts of one agent with one model differ: mean over those with two attempts or more.
    pub flip_rate: Known,
    /// Median cost of an attempt in US dollars.
    pub median_cost_usd: Known,
    /// Median wall time of an attempt in seconds.
    pub median_duration_s: Known,
    /// When the last attempt ended, RFC 3339.
    pub last_at: Option<String>,
    /// The last change; null if none did otherwise.
    pub last_change: Option<TaskChange>,
}

/// A row of a task's history: one run, or one week.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TaskPeriod {
    /// When the run was created, or the week began, RFC 3339; null if that is not known.
    pub from: Option<String>,
    /// The id of the run; null for a week.
    pub run_id: Option<String>,
    /// Its name; its id if it has none.
    pub run: Option<String>,
    /// Its status.
    pub status: Option<String>,
    /// Runs with attempts.
    pub runs: u64,
    /// The agents, as the remote writes them.
    pub agents: Vec<String>,
    /// Attempts.
    pub trials: u64,
    /// Those that ended.
    pub ended: u64,
    /// Of those, the ones of which it is known whether they solved it.
    pub known: u64,
    /// Those that solved it.
    pub solved: u64,
    /// Those with an exception.
    pub errored: u64,
    /// Those that failed for infrastructure.
    pub infrastructure: u64,
    /// As of a [`TaskFigures`].
    pub rate: Option<RateFigure>,
    /// Median cost of an attempt in US dollars.
    pub median_cost_usd: Known,
    /// Median wall time of an attempt in seconds.
    pub median_duration_s: Known,
}

/// A task over time.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TaskHistory {
    /// The task; several if several datasets have one of that name.
    pub tasks: Vec<TaskFigures>,
    /// What the rows are: `run` or `week`.
    pub by: String,
    /// The rows, oldest first.
    pub rows: Vec<TaskPeriod>,
    /// How many rows there are, also older ones that are left out.
    pub rows_total: u64,
}
