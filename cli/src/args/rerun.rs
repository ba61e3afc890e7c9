//! `docks runs rerun`.

use std::path::PathBuf;

use clap::Args;

use super::lists::AgentOptions;

/// Arguments of `docks runs rerun`.
#[derive(Debug, Args)]
#[command(
    after_help = "Without --failed, --error, --infra, --lost and --unclear: all that did not end with a valid \
    reward of 1, which is --failed --lost --unclear. Several are united. Nothing is run.\n\nExamples:\n  \
    docks runs rerun nightly-mixed --infra\n  \
    docks runs rerun nightly-mixed --error RuntimeError --lost --config again.json\n  \
    docks runs rerun nightly-mixed --failed --quiet"
)]
pub(crate) struct RunsRerun {
    /// Full id, unique prefix of it, or exact name
    pub(crate) run_id: String,
    /// Trials that ended without solving their task
    #[arg(long)]
    pub(crate) failed: bool,
    /// Trials with an exception of this type, or `any`; may be repeated or comma-separated
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    pub(crate) error: Vec<String>,
    /// Trials that failed for infrastructure, as `docks runs failures` says
    #[arg(long)]
    pub(crate) infra: bool,
    /// Trials whose process was gone, or that never started
    #[arg(long)]
    pub(crate) lost: bool,
    /// Trials of which nothing says whether they solved their task, or whose verifier failed
    #[arg(long)]
    pub(crate) unclear: bool,
    #[command(flatten)]
    pub(crate) agents: AgentOptions,
    /// Only trials of this task; may be repeated or comma-separated
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) task: Vec<String>,
    /// Print only the ids of the trials
    #[arg(short, long, conflicts_with = "config")]
    pub(crate) quiet: bool,
    /// Write a Harbor job config that runs just these trials; if several are needed, the others get -2, -3 before the
    /// extension
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}
