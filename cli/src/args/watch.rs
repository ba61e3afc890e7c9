//! `docks runs watch`.

use std::time::Duration;

use clap::Args;
use docks_proto::time::parse_duration;

/// Arguments of `docks runs watch`.
#[derive(Debug, Args)]
#[command(
    after_help = "At a terminal, a live view: q quits, ? shows the keys. In a pipe, one line per change.\n\n\
    Exit codes: 0 ended, 8 not ended in time; with --exit-status also 10 failed and 11 cancelled.\n\n\
    Examples:\n  \
    docks runs watch abc123 --exit-status\n  \
    docks runs watch --all-active --timeout 8h\n  \
    docks runs watch --latest --wait-for-start 10m --fail-fast\n  \
    docks runs watch abc123 --format jsonl"
)]
pub(crate) struct RunsWatch {
    /// Runs or evaluation runs: full id, unique prefix of it, or exact name
    #[arg(value_name = "RUN_ID", required_unless_present_any = ["latest", "all_active", "status"])]
    pub(crate) run_ids: Vec<String>,
    /// Watch the run that was created last
    #[arg(long, conflicts_with = "run_ids")]
    pub(crate) latest: bool,
    /// Watch all runs that have not ended
    #[arg(long, conflicts_with_all = ["run_ids", "latest"])]
    pub(crate) all_active: bool,
    /// Watch all runs with this status; may be repeated or comma-separated
    #[arg(short, long, value_name = "STATUS", value_delimiter = ',', conflicts_with_all = ["run_ids", "latest", "all_active"])]
    pub(crate) status: Vec<String>,
    /// Exit with 10 if a run failed, else with 11 if one was cancelled
    #[arg(long)]
    pub(crate) exit_status: bool,
    /// Exit with 10 as soon as a run or trial fails
    #[arg(long)]
    pub(crate) fail_fast: bool,
    /// Exit with 8 if the runs have not ended after this time
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,
    /// Wait this long for the run to exist and to start; then exit with 3 or 8
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) wait_for_start: Option<Duration>,
    /// Run this shell command when a run ends; it gets the event as JSON on standard input
    #[arg(long, value_name = "CMD")]
    pub(crate) exec: Option<String>,
    /// Show a desktop notification when a run ends
    #[arg(long)]
    pub(crate) notify: bool,
    /// Show one line per run in the live view
    #[arg(long)]
    pub(crate) compact: bool,
}
