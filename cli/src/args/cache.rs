//! `docks cache …`.

use clap::{Args, Subcommand};

use super::runs::WhichArtifacts;
use docks_artifacts::size;

/// Verbs of `docks cache`.
#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Show how much is kept, and of which runs
    Status(CacheStatus),
    /// Fetch the artifacts of runs into the cache, to have them offline
    Pull(CachePull),
    /// Keep what was pulled of these runs, however old it gets
    Pin(CachePin),
    /// Let what was pulled of these runs go when room is needed
    Unpin(CachePin),
    /// Remove the least recently used until all fits
    Prune(CachePrune),
    /// Remove everything
    Clear(CacheClear),
    /// Hash everything, and remove what is damaged
    Verify(CacheVerify),
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
    /// Full ids, unique beginnings of them, or exact names
    #[arg(required = true, value_name = "RUN_ID")]
    pub(crate) run_ids: Vec<String>,
    #[command(flatten)]
    pub(crate) which: WhichArtifacts,
    /// Number of files to fetch at once
    #[arg(short, long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) jobs: u8,
}

/// Arguments of `docks cache pin` and `docks cache unpin`.
#[derive(Debug, Args)]
pub(crate) struct CachePin {
    /// Full ids, unique beginnings of them, or exact names
    #[arg(required = true, value_name = "RUN_ID")]
    pub(crate) run_ids: Vec<String>,
}

/// Arguments of `docks cache prune`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  docks cache prune\n  docks cache prune --to 2GB")]
pub(crate) struct CachePrune {
    /// Size to come down to, instead of the one in docks.toml
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    pub(crate) to: Option<u64>,
}

/// Arguments of `docks cache clear`.
#[derive(Debug, Args)]
pub(crate) struct CacheClear {
    /// Remove what is pinned, too, and the pins
    #[arg(long)]
    pub(crate) pinned: bool,
}
