//! The command tree: every option and its help, read once by `main`.
//!
//! Owns what can be typed and what contradicts itself; what a command does is
//! in [`crate::commands`]. Doc comments here are the help that users read.

mod account;
mod cache;
mod daemon;
mod global;
mod history;
mod hub;
mod runs;
mod watch;

use std::ffi::OsString;
use std::io::{self, Write};

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub(crate) use account::{
    AuthCommand, AuthLogin, ConfigCommand, ProfileAdd, ProfileCommand, ProfileRemove, ProfileUse,
};
pub(crate) use cache::{CacheClear, CacheCommand, CachePin, CachePrune, CachePull};
pub(crate) use daemon::{Completions, DaemonCommand, DaemonLogs, Sync};
pub(crate) use global::{Colour, Format, Global};
pub(crate) use history::{RunsChanges, RunsHistory};
pub(crate) use hub::{HubCommand, HubServe, HubToken};
pub(crate) use runs::{
    ArtifactType, ListOptions, RunsArtifacts, RunsCommand, RunsCompare, RunsDiff, RunsEvalCancel,
    RunsEvalGet, RunsEvalList, RunsEvalStart, RunsGet, RunsList, RunsLogs, RunsResult, RunsStop,
    RunsTrajectory, RunsTrial, RunsTrials, WhichArtifacts,
};
pub(crate) use watch::RunsWatch;

/// Look at evaluation runs, from a mirror that keeps up by itself
#[derive(Debug, Parser)]
#[command(
    name = "docks",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "Examples:\n  \
        docks runs list --status failed\n  \
        docks runs eval-list --search nightly --since 2d\n  \
        docks runs trials RUN_ID --format json\n  \
        docks --harbor ./jobs runs eval-list"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List, inspect and stop runs, and download their artifacts
    #[command(subcommand)]
    Runs(RunsCommand),
    /// Keep artifacts at hand, and look after those that are kept
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Wait until the mirror has caught up with the remote
    Sync(Sync),
    /// Start, stop and inspect the daemon that keeps the mirror
    #[command(subcommand)]
    Daemon(DaemonCommand),
    /// Share a Harbor jobs directory with other machines
    #[command(subcommand)]
    Hub(HubCommand),
    /// Sign in to a Docks API, sign out, and see who you are
    #[command(subcommand)]
    Auth(AuthCommand),
    /// List, pick, add and remove profiles
    #[command(subcommand)]
    Profile(ProfileCommand),
    /// See which settings are in force
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print a completion script for a shell
    Completions(Completions),
}

/// Prints what ends a command line: help, the version, or what is wrong with it.
///
/// # Errors
///
/// When the output is closed.
pub(crate) fn print(error: &clap::Error) -> io::Result<()> {
    match error.kind() {
        // clap would print the verb's name, as if each had a version of its own.
        ErrorKind::DisplayVersion => write!(io::stdout(), "{}", Cli::command().render_version()),
        _ => error.print(),
    }
}

impl Cli {
    /// Reads the command line of this process.
    ///
    /// # Errors
    ///
    /// clap's, which is also how help and version come.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let mut tree = Self::command();
        let read = tree
            .try_get_matches_from_mut(std::env::args_os())
            .and_then(|mut matches| {
                let read = Self::from_arg_matches_mut(&mut matches);
                read.map_err(|error| error.format(&mut tree))
            });
        // Some thousand small pieces; a process that lives a millisecond need not free them.
        std::mem::forget(tree);
        read?.whole(std::env::args_os())?.check()
    }

    /// Checks that clap handed on every `--harbor`: of those before and after a command it keeps
    /// the later ones only.
    ///
    /// # Errors
    ///
    /// clap's usage error.
    fn whole(self, args: impl Iterator<Item = OsString>) -> Result<Self, clap::Error> {
        let names_one =
            |arg: &OsString| arg == "--harbor" || arg.as_encoded_bytes().starts_with(b"--harbor=");
        let written = args.take_while(|arg| arg != "--").filter(names_one).count();
        if written <= self.global.harbor.len() {
            return Ok(self);
        }
        let text = "--harbor stands before and after the command; put all of them on one side";
        Err(Cli::command().error(ErrorKind::ArgumentConflict, text))
    }

    /// Checks what clap cannot: options that exclude each other on both sides of a subcommand.
    ///
    /// # Errors
    ///
    /// clap's own usage error, so that it looks like every other one.
    pub(crate) fn check(mut self) -> Result<Self, clap::Error> {
        let conflict =
            |text: &str| Err(Cli::command().error(ErrorKind::ArgumentConflict, text.to_owned()));
        let g = &self.global;
        let asked: Vec<&str> = [
            ("--fresh", g.fresh),
            ("--max-age", g.max_age.is_some()),
            ("--offline", g.offline),
        ]
        .iter()
        .filter_map(|&(name, given)| given.then_some(name))
        .collect();
        if let [first, second, ..] = asked[..] {
            return conflict(&format!("{first} cannot be used with {second}"));
        }
        if g.offline && g.no_daemon {
            return conflict(
                "--offline cannot be used with --no-daemon: offline answers come from the \
                 mirror, and only the daemon reads it",
            );
        }
        if !g.harbor.is_empty() && g.profile.is_some() {
            return conflict("--harbor cannot be used with --profile: each names a remote");
        }
        if let Command::Auth(AuthCommand::Login(login)) = &self.command
            && login.token.is_some()
        {
            return conflict(
                "a token on the command line can be read by every program on this machine; \
                 pipe it in, `docks auth login --token-stdin < FILE`, or leave the option \
                 out to be asked",
            );
        }
        match (self.global.meta, self.global.format) {
            (true, Format::Jsonl | Format::Tsv) => conflict("--meta goes with --format json only"),
            // What --meta adds has no place in a table.
            (true, _) => {
                self.global.format = Format::Json;
                Ok(self)
            }
            (false, _) => Ok(self),
        }
    }
}

#[cfg(test)]
mod tests;
