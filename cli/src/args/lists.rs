//! Options that lists share.

use clap::Args;

/// Options of every list.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ListOptions {
    /// Number of rows to show, 0 for all [default: 20; all trials of a run]
    #[arg(short = 'n', long, value_name = "N", value_parser = limit, allow_negative_numbers = true)]
    pub(crate) limit: Option<u64>,
    /// Only rows with this status; may be repeated or comma-separated
    #[arg(short, long, value_name = "STATUS", value_delimiter = ',')]
    pub(crate) status: Vec<String>,
    /// Print only full ids
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Only rows whose id, name, task or agent contains this text
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) search: Option<String>,
    /// Only rows created at or after this time: 8h, 2d, today, 2026-11-23, 2026-11-23T16:00Z
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<String>,
    /// Only rows created before this time
    #[arg(long, value_name = "WHEN")]
    pub(crate) until: Option<String>,
    /// Sort by this key: created, id, name, status; trials also by listed, task, agent, reward,
    /// duration. Times, rewards and durations are sorted in descending order, the others in
    /// ascending order; a leading dash reverses it
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pub(crate) sort: Option<String>,
    /// Keep the table up to date until q or Ctrl-C
    #[arg(short, long)]
    pub(crate) watch: bool,
    /// Show only these columns, comma-separated; +NAME adds one to the usual ones and -NAME leaves one
    /// out; an unknown name lists the known ones
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        allow_hyphen_values = true
    )]
    pub(crate) columns: Vec<String>,
}

pub(super) fn limit(text: &str) -> Result<u64, String> {
    text.trim()
        .parse()
        .map_err(|_| "expected a whole number from 0; 0 means all".to_owned())
}

/// Filters for trials by who ran them.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct AgentOptions {
    /// Only trials of this agent; may be repeated or comma-separated
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) agent: Vec<String>,
    /// Only trials of this model, with or without its provider; may be repeated or comma-separated
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) model: Vec<String>,
}

/// Filters for trials by when they were created.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct CreatedOptions {
    /// Only trials created at or after this time: 8h, 2d, today, 2026-11-23, 2026-11-23T16:00Z
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<String>,
    /// Only trials created before this time
    #[arg(long, value_name = "WHEN")]
    pub(crate) until: Option<String>,
}

/// Filters for trials only.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct TrialFilterOptions {
    #[command(flatten)]
    pub(crate) agents: AgentOptions,
    /// Only trials of this task; may be repeated or comma-separated
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) task: Vec<String>,
    /// Only trials with this type of error, `any` or `none`; may be repeated or comma-separated
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    pub(crate) error: Vec<String>,
    /// Only trials with this reward: 1, '>=0.5', '!=0', any, none; if repeated, all must match
    #[arg(long, value_name = "REWARD", allow_hyphen_values = true)]
    pub(crate) reward: Vec<String>,
}
