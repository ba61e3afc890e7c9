//! The command line of `docksd`.

use std::path::PathBuf;

use clap::Parser;

use super::hub_flags::HubFlags;
use super::idle_exit::{IdleExit, parse_idle_exit};

/// Mirrors runs, evaluation runs and trials, and serves them on a Unix socket
///
/// Without options it stays in the foreground and logs to standard error. `docks` starts it with --report.
#[derive(Debug, Default, Parser)]
#[command(name = "docksd", version)]
pub struct Flags {
    /// Socket to listen on
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Directory of settings, mirrors and logs
    #[arg(long, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Stop after this time without a request, unless a run is active; or `never`
    #[arg(long, value_name = "DURATION", value_parser = parse_idle_exit)]
    pub idle_exit: Option<IdleExit>,
    /// What to log: error, warn, info, debug, trace, or a filter such as `docksd_sync=debug`
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Detach from the terminal, log to a file, and report on standard output whether the start succeeded
    #[arg(long)]
    pub report: bool,
    /// Only check the settings and report what is wrong with them
    #[arg(long, conflicts_with = "report")]
    pub check: bool,
    /// Stay in the foreground and log to standard error (the default without --report)
    #[arg(long, conflicts_with = "report")]
    pub foreground: bool,
    /// Serve one command of `docks` instead of being the daemon
    #[arg(long, value_enum, hide = true)]
    pub helper: Option<Helper>,
    /// Options of a hub.
    #[command(flatten)]
    pub hub: HubFlags,
}

/// What docksd does for a command that does not contain the code for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Helper {
    /// Reads object stores: [`docksd_stores::helper`].
    Stores,
    /// Talks to the keyring and the notification service: [`docksd_desktop::helper`].
    Desktop,
    /// Makes a certificate: [`crate::hub::certificate`].
    Certificate,
}
