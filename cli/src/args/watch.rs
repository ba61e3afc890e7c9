//! `docks runs watch`.

use std::time::Duration;

use clap::Args;
use docks_proto::time::parse_duration;

/// Arguments of `docks runs watch`.
#[derive(Debug, Args)]
#[command(
    after_help = "At a terminal a live view: q quits, ? explains. In a pipe one line per change.\n\n\
    Exit codes: 0 ended, 8 not ended in time, with --exit-status 10 failed and 11 cancelled.\n\n\
    Examples:\n  \
    docks runs watch abc123 --exit-status\n  \
    docks runs watch --all-active --timeout 8h\n  \
    docks runs watch --latest --wait-for-start 10m --fail-fast\n  \
    docks runs watch abc123 --format jsonl"
)]
pub(crate) struct RunsWatch {
    /// Runs or evaluation runs: full id, unique beginning of it, or exact name
    #[arg(value_name = "RUN_ID", required_unless_present_any = ["latest", "all_active", "status"])]
    pub(crate) run_ids: Vec<String>,
    /// Watch the run that was made last
    #[arg(long, conflicts_with = "run_ids")]
    pub(crate) latest: bool,
    /// Watch all runs that have not ended
    #[arg(long, conflicts_with_all = ["run_ids", "latest"])]
    pub(crate) all_active: bool,
    /// Watch all runs with this status; may be repeated or comma separated
    #[arg(short, long, value_name = "STATUS", value_delimiter = ',', conflicts_with_all = ["run_ids", "latest", "all_active"])]
    pub(crate) status: Vec<String>,
    /// Tell by the exit code how the runs ended: 10 when one failed, else 11 when one was cancelled
    #[arg(long)]
    pub(crate) exit_status: bool,
    /// End with 10 at the first run or trial that fails
    #[arg(long)]
    pub(crate) fail_fast: bool,
    /// End with 8 when the runs have not ended after this time
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,
    /// Wait so long for the run to exist and to start; then end with 3 or 8
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) wait_for_start: Option<Duration>,
    /// Run this shell command when a run has ended; it gets the event as JSON on standard input
    #[arg(long, value_name = "CMD")]
    pub(crate) exec: Option<String>,
    /// Show a desktop notification when a run has ended
    #[arg(long)]
    pub(crate) notify: bool,
    /// One line per run in the live view
    #[arg(long)]
    pub(crate) compact: bool,
}
