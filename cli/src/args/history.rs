//! `docks runs history` and `docks runs changes`.

use clap::{Args, ValueEnum};
use docks_proto::event::ObjectKind;

/// Arguments of `docks runs history`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    docks runs history abc123\n  \
    docks runs history abc123 trial-001\n  \
    docks runs history nightly-mixed --format json")]
pub(crate) struct RunsHistory {
    /// Full id, unique prefix of it, or exact name
    pub(crate) run_id: String,
    /// The same for a trial of this run
    pub(crate) trial_id: Option<String>,
}

/// Arguments of `docks runs changes`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    docks runs changes --since 8h\n  \
    docks runs changes --since yesterday --kind evaluation --status failed,cancelled\n  \
    docks runs changes --run abc123 --format jsonl")]
pub(crate) struct RunsChanges {
    /// Only changes at or after this time: 8h, 2d, today, 2026-11-23, 2026-11-23T16:00Z
    #[arg(long, value_name = "WHEN", default_value = "8h")]
    pub(crate) since: String,
    /// Only changes before this time
    #[arg(long, value_name = "WHEN")]
    pub(crate) until: Option<String>,
    /// Only this run and its trials; may be repeated
    #[arg(long, value_name = "RUN_ID")]
    pub(crate) run: Vec<String>,
    /// Only objects of this kind; may be repeated or comma-separated
    #[arg(long, value_enum, value_name = "KIND", value_delimiter = ',')]
    pub(crate) kind: Vec<Kind>,
    /// Only changes to this status; may be repeated or comma-separated
    #[arg(short, long, value_name = "STATUS", value_delimiter = ',')]
    pub(crate) status: Vec<String>,
    /// Show at most this many of the newest changes; 0 for all
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1_000)]
    pub(crate) limit: u64,
}

/// Kind of object that changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Plain runs
    Run,
    /// Evaluation runs
    Evaluation,
    /// Trials
    Trial,
}

impl From<Kind> for ObjectKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Run => ObjectKind::Run,
            Kind::Evaluation => ObjectKind::Evaluation,
            Kind::Trial => ObjectKind::Trial,
        }
    }
}
