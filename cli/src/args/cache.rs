//! `docks cache …`.

use clap::{Args, Subcommand};

use super::artifacts::ArtifactFilter;
use super::deferred::Deferred;
use docks_artifacts::size;

/// Verbs of `docks cache`.
#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Show the size of the cache and the runs in it
    Status(Deferred<CacheStatus>),
    /// Download the artifacts of runs into the cache, for use offline
    Pull(Deferred<CachePull>),
    /// Keep the cached artifacts of these runs, however old they are
    Pin(Deferred<CachePin>),
    /// Allow the cached artifacts of these runs to be removed again
    Unpin(Deferred<CachePin>),
    /// Remove the least recently used artifacts until the rest fits the limit
    Prune(Deferred<CachePrune>),
    /// Remove all artifacts from the cache
    Clear(Deferred<CacheClear>),
    /// Check all hashes, and remove what is damaged
    Verify(Deferred<CacheVerify>),
    /// Remove the mirror of one profile or token, with its history and its cached artifacts
    Forget(Deferred<CacheForget>),
}

/// Arguments of `docks cache status`.
#[derive(Debug, Args)]
pub(crate) struct CacheStatus {}

/// Arguments of `docks cache verify`.
#[derive(Debug, Args)]
pub(crate) struct CacheVerify {}

/// Arguments of `docks cache pull`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    docks cache pull abc123\n  \
    docks cache pull nightly-mixed weekly --type result,logs\n  \
    docks cache pull abc123 --failed-only")]
pub(crate) struct CachePull {
    /// Runs: full id, unique prefix of it, or exact name
    #[arg(required = true, value_name = "RUN_ID")]
    pub(crate) run_ids: Vec<String>,
    #[command(flatten)]
    pub(crate) filter: ArtifactFilter,
    /// Number of files to download at once
    #[arg(short, long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) jobs: u8,
}

/// Arguments of `docks cache pin` and `docks cache unpin`.
#[derive(Debug, Args)]
pub(crate) struct CachePin {
    /// Runs: full id, unique prefix of it, or exact name
    #[arg(required = true, value_name = "RUN_ID")]
    pub(crate) run_ids: Vec<String>,
}

/// Arguments of `docks cache prune`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  docks cache prune\n  docks cache prune --to 2GB")]
pub(crate) struct CachePrune {
    /// Size limit, instead of the one in docks.toml
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    pub(crate) to: Option<u64>,
}

/// Arguments of `docks cache clear`.
#[derive(Debug, Args)]
pub(crate) struct CacheClear {
    /// Also remove pinned artifacts, and the pins
    #[arg(long)]
    pub(crate) pinned: bool,
}

/// Arguments of `docks cache forget`.
#[derive(Debug, Args)]
#[command(
    after_help = "Nothing of other profiles or tokens is removed. The profile stays signed in, and the next command \
    mirrors its remote again; past statuses that only the history held are lost.\n\n\
    Examples:\n  \
    docks cache forget staging\n  \
    docks cache forget 1f0e9d8c --yes\n  \
    docks --harbor ./jobs cache forget"
)]
pub(crate) struct CacheForget {
    /// Profile, or handle of a mirror in `docks profile list`; by default, the mirror that other
    /// commands with the same options read
    #[arg(value_name = "PROFILE | HANDLE")]
    pub(crate) mirror: Option<String>,
    /// Do not ask for confirmation
    #[arg(short, long, visible_alias = "force")]
    pub(crate) yes: bool,
}
