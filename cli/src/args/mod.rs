//! The command tree: every option and its help text.
//!
//! Owns the syntax of the command line and which options conflict; [`crate::commands`] carries
//! the commands out. Doc comments here are the help texts.

mod account;
mod artifacts;
mod cache;
mod compare;
mod daemon;
mod deferred;
mod failures;
mod global;
mod history;
mod hub;
mod lists;
mod rerun;
mod runs;
mod score;
mod tasks;
mod watch;

use std::ffi::OsString;
use std::io::{self, Write};

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub(crate) use account::{
    AuthCommand, AuthLogin, ConfigCommand, ProfileAdd, ProfileCommand, ProfileRemove, ProfileUse,
};
pub(crate) use artifacts::{
    ArtifactFilter, ArtifactType, RunsArtifacts, RunsCat, RunsDiff, RunsFiles, RunsLogs,
    RunsResult, RunsTrajectory,
};
pub(crate) use cache::{CacheClear, CacheCommand, CacheForget, CachePin, CachePrune, CachePull};
pub(crate) use compare::{CompareBy, OnlyChange, RunsCompare, RunsGate};
pub(crate) use daemon::{Completions, DaemonCommand, DaemonLogs, Sync};
use deferred::Deferred;
pub(crate) use deferred::whole_tree;
pub(crate) use failures::RunsFailures;
pub(crate) use global::{Colour, Format, Global};
pub(crate) use history::{RunsChanges, RunsHistory};
pub(crate) use hub::{
    HubCert, HubCommand, HubServe, HubToken, HubTokenAdd, HubTokenCommand, HubTokenRevoke,
};
pub(crate) use lists::{AgentOptions, ListOptions, TrialFilterOptions};
pub(crate) use rerun::RunsRerun;
pub(crate) use runs::{
    RunsCommand, RunsEvalCancel, RunsEvalGet, RunsEvalList, RunsEvalStart, RunsGet, RunsList,
    RunsPause, RunsResume, RunsRetry, RunsStop, RunsTrial, RunsTrials,
};
pub(crate) use score::RunsScore;
pub(crate) use tasks::{TaskFilterOptions, TasksCommand, TasksHistory, TasksList};
pub(crate) use watch::RunsWatch;

/// Inspect evaluation runs from a mirror that stays up to date
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

/// The command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List, inspect, watch and stop runs, and download their artifacts
    #[command(subcommand)]
    Runs(Deferred<RunsCommand>),
    /// List tasks over all runs, and show one over time
    #[command(subcommand)]
    Tasks(Deferred<TasksCommand>),
    /// Manage the cache of artifacts, and forget mirrors
    #[command(subcommand)]
    Cache(Deferred<CacheCommand>),
    /// Wait until the mirror has caught up with the remote
    Sync(Deferred<Sync>),
    /// Start, stop and inspect the daemon that maintains the mirror
    #[command(subcommand)]
    Daemon(Deferred<DaemonCommand>),
    /// Share a Harbor jobs directory with other machines
    #[command(subcommand)]
    Hub(Deferred<HubCommand>),
    /// Sign in to a Docks API, sign out, and check the token
    #[command(subcommand)]
    Auth(Deferred<AuthCommand>),
    /// List, select, add and remove profiles
    #[command(subcommand)]
    Profile(Deferred<ProfileCommand>),
    /// Show the settings in effect
    #[command(subcommand)]
    Config(Deferred<ConfigCommand>),
    /// Print a completion script for a shell
    Completions(Deferred<Completions>),
}

/// Prints help, the version, or what is wrong with a command line.
///
/// # Errors
///
/// When the output is closed.
pub(crate) fn print(error: &clap::Error) -> io::Result<()> {
    match error.kind() {
        // clap would print the name of the subcommand before the version.
        ErrorKind::DisplayVersion => write!(io::stdout(), "{}", Cli::command().render_version()),
        _ => error.print(),
    }
}

impl Cli {
    /// Parses the command line of this process.
    ///
    /// # Errors
    ///
    /// clap's error, which is also how it returns help and version.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let mut tree = Self::command();
        let read = tree
            .try_get_matches_from_mut(std::env::args_os())
            .and_then(|mut matches| {
                let read = Self::from_arg_matches_mut(&mut matches);
                read.map_err(|error| error.format(&mut tree))
            });
        // Thousands of small allocations, which a short-lived process need not free.
        std::mem::forget(tree);
        read?
            .check_repeated_remotes(std::env::args_os())?
            .check_conflicts()
    }

    /// Checks that clap returned every `--harbor` and `--harbor-server`: if some are before a command and
    /// some after it, clap keeps only the latter.
    ///
    /// # Errors
    ///
    /// clap's usage error.
    fn check_repeated_remotes(
        self,
        args: impl Iterator<Item = OsString>,
    ) -> Result<Self, clap::Error> {
        let written: Vec<OsString> = args.take_while(|arg| arg != "--").collect();
        let options = self.global.named_remotes();
        // Names of profiles may be many in one `--profile`, so these cannot be counted.
        for (option, known) in options.into_iter().filter(|(name, _)| *name != "--profile") {
            let with_value = format!("{option}=");
            let is_option = |arg: &&OsString| {
                *arg == option || arg.as_encoded_bytes().starts_with(with_value.as_bytes())
            };
            if written.iter().filter(is_option).count() > known {
                let text = format!(
                    "{option} is given before and after the command; put all of them on one side"
                );
                return Err(Cli::command().error(ErrorKind::ArgumentConflict, text));
            }
        }
        Ok(self)
    }

    /// Checks what clap cannot: conflicts between options before and after a subcommand.
    ///
    /// # Errors
    ///
    /// clap's usage error, so that it looks like every other one.
    pub(crate) fn check_conflicts(mut self) -> Result<Self, clap::Error> {
        let conflict =
            |text: &str| Err(Cli::command().error(ErrorKind::ArgumentConflict, text.to_owned()));
        let g = &self.global;
        let policies: Vec<&str> = [
            ("--fresh", g.fresh),
            ("--max-age", g.max_age.is_some()),
            ("--offline", g.offline),
        ]
        .iter()
        .filter_map(|&(name, given)| given.then_some(name))
        .collect();
        if let [first, second, ..] = policies[..] {
            return conflict(&format!("{first} cannot be used with {second}"));
        }
        if g.offline && g.no_daemon {
            return conflict(
                "--offline cannot be used with --no-daemon: offline answers come from the \
                 mirror, which only the daemon reads",
            );
        }
        let takes_several = matches!(self.command, Command::Runs(_) | Command::Sync(_));
        let given = g.named_remotes();
        let mut given = given.iter().filter(|(_, count)| *count > 0).rev();
        if let (Some((one, _)), Some((other, _)), false) =
            (given.next(), given.next(), takes_several)
        {
            return conflict(&format!(
                "{one} cannot be used with {other}: each names a remote"
            ));
        }
        if let Command::Auth(Deferred(AuthCommand::Login(login))) = &self.command
            && login.token.is_some()
        {
            return conflict(
                "a token on the command line can be read by every program on this machine; \
                 use `docks auth login --token-stdin < FILE`, or omit the option and enter \
                 the token at the prompt",
            );
        }
        if let Some(text) = self.format_conflict() {
            return conflict(text);
        }
        match (self.global.meta, self.global.format) {
            (
                true,
                Format::Jsonl | Format::Tsv | Format::Markdown | Format::Csv | Format::Latex,
            ) => conflict("--meta requires --format json"),
            // A table cannot show what --meta adds.
            (true, _) => {
                self.global.format = Format::Json;
                Ok(self)
            }
            (false, _) => Ok(self),
        }
    }

    /// Says why the command cannot be printed in this format; `None` if it can.
    fn format_conflict(&self) -> Option<&'static str> {
        use RunsCommand as R;
        let Command::Runs(Deferred(command)) = &self.command else {
            return match self.global.format {
                Format::Markdown => Some(NO_MARKDOWN),
                Format::Csv | Format::Latex => Some(NO_CSV),
                _ => None,
            };
        };
        match (self.global.format, command) {
            (Format::Markdown, R::Gate(_) | R::Compare(_) | R::Failures(_) | R::Score(_))
            | (Format::Csv | Format::Latex, R::Score(_)) => None,
            (Format::Markdown, _) => Some(NO_MARKDOWN),
            (Format::Csv | Format::Latex, _) => Some(NO_CSV),
            _ => None,
        }
    }
}

const NO_MARKDOWN: &str = "--format markdown is for `docks runs compare`, `gate`, `failures` and `score`; use table, tsv, json or jsonl";
const NO_CSV: &str =
    "--format csv and latex are for `docks runs score`; use table, tsv, json or jsonl";

#[cfg(test)]
mod tests;
