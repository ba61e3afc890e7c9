//! `docks runs score`.

use clap::{Args, ValueEnum};
use docks_proto::score::ScoreKey;

use super::lists::{AgentOptions, CreatedOptions};

/// Arguments of `docks runs score`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    docks runs score\n  \
    docks runs score nightly-1 nightly-2 --by agent,model,run\n  \
    docks runs score --dataset terminal-bench --since 30d --format markdown\n  \
    docks runs score --matrix --format csv")]
pub(crate) struct RunsScore {
    /// Runs: full id, unique prefix of it, or exact name [default: all evaluation runs]
    #[arg(value_name = "RUN_ID")]
    pub(crate) run_ids: Vec<String>,
    /// What the rows are; may be repeated or comma-separated
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',',
        default_values_t = [ScoreBy::Agent, ScoreBy::Model])]
    pub(crate) by: Vec<ScoreBy>,
    /// Show how often each row solved each task
    #[arg(long)]
    pub(crate) matrix: bool,
    #[command(flatten)]
    pub(crate) agents: AgentOptions,
    /// Only trials of this dataset; may be repeated or comma-separated
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) dataset: Vec<String>,
    /// Only trials of this task; may be repeated or comma-separated
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) task: Vec<String>,
    #[command(flatten)]
    pub(crate) created: CreatedOptions,
}

/// What the rows of a scoreboard are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScoreBy {
    /// Agents, without their models
    Agent,
    /// Models
    Model,
    /// Datasets
    Dataset,
    /// Evaluation runs
    Run,
}

impl From<ScoreBy> for ScoreKey {
    fn from(by: ScoreBy) -> Self {
        match by {
            ScoreBy::Agent => ScoreKey::Agent,
            ScoreBy::Model => ScoreKey::Model,
            ScoreBy::Dataset => ScoreKey::Dataset,
            ScoreBy::Run => ScoreKey::Run,
        }
    }
}
