//! `docks runs artifacts`, and the verbs that show one artifact of a trial.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::grep::Grep;

/// Arguments of `docks runs artifacts`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    docks runs artifacts abc123 --output ./artifacts\n  \
    docks runs artifacts abc123 --trial trial-001 --type logs\n  \
    docks runs artifacts abc123 --failed-only --type logs,result --jobs 16\n  \
    docks runs artifacts abc123 --pattern 'fix-*/*.json' --dry-run")]
pub(crate) struct RunsArtifacts {
    /// Full id, unique prefix of it, or exact name
    pub(crate) run_id: String,
    #[command(flatten)]
    pub(crate) filter: ArtifactFilter,
    /// Directory to write to
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub(crate) output: PathBuf,
    /// Number of files to download at once
    #[arg(short, long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) jobs: u8,
    /// Replace existing files that differ
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Show what would be downloaded, and its size
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Options that select artifacts of a run.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ArtifactFilter {
    /// Only this trial; may be repeated
    #[arg(short, long, value_name = "TRIAL_ID")]
    pub(crate) trial: Vec<String>,
    /// Only artifacts of this type; may be repeated or comma-separated
    #[arg(long = "type", value_enum, value_name = "TYPE", value_delimiter = ',')]
    pub(crate) types: Vec<ArtifactType>,
    /// Only trials with this status; may be repeated or comma-separated
    #[arg(short, long, value_name = "STATUS", value_delimiter = ',')]
    pub(crate) status: Vec<String>,
    /// Only trials that failed or ended with an error
    #[arg(long, conflicts_with = "status")]
    pub(crate) failed_only: bool,
    /// Only files that match: a name such as '*.json', or a path below the run such as 'fix-*/logs.*'
    #[arg(long, value_name = "GLOB", value_parser = docks_artifacts::pattern::Pattern::parse)]
    pub(crate) pattern: Option<docks_artifacts::pattern::Pattern>,
}

impl ArtifactFilter {
    /// Whether any of the options is set.
    pub(crate) fn is_set(&self) -> bool {
        !(self.trial.is_empty() && self.types.is_empty() && self.status.is_empty())
            || self.failed_only
            || self.pattern.is_some()
    }
}

/// Arguments of `docks runs logs`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    docks runs logs abc123 trial-001\n  \
    docks runs logs abc123 trial-001 --tail 50 --follow\n  \
    docks runs logs abc123 trial-001 --grep 'error|warning'")]
pub(crate) struct RunsLogs {
    /// Full id, unique prefix of it, or exact name
    pub(crate) run_id: String,
    /// Full id, unique prefix of it, or exact name
    pub(crate) trial_id: String,
    /// Keep printing new lines until the trial has ended
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only the last lines of each log
    #[arg(long, value_name = "N")]
    pub(crate) tail: Option<u64>,
    /// Only lines that match this regular expression
    #[arg(long, value_name = "RE", value_parser = Grep::new, allow_hyphen_values = true)]
    pub(crate) grep: Option<Grep>,
}

/// Arguments of `docks runs trajectory`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    docks runs trajectory abc123 trial-001\n  \
    docks runs trajectory abc123 trial-001 --step 4\n  \
    docks runs trajectory abc123 trial-001 --full")]
pub(crate) struct RunsTrajectory {
    /// Full id, unique prefix of it, or exact name
    pub(crate) run_id: String,
    /// Full id, unique prefix of it, or exact name
    pub(crate) trial_id: String,
    /// Only this step, in full; may be repeated or comma-separated
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub(crate) step: Vec<u64>,
    /// Show texts in full, and the reasoning of the agent
    #[arg(long)]
    pub(crate) full: bool,
}

/// Arguments of `docks runs diff`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  docks runs diff abc123 trial-001\n  \
    docks runs diff abc123 trial-001 --color always | less -R")]
pub(crate) struct RunsDiff {
    /// Full id, unique prefix of it, or exact name
    pub(crate) run_id: String,
    /// Full id, unique prefix of it, or exact name
    pub(crate) trial_id: String,
}

/// Arguments of `docks runs result`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  docks runs result abc123 trial-001\n  \
    docks runs result abc123 trial-001 --format json")]
pub(crate) struct RunsResult {
    /// Full id, unique prefix of it, or exact name
    pub(crate) run_id: String,
    /// Full id, unique prefix of it, or exact name
    pub(crate) trial_id: String,
}

/// The four artifacts of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub(crate) enum ArtifactType {
    /// Execution log
    Logs,
    /// Steps of the agent
    Trajectory,
    /// Changes the agent made
    Diff,
    /// Results and metrics
    Result,
}
