//! What was found. Fields may be added but are never renamed.

use serde::{Deserialize, Serialize};

use crate::comparison::RateFigure;

/// What a trial failed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The machine, the sandbox, the network or the provider of the model.
    Infrastructure,
    /// The agent ran into a limit: time, context, budget.
    Limits,
    /// The verifier gave no reward.
    Grading,
    /// What was asked for cannot work: a key, a model, a parameter.
    Configuration,
    /// It was graded, and did not solve its task.
    Ability,
    /// No rule knows its error.
    Unknown,
}

impl FailureClass {
    /// All classes, in the order in which they are shown.
    pub const ALL: [Self; 6] = [
        Self::Infrastructure,
        Self::Limits,
        Self::Grading,
        Self::Configuration,
        Self::Ability,
        Self::Unknown,
    ];

    /// Returns the name in JSON and in rules.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Infrastructure => "infrastructure",
            Self::Limits => "limits",
            Self::Grading => "grading",
            Self::Configuration => "configuration",
            Self::Ability => "ability",
            Self::Unknown => "unknown",
        }
    }

    /// Reads the name of a class.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }
}

/// A run whose trials were looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnalysedRun {
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
    /// Those of them that failed or have an error.
    pub failures: u64,
}

/// How many trials have one cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CauseCount {
    /// The cause, as its rule names it.
    pub cause: String,
    /// Trials that have it.
    pub trials: u64,
}

/// How many trials are of one class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCount {
    /// The class.
    pub class: FailureClass,
    /// Trials of it.
    pub trials: u64,
    /// Those of them that solved their task in spite of their error.
    pub solved: u64,
    /// The causes, most frequent first.
    pub causes: Vec<CauseCount>,
}

/// A trial of a cluster to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureExample {
    /// Its run.
    pub run_id: String,
    /// Its id.
    pub trial_id: String,
    /// Its task.
    pub task: String,
    /// The beginning of its message, as the remote has it; empty if there is none.
    pub message: String,
    /// The last lines of its first log; null where the log is neither in a jobs directory nor cached, or cannot be read.
    pub log: Option<Vec<String>>,
}

/// Trials that failed alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureCluster {
    /// Their class.
    pub class: FailureClass,
    /// Their cause.
    pub cause: String,
    /// What decided about class and cause in the first of them: words of its message, the type of its exception, or
    /// its state.
    pub decided_by: String,
    /// The types of their exceptions.
    pub errors: Vec<String>,
    /// Their message, without numbers, paths and ids; empty if they have none.
    pub message: String,
    /// How many there are.
    pub trials: u64,
    /// Those that solved their task in spite of it.
    pub solved: u64,
    /// In how many runs they are.
    pub runs: u64,
    /// At how many tasks.
    pub tasks: u64,
    /// At most three, of different tasks if there are.
    pub examples: Vec<FailureExample>,
}

/// Why trials failed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct FailureReport {
    /// The runs, in the order in which they were asked for, else oldest first.
    pub runs: Vec<AnalysedRun>,
    /// Trials that meet the filters.
    pub trials: u64,
    /// Those with a final status, also errored, cancelled and lost ones.
    pub ended: u64,
    /// Those that solved their task.
    pub solved: u64,
    /// Those that ended, and nothing says how; they are in no class.
    pub undecided: u64,
    /// Those that are in a class: they did not solve their task, or have an error.
    pub failures: u64,
    /// Solved ÷ ended, as far as that is known; null if it is known of none.
    pub rate: Option<RateFigure>,
    /// Solved ÷ trials with a valid reward.
    pub rate_of_valid: Option<RateFigure>,
    /// The same without the trials of class `infrastructure`, whether they solved their task or not.
    pub rate_without_infrastructure: Option<RateFigure>,
    /// The classes that have trials.
    pub classes: Vec<ClassCount>,
    /// The clusters, biggest first.
    pub clusters: Vec<FailureCluster>,
    /// How many clusters there are, also those that are left out.
    pub clusters_total: u64,
}
