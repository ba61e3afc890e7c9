//! Options that every command takes, before or after its name.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use docks_proto::freshness::CachePolicy;
use docks_proto::time::parse_duration;

/// Options that every command takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Output format
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    pub(crate) format: Format,
    /// Wrap JSON in an object that says how old the answer is and where it comes from
    #[arg(long, global = true)]
    pub(crate) meta: bool,
    /// Require an answer that the remote confirmed after this command started
    #[arg(long, global = true)]
    pub(crate) fresh: bool,
    /// Require an answer that is at most this old, such as 30s or 5m
    #[arg(long, global = true, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) max_age: Option<Duration>,
    /// Answer from the mirror only, without requests to the remote
    #[arg(long, global = true)]
    pub(crate) offline: bool,
    /// Request directly from the remote, without the daemon
    #[arg(long, global = true)]
    pub(crate) no_daemon: bool,
    /// Profile to use; several, comma-separated or repeated, or `all` for lists over all of them
    #[arg(short, long, global = true, value_name = "NAME", value_delimiter = ',')]
    pub(crate) profile: Vec<String>,
    /// Use a Harbor jobs directory instead of a profile; may be repeated
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) harbor: Vec<PathBuf>,
    /// Use a `harbor serve` instead of a profile; its key is HARBOR_API_KEY; may be repeated
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) harbor_server: Vec<String>,
    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub(crate) color: Colour,
    /// Report progress on stderr
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// Show requests and timings on stderr, never the token
    #[arg(long, global = true)]
    pub(crate) debug: bool,
}

impl Global {
    /// Lists the options that name a remote, and how many remotes each names.
    pub(crate) fn named_remotes(&self) -> [(&'static str, usize); 3] {
        [
            ("--profile", self.profile.len()),
            ("--harbor", self.harbor.len()),
            ("--harbor-server", self.harbor_server.len()),
        ]
    }

    /// Returns how old the answer may be.
    pub(crate) fn allowed(&self) -> CachePolicy {
        match (self.fresh, self.offline, self.max_age) {
            (true, _, _) => CachePolicy::NoCache,
            (_, true, _) => CachePolicy::OnlyIfCached,
            // The socket carries whole seconds, so less than one means "now".
            (_, _, Some(age)) if age < Duration::from_secs(1) => CachePolicy::NoCache,
            (_, _, Some(age)) => CachePolicy::MaxAge(age),
            _ => CachePolicy::Default,
        }
    }
}

/// How an answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns at a terminal, tab-separated values without a header in a pipe
    #[default]
    Table,
    /// The remote's objects as one JSON value
    Json,
    /// One JSON object per line
    Jsonl,
    /// Tab-separated values with a header
    Tsv,
    /// A comment for a pull request; of `runs compare`, `gate`, `failures` and `score`
    Markdown,
    /// Comma-separated values with a header; of `runs score`
    Csv,
    /// A LaTeX tabular; of `runs score`
    Latex,
}

/// When colour is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Colour {
    /// At a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Everywhere
    Always,
    /// Nowhere
    Never,
}
