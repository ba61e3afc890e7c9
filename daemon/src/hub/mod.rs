//! The hub: shares jobs directories, and what the daemon mirrors, over TCP with clients that have a token.
//!
//! Owns the listener and everything that differs when the client is not our own user: TLS, the token,
//! conditional and compressed responses, and artifacts that can be downloaded from other machines. The
//! responses themselves come from [`crate::api`], which serves only its Docks API routes here. See
//! `docs/hub.md`.

mod address_group;
mod artifact;
mod artifact_file;
mod artifact_urls;
pub mod certificate;
mod connections;
mod counters;
mod encoded_response;
mod error_response;
mod failed_tokens;
mod handler;
mod listener;
mod local_api;
mod named_files;
mod places;
mod preconditions;
mod python_client;
mod range;
mod request_checks;
mod share;
mod tls;
mod token_auth;

pub(crate) use connections::serve;
pub use counters::HubCounters;
pub use listener::{Hub, HubError};
