//! The HTTP API on the Unix socket.
//!
//! Handlers decode a request, call the mirror or the sync engine, and encode the response. What to
//! fetch and when is decided by [`docksd_sync`]; [`docksd_mirror`] stores it.

pub(crate) mod actor;
mod all_trials;
mod client_stream;
mod compare;
mod daemon;
pub mod error;
mod events;
mod extract;
mod failure_logs;
mod failures;
mod files;
mod forget;
mod history;
pub mod own_actions;
pub mod request_checks;
mod rerun;
mod resolve_id;
mod respond;
mod revalidate;
pub mod router;
mod run;
mod score;
pub mod serve;
mod service;
mod status_seen;
mod tasks;
mod trial;
mod trial_facts;
mod wait_for_first_sweep;

pub(crate) use files::{OwnerFolder, owner_folder};
pub use service::{HubStatusSource, Service};
