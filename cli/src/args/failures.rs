//! `docks runs failures`.

use clap::Args;
use docks_proto::failures::DEFAULT_CLUSTERS;

use super::lists::{CreatedOptions, TrialFilterOptions, limit};

/// Arguments of `docks runs failures`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    docks runs failures nightly-mixed\n  \
    docks runs failures nightly-1 nightly-2 --agent coder\n  \
    docks runs failures --all-runs --since 2d --format json")]
pub(crate) struct RunsFailures {
    /// Runs: full id, unique prefix of it, or exact name
    #[arg(required_unless_present = "all_runs", value_name = "RUN_ID")]
    pub(crate) run_ids: Vec<String>,
    /// Look at the trials of all evaluation runs
    #[arg(long, conflicts_with = "run_ids")]
    pub(crate) all_runs: bool,
    #[command(flatten)]
    pub(crate) filters: TrialFilterOptions,
    /// Only trials with this status; may be repeated or comma-separated
    #[arg(short, long, value_name = "STATUS", value_delimiter = ',')]
    pub(crate) status: Vec<String>,
    /// Only trials whose id, name, task or agent contains this text
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) search: Option<String>,
    #[command(flatten)]
    pub(crate) created: CreatedOptions,
    /// Number of clusters to show, 0 for all
    #[arg(short = 'n', long, value_name = "N", value_parser = limit, allow_negative_numbers = true,
        default_value_t = DEFAULT_CLUSTERS)]
    pub(crate) limit: u64,
}
