//! The protocol between `docks`, `docksd` and the Docks API.
//!
//! This crate holds what both programs share: paths and header names ([`routes`]), objects as the
//! remote sent them ([`object`], [`trial`]), queries of lists ([`query`]), paging of unknown remotes
//! ([`paging`]), lists of files ([`file_list`]), events ([`event`]) and history ([`history`]), comparisons of runs ([`comparison`]), why trials failed ([`failures`]), what to run again ([`rerun`]), what a run has used ([`run_usage`]), scoreboards ([`score`]), tasks over all runs ([`tasks`]), freshness in HTTP's terms
//! ([`freshness`]), coded errors ([`error`]), text made safe for a terminal ([`clean`]), the daemon's
//! status ([`status`]), its build ([`build`]) and proxies ([`proxies`]), the paths of its files
//! ([`paths`]) and the settings ([`settings`]).
//!
//! It does no I/O outside [`client`] (feature `client`), [`credentials`], [`notification`]
//! (feature `notification`), [`action_notes`], [`mirrors`], which names and lists the files of
//! mirrors, [`beneath`], which opens files and lists folders below a directory, and [`server_files`], which
//! finds the data directory of a `harbor serve` on this machine.

// What strangers send is read here: a wrong index must not end the program.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::string_slice))]

pub mod action_notes;
pub mod allocator;
pub mod beneath;
pub mod build;
pub mod clean;
#[cfg(feature = "client")]
pub mod client;
pub mod comparison;
pub mod credentials;
pub mod desktop;
pub mod error;
pub mod event;
pub mod failures;
pub mod file_list;
pub mod freshness;
#[cfg(all(test, feature = "client"))]
mod fuzz;
pub mod git_lfs;
pub mod hash;
pub mod history;
pub mod hub_certificate;
pub mod id;
pub mod mirrors;
pub mod notification;
pub mod object;
pub mod paging;
pub mod path_encoding;
pub mod paths;
pub mod proxies;
pub mod query;
pub mod repair;
pub mod rerun;
pub mod routes;
pub mod run_usage;
pub mod score;
pub mod secret;
pub mod server_files;
pub mod settings;
pub mod status;
pub mod tasks;
pub mod time;
pub mod trial;
pub mod trial_changes;

/// Version of the daemon's protocol; a client refuses a daemon with another one.
///
/// It changes only when an old reader could misunderstand new data. Releases
/// with the same protocol work together, with a warning at most.
pub const PROTOCOL: u32 = 1;

/// Release of this build, as in `Cargo.toml`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
