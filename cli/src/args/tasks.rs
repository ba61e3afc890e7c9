//! `docks tasks …`.

use clap::{Args, Subcommand, ValueEnum};
use docks_proto::query::DEFAULT_LIMIT;
use docks_proto::tasks::{HistoryBy, TaskSort};

use super::deferred::Deferred;
use super::lists::{AgentOptions, CreatedOptions, limit};

/// Verbs of `docks tasks`.
#[derive(Debug, Subcommand)]
pub(crate) enum TasksCommand {
    /// List tasks over all runs: how hard, flaky and dear they are
    List(Deferred<TasksList>),
    /// Show a task run after run
    History(Deferred<TasksHistory>),
}

/// Which trials the figures of tasks are over.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct TaskFilterOptions {
    #[command(flatten)]
    pub(crate) agents: AgentOptions,
    /// Only trials of this dataset; may be repeated or comma-separated
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) dataset: Vec<String>,
    #[command(flatten)]
    pub(crate) created: CreatedOptions,
}

/// Arguments of `docks tasks list`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    docks tasks list --sort flakiness\n  \
    docks tasks list --sort difficulty --agent coder --since 30d\n  \
    docks tasks list --limit 0 --format json")]
pub(crate) struct TasksList {
    #[command(flatten)]
    pub(crate) filters: TaskFilterOptions,
    /// Only tasks whose name contains this text
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) search: Option<String>,
    /// Sort by this key: name, flakiness (highest first), difficulty (lowest rate first), cost (highest first); a
    /// leading dash reverses it
    #[arg(long, value_name = "KEY", default_value = "name", value_parser = sort, allow_hyphen_values = true)]
    pub(crate) sort: TaskSort,
    /// Number of tasks to show, 0 for all
    #[arg(short = 'n', long, value_name = "N", value_parser = limit, allow_negative_numbers = true,
        default_value_t = DEFAULT_LIMIT)]
    pub(crate) limit: u64,
}

/// Arguments of `docks tasks history`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    docks tasks history sum-orders\n  \
    docks tasks history sum-orders --by week --agent coder\n  \
    docks tasks history sum-orders -n 10 --format tsv")]
pub(crate) struct TasksHistory {
    /// The task: its name, or a unique beginning of it
    pub(crate) task: String,
    #[command(flatten)]
    pub(crate) filters: TaskFilterOptions,
    /// What the rows are
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    pub(crate) by: TaskHistoryBy,
    /// Show at most this many of the newest rows; 0 for all
    #[arg(short = 'n', long, value_name = "N", value_parser = limit, allow_negative_numbers = true,
        default_value_t = 0)]
    pub(crate) limit: u64,
}

/// What the rows of a task's history are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum TaskHistoryBy {
    /// Evaluation runs
    #[default]
    Run,
    /// Weeks from Monday, UTC
    Week,
}

impl From<TaskHistoryBy> for HistoryBy {
    fn from(by: TaskHistoryBy) -> Self {
        match by {
            TaskHistoryBy::Run => HistoryBy::Run,
            TaskHistoryBy::Week => HistoryBy::Week,
        }
    }
}

fn sort(text: &str) -> Result<TaskSort, String> {
    TaskSort::parse(text).map_err(|bad| bad.to_string())
}
