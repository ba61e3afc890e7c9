//! The scoreboard. Fields may be added but are never renamed.

use serde::{Deserialize, Serialize};

use crate::comparison::{Known, RateFigure};

/// A run whose trials are in a scoreboard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScoredRun {
    /// Its id.
    pub id: String,
    /// Its name; empty if it has none.
    pub name: String,
    /// Its status.
    pub status: String,
    /// Whether all of its trials are known.
    pub complete: bool,
    /// Its trials that meet the filters.
    pub trials: u64,
}

/// What a row is of. What rows are not distinguished by is null; what a trial does not say is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RowKey {
    /// The agent, without its model.
    pub agent: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// The dataset.
    pub dataset: Option<String>,
    /// The id of the run.
    pub run_id: Option<String>,
    /// The name of the run; its id if it has none.
    pub run: Option<String>,
}

/// pass@k or pass^k: a mean over the tasks with at least k attempts, of all tasks with attempts that count.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct KFigure {
    /// k.
    pub k: u64,
    /// The mean; null if no task has so many attempts.
    pub value: Option<f64>,
    /// How many tasks have.
    pub n: u64,
    /// Of how many.
    pub of: u64,
}

/// One row of a scoreboard.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ScoreRow {
    /// What it is of.
    #[serde(flatten)]
    pub key: RowKey,
    /// How many runs have trials of it.
    pub runs: u64,
    /// Its trials.
    pub trials: u64,
    /// Those that ended, also errored, cancelled and lost ones.
    pub ended: u64,
    /// Of those, the ones of which it is known whether they solved their task.
    pub known: u64,
    /// Those that solved their task.
    pub solved: u64,
    /// Those with a valid reward.
    pub valid: u64,
    /// Those with an exception.
    pub errored: u64,
    /// Those that failed for infrastructure.
    pub infrastructure: u64,
    /// Solved ÷ ended, as far as that is known; null if it is known of none.
    pub rate: Option<RateFigure>,
    /// Solved ÷ trials with a valid reward.
    pub rate_of_valid: Option<RateFigure>,
    /// pass@k, for the values of k that Harbor reports.
    pub pass_at_k: Vec<KFigure>,
    /// pass^k likewise.
    pub pass_hat_k: Vec<KFigure>,
    /// Mean reward over the trials that count.
    pub mean_reward: Known,
    /// Cost of all trials in US dollars.
    pub cost_usd: Known,
    /// Mean cost of a trial, over those of which it is known.
    pub cost_per_trial_usd: Known,
    /// Cost ÷ solved, over the trials of which the cost is known; null if none of them solved its task.
    pub cost_per_solved_usd: Known,
    /// Input tokens of all trials, with cached ones.
    pub input_tokens: Known,
    /// Output tokens of all trials.
    pub output_tokens: Known,
    /// Both together, of the trials of which both are known.
    pub tokens: Known,
    /// Mean wall time in seconds.
    pub mean_duration_s: Known,
    /// Median wall time in seconds, over the same trials.
    pub median_duration_s: Option<f64>,
    /// Tasks that it alone solved most often, of those that several rows tried.
    pub leads: u64,
    /// Tasks that it solved as often as another row, and no row more often.
    pub shares_lead: u64,
    /// Whether no other row has a rate at least as high for a lower cost per trial, or a higher rate for at most the
    /// same. Null if the rate is not known, or the cost not of every trial with a valid reward.
    pub frontier: Option<bool>,
}

/// How often a row solved a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskShare {
    /// Attempts that ended, and of which it is known whether they solved it.
    pub attempts: u64,
    /// Those that did.
    pub solved: u64,
}

/// A task, over all rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskScore {
    /// The task; with its dataset in front if several datasets have one of that name.
    pub task: String,
    /// For each row, how often it solved the task; null if it has no attempt that counts.
    pub rows: Vec<Option<TaskShare>>,
    /// The rows that solved it most often, by their places; empty if none did, or only one row tried it.
    pub leaders: Vec<usize>,
}

/// A scoreboard.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ScoreReport {
    /// What rows are distinguished by.
    pub by: Vec<String>,
    /// The runs, in the order in which they were asked for, else oldest first.
    pub runs: Vec<ScoredRun>,
    /// The rows, highest rate first.
    pub rows: Vec<ScoreRow>,
    /// The tasks by name.
    pub tasks: Vec<TaskScore>,
    /// How many tasks every row tried.
    pub tasks_common: u64,
}
