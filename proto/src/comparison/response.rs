//! What a comparison found. Fields may be added but are never renamed.

use serde::{Deserialize, Serialize};

/// What may be said of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The second side is better.
    Better,
    /// The second side is worse.
    Worse,
    /// They differ by less than the margin.
    NoDifference,
    /// Too few data to tell.
    Unclear,
}

/// What may be said of one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The last side is better than the first.
    Better,
    /// The last side is worse.
    Worse,
    /// Both are equal.
    Same,
    /// They differ, within noise.
    Unclear,
}

impl Change {
    /// Returns the name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Same => "same",
            Self::Unclear => "unclear",
        }
    }
}

/// The attempts at one task on one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeStatus {
    /// All that ended solved it.
    Pass,
    /// None did.
    Fail,
    /// Some did.
    Flaky,
    /// None has ended.
    Active,
    /// There are none.
    Missing,
    /// They ended, and nothing says how.
    Unknown,
}

impl OutcomeStatus {
    /// Returns the name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Flaky => "flaky",
            Self::Active => "active",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        }
    }
}

/// A sum or mean, with over how many values it is, of how many that there could be.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Known {
    /// The sum or mean; null if no value is known.
    pub value: Option<f64>,
    /// How many values are known.
    pub n: u64,
    /// Of how many.
    pub of: u64,
}

/// A share of solved attempts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RateFigure {
    /// Solved ÷ attempts.
    pub value: f64,
    /// Lower end of its interval of 95 %.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Attempts that solved their task.
    pub solved: u64,
    /// Attempts that count.
    pub attempts: u64,
    /// Number of tasks.
    pub tasks: u64,
}

/// Figures of some trials. The first six are those that comparisons have had from the beginning.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Figures {
    /// Trials.
    pub attempts: u64,
    /// Those that ended, also errored, cancelled and lost ones.
    pub ended: u64,
    /// Those that solved their task.
    pub passed: u64,
    /// Mean reward over the trials that count.
    pub reward: Option<f64>,
    /// Mean wall time, where it is known.
    pub duration_seconds: Option<f64>,
    /// Sum of the costs that are known.
    pub cost_usd: Option<f64>,
    /// Ended trials of which it is known whether they solved their task.
    #[serde(default)]
    pub known: u64,
    /// Trials with a valid reward.
    #[serde(default)]
    pub valid: u64,
    /// Trials with an exception.
    #[serde(default)]
    pub errored: u64,
    /// Trials whose process was gone before they ended.
    #[serde(default)]
    pub lost: u64,
    /// Trials whose status and reward contradict each other.
    #[serde(default)]
    pub contradictory: u64,
    /// Over how many trials `reward` is.
    #[serde(default)]
    pub reward_n: u64,
    /// Over how many `duration_seconds` is.
    #[serde(default)]
    pub duration_n: u64,
    /// Over how many `cost_usd` is.
    #[serde(default)]
    pub cost_n: u64,
    /// Sum of input and output tokens, of the trials of which both are known.
    #[serde(default)]
    pub tokens: Known,
}

/// One side: a run, or several together.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Side {
    /// Which of several remotes has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
    /// Id of the run; of several, those of all, separated by commas.
    pub id: String,
    /// Name, likewise.
    pub name: String,
    /// Status, likewise.
    pub status: String,
    /// Whether all of its trials are known.
    #[serde(default)]
    pub complete: bool,
    /// Its figures.
    #[serde(flatten)]
    pub figures: Figures,
    /// Share of solved attempts of those that ended; null if that is known of none.
    pub rate: Option<RateFigure>,
    /// Share of solved attempts of those with a valid reward.
    pub rate_of_valid: Option<RateFigure>,
}

/// The difference of a side from the first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delta {
    /// Place of the side among all, from 1.
    pub side: usize,
    /// The figure that is compared.
    pub metric: String,
    /// `difference`, or `ratio` for what is spent.
    pub scale: String,
    /// The difference; null without a common task.
    pub value: Option<f64>,
    /// Lower end of its interval of 95 %; null if nothing says how much it varies.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// How the interval was made: `paired_t` or `paired_jeffreys`; on these tasks, `attempts_t` or `attempts_jeffreys`.
    pub interval: Option<String>,
    /// How probable a difference at least this large would be if there were none.
    pub p: Option<f64>,
    /// The same after Holm's correction for several sides; equal to `p` for one.
    pub p_adjusted: Option<f64>,
    /// The test.
    pub test: Option<String>,
    /// Tasks that both sides tried and of which the figure is known.
    pub n_tasks: u64,
    /// How many of these a side tried more than once, if only attempts were resampled: the difference is then that on
    /// these tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_repeated: Option<u64>,
    /// Tasks that only the first side has.
    pub only_first: u64,
    /// Tasks that only the other side has.
    pub only_other: u64,
    /// The smallest difference that data like these show with a probability of 80 %.
    pub detectable: Option<f64>,
    /// What may be said.
    pub verdict: Verdict,
}

/// What a comparison comes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// In words, one sentence for each other side.
    pub text: Vec<String>,
    /// The difference of the second side from the first.
    pub delta: Delta,
    /// Those of all other sides, if they are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deltas: Vec<Delta>,
}

/// The attempts at one task on one side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskOutcome {
    /// What became of them.
    pub status: OutcomeStatus,
    /// Their figures.
    #[serde(flatten)]
    pub figures: Figures,
}

/// One task on all sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskRow {
    /// The task.
    pub task: String,
    /// The agent, if that distinguishes rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// From the first side to the last; null if one has no result.
    pub change: Option<Change>,
    /// How probable such a change would be if there were none.
    pub p: Option<f64>,
    /// The same after Holm's correction over all tasks.
    pub p_adjusted: Option<f64>,
    /// Whether the attempts of some side differ.
    pub flaky: bool,
    /// One for each side.
    pub runs: Vec<TaskOutcome>,
}

impl TaskRow {
    /// Returns the task, with the agent if that matters.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.agent {
            Some(agent) => format!("{} ({agent})", self.task),
            None => self.task.clone(),
        }
    }
}

/// All trials of one agent, or one model, on all sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// The agent or model.
    pub name: String,
    /// From the first side to the last; null if one has none.
    pub delta: Option<Delta>,
    /// One for each side.
    pub runs: Vec<Figures>,
}

/// Whether a candidate may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateOutcome {
    /// It is not worse by more than is allowed.
    Held,
    /// It is.
    Dropped,
    /// Nobody can tell.
    CannotTell,
}

/// What a gate decides, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// The decision.
    pub outcome: GateOutcome,
    /// Why, in words.
    pub reason: String,
    /// By how much the candidate may be worse.
    pub max_drop: f64,
    /// Whether it must be shown that it is not.
    pub strict: bool,
    /// Fewer common tasks than that cannot tell.
    pub min_n: u64,
}

/// The whole comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// What it comes to.
    pub summary: Summary,
    /// What the gate decides, if one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
    /// The sides.
    pub runs: Vec<Side>,
    /// Tasks that are better.
    pub better: Vec<String>,
    /// Tasks that are worse.
    pub worse: Vec<String>,
    /// Tasks that differ, within noise.
    pub unclear: Vec<String>,
    /// Tasks whose attempts differ on a side.
    pub flaky: Vec<String>,
    /// The tasks.
    pub tasks: Vec<TaskRow>,
    /// Agents or models, if these were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
}
