//! `docks runs compare` and `docks runs gate`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use docks_proto::comparison::MetricName;

/// Arguments of `docks runs compare`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  docks runs compare nightly-1 nightly-2\n  \
    docks runs compare nightly-1 nightly-2 --changed --metric cost\n  \
    docks runs compare --a old-1,old-2 --b new-1,new-2 --latest\n  \
    docks runs compare abc123 def456 --format tsv")]
pub(crate) struct RunsCompare {
    /// Runs: full id, unique prefix of it, or exact name; the others are compared with the first
    #[arg(
        required_unless_present = "first",
        conflicts_with = "first",
        num_args = 2..,
        value_name = "RUN_ID"
    )]
    pub(crate) run_ids: Vec<String>,
    /// Runs that together are the first side; may be repeated or comma-separated
    #[arg(
        long = "a",
        value_name = "RUN_ID",
        value_delimiter = ',',
        requires = "second"
    )]
    pub(crate) first: Vec<String>,
    /// Runs that together are the second side
    #[arg(
        long = "b",
        value_name = "RUN_ID",
        value_delimiter = ',',
        requires = "first"
    )]
    pub(crate) second: Vec<String>,
    /// Of several runs of a side, count each task as the newest run has it
    #[arg(long, requires = "first", conflicts_with = "best")]
    pub(crate) latest: bool,
    /// Of several runs of a side, count each task as the best run has it
    #[arg(long, requires = "first")]
    pub(crate) best: bool,
    #[command(flatten)]
    pub(crate) figure: ComparedFigure,
    /// Say what holds for these tasks, from the attempts within them, and not for others of their kind
    #[arg(long)]
    pub(crate) on_these_tasks: bool,
    /// What the rows are
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    pub(crate) by: CompareBy,
    /// Only tasks whose results differ
    #[arg(long)]
    pub(crate) changed: bool,
    /// Only tasks that are better, worse or unclear; may be repeated or comma-separated
    #[arg(long, value_enum, value_name = "CHANGE", value_delimiter = ',')]
    pub(crate) only: Vec<OnlyChange>,
}

/// The figure that is compared.
#[derive(Debug, Args)]
pub(crate) struct ComparedFigure {
    /// Figure to compare: solved, solved-of-valid, reward, reward:KEY, cost, time or tokens
    #[arg(long, default_value = "solved", value_name = "FIGURE", value_parser = metric)]
    pub(crate) metric: MetricName,
    /// Largest difference that counts as none, such as 2%
    #[arg(long, default_value = "2%", value_name = "SHARE", value_parser = share)]
    pub(crate) margin: f64,
}

/// What the rows of a comparison are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum CompareBy {
    /// Tasks
    #[default]
    Task,
    /// Agents
    Agent,
    /// Models
    Model,
    /// Datasets
    Dataset,
}

/// Which tasks of a comparison are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnlyChange {
    /// Better, also after the correction for many tasks
    Better,
    /// Worse, likewise
    Worse,
    /// Different, within noise
    Unclear,
}

/// Arguments of `docks runs gate`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code: 0 held, 13 dropped, 14 cannot tell.\n\nExamples:\n  \
    docks runs gate new-agent --baseline nightly-1 --max-drop 2%\n  \
    docks runs gate new-agent --save baseline.json\n  \
    docks runs gate new-agent --baseline baseline.json --format markdown"
)]
pub(crate) struct RunsGate {
    /// The run to judge: full id, unique prefix of it, or exact name
    #[arg(value_name = "CANDIDATE")]
    pub(crate) candidate: String,
    /// What it must be as good as: a run, or a file that --save wrote
    #[arg(long, value_name = "RUN_ID|FILE", required_unless_present = "save")]
    pub(crate) baseline: Option<String>,
    /// By how much it may be worse, such as 2%: points of a share, else relative
    #[arg(long, default_value = "2%", value_name = "SHARE", value_parser = share)]
    pub(crate) max_drop: f64,
    #[command(flatten)]
    pub(crate) figure: ComparedFigure,
    /// Also exit with 13 when these data cannot tell whether it held
    #[arg(long)]
    pub(crate) strict: bool,
    /// Cannot tell if fewer tasks than that were tried by both
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) min_n: u64,
    /// Write the candidate to this file, a baseline for later; with --baseline only if it held
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,
}

fn metric(text: &str) -> Result<MetricName, String> {
    MetricName::from_name(text).ok_or_else(|| {
        "expected solved, solved-of-valid, reward, reward:KEY, cost, time or tokens".to_owned()
    })
}

/// Reads `2%`, or `0.02`.
fn share(text: &str) -> Result<f64, String> {
    let (number, unit) = match text.trim().strip_suffix('%') {
        Some(number) => (number, 0.01),
        None => (text.trim(), 1.0),
    };
    let number = number.trim().parse().ok();
    let share = number.map(|number: f64| number * unit);
    share
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "expected a share such as 2% or 0.02, at most 100%".to_owned())
}
