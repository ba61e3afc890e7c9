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
    docks runs artifacts abc123 --pattern 'fix-*/*.json' --dry-run\n  \
    docks runs artifacts abc123 --type all --output ./everything")]
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
    /// [default: logs, trajectory, diff, result]
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

/// Arguments of `docks runs files`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    docks runs files abc123 trial-001\n  \
    docks runs files abc123 trial-001 --type session,recording\n  \
    docks runs files abc123 --format jsonl")]
pub(crate) struct RunsFiles {
    /// Full id, unique prefix of it, or exact name
    pub(crate) run_id: String,
    /// Full id, unique prefix of it, or exact name [default: the run's own files and those of all trials]
    pub(crate) trial_id: Option<String>,
    /// Only files of this type; may be repeated or comma-separated
    #[arg(long = "type", value_enum, value_name = "TYPE", value_delimiter = ',')]
    pub(crate) types: Vec<ArtifactType>,
}

/// Arguments of `docks runs cat`.
#[derive(Debug, Args)]
#[command(
    override_usage = "docks runs cat [OPTIONS] <RUN_ID> [TRIAL_ID] <PATH>",
    after_help = "Examples:\n  \
    docks runs cat abc123 trial-001 agent/episode-0/prompt.txt\n  \
    docks runs cat abc123 trial-001 config.json | jq .agent\n  \
    docks runs cat abc123 job.log\n  \
    docks runs cat abc123 trial-001 agent/recording.cast --raw > recording.cast"
)]
pub(crate) struct RunsCat {
    /// Full id, unique prefix of it, or exact name
    pub(crate) run_id: String,
    /// Trial: full id, unique prefix of it, or exact name; or without a further argument the path of one of the
    /// run's own files
    #[arg(value_name = "TRIAL_ID")]
    trial_or_path: String,
    /// Path as `docks runs files` shows it, or its last names if only one file has them
    path: Option<String>,
    /// Print the bytes unchanged at a terminal, too, without a pager
    #[arg(long)]
    pub(crate) raw: bool,
}

impl RunsCat {
    /// Returns what names the trial; `None` for one of the run's own files.
    pub(crate) fn trial_id(&self) -> Option<&str> {
        self.path.as_ref().map(|_| self.trial_or_path.as_str())
    }

    /// Returns the path.
    pub(crate) fn path(&self) -> &str {
        self.path.as_deref().unwrap_or(&self.trial_or_path)
    }
}

/// The types of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub(crate) enum ArtifactType {
    /// Execution log
    Logs,
    /// Steps of the agent, with the images and sounds to which they point
    Trajectory,
    /// Changes the agent made
    Diff,
    /// Results and metrics
    Result,
    /// Sessions that the agent's own program recorded, prompts and answers of its episodes
    Session,
    /// Recordings of a terminal or a screen
    Recording,
    /// Images and sounds
    Media,
    /// What else the agent left
    Agent,
    /// What else the verifier left
    Verifier,
    /// What was collected from the environment
    Output,
    /// Configurations and locks
    Config,
    /// Anything else
    Other,
    /// Every file
    All,
}
