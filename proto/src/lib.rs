//! What crosses the socket between `docks`, `docksd` and the Docks API.
//!
//! This crate owns the words both sides use: paths and header names
//! ([`routes`]), objects as the remote sent them ([`object`], [`trial`]), list questions
//! ([`query`]), paging of unknown remotes ([`paging`]), events ([`event`]), the past ([`history`]), freshness in HTTP's own terms ([`freshness`]), coded errors
//! ([`error`]), text made safe to show ([`clean`]), the daemon's own replies ([`status`]), the places on disk
//! ([`paths`]) and the settings both programs read ([`settings`]).
//!
//! It does no I/O outside [`client`] (feature `client`), [`credentials`] and [`notification`]
//! (feature `notification`).

pub mod clean;
#[cfg(feature = "client")]
pub mod client;
pub mod credentials;
pub mod error;
pub mod event;
pub mod freshness;
pub mod hash;
pub mod history;
pub mod id;
pub mod notification;
pub mod object;
pub mod paging;
pub mod path_encoding;
pub mod paths;
pub mod query;
pub mod routes;
pub mod secret;
pub mod settings;
pub mod status;
pub mod time;
pub mod trial;

/// Number of the daemon's protocol; a client and a daemon that differ in it do not talk.
///
/// It changes only when an old reader could misunderstand new data. Releases
/// that keep it interoperate and at most warn.
pub const PROTOCOL: u32 = 1;

/// Release of this build, as in `Cargo.toml`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
