//! `docks daemon …`, `docks sync` and `docks completions`.

use clap::{Args, Subcommand};

use super::deferred::Deferred;

/// Verbs of `docks daemon`.
#[derive(Debug, Subcommand)]
pub(crate) enum DaemonCommand {
    /// Start the daemon and wait until it responds
    Start(Deferred<DaemonStart>),
    /// Stop the daemon and wait until it has exited
    Stop(Deferred<DaemonStop>),
    /// Stop the daemon and start it again
    Restart(Deferred<DaemonRestart>),
    /// Show the health of the daemon, its remotes, and the last and next sync
    Status(Deferred<DaemonStatusArgs>),
    /// Show the daemon's log
    Logs(Deferred<DaemonLogs>),
    /// Run the daemon in the foreground
    Run(Deferred<DaemonRun>),
}

/// Arguments of `docks daemon start`.
#[derive(Debug, Args)]
pub(crate) struct DaemonStart {}

/// Arguments of `docks daemon stop`.
#[derive(Debug, Args)]
pub(crate) struct DaemonStop {}

/// Arguments of `docks daemon restart`.
#[derive(Debug, Args)]
pub(crate) struct DaemonRestart {}

/// Arguments of `docks daemon status`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  docks daemon status\n  docks daemon status --format json")]
pub(crate) struct DaemonStatusArgs {}

/// Arguments of `docks daemon logs`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  docks daemon logs\n  docks daemon logs -n 0 --follow")]
pub(crate) struct DaemonLogs {
    /// Number of lines to show from the end
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    pub(crate) lines: u64,
    /// Keep printing new lines
    #[arg(short, long)]
    pub(crate) follow: bool,
}

/// Arguments of `docks daemon run`.
#[derive(Debug, Args)]
pub(crate) struct DaemonRun {
    /// Options for docksd
    #[arg(last = true, value_name = "OPTIONS")]
    pub(crate) options: Vec<std::ffi::OsString>,
}

/// Arguments of `docks sync`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  docks sync\n  docks sync --full")]
pub(crate) struct Sync {
    /// Compare all objects with the remote, not only those that may have changed
    #[arg(long)]
    pub(crate) full: bool,
}

/// Arguments of `docks completions`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  docks completions bash > ~/.local/share/bash-completion/completions/docks"
)]
pub(crate) struct Completions {
    /// Shell to write the script for
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}
