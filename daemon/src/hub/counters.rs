//! What `docks daemon status` shows of a hub.

use std::sync::atomic::{AtomicU64, Ordering};

use docks_proto::status::HubStatus;

/// What a hub shares, and how much it is used.
#[derive(Debug, Default)]
pub struct HubCounters {
    /// Where it listens, with the scheme.
    pub(super) address: String,
    /// The jobs directories and profiles, for people.
    pub(super) location: String,
    /// Whether it requires a token.
    pub(super) token: bool,
    /// Whether it only reads.
    pub(super) read_only: bool,
    /// Open connections.
    pub(super) connections: AtomicU64,
    /// Requests with the token since the start.
    pub(super) requests: AtomicU64,
    /// Those of them that were answered with 304.
    pub(super) not_modified: AtomicU64,
}

impl HubCounters {
    /// Returns what it shares, for people.
    pub(super) fn location(&self) -> &str {
        &self.location
    }

    /// Returns where the hub listens, with the scheme.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the current values.
    #[must_use]
    pub fn status(&self) -> HubStatus {
        HubStatus {
            address: self.address.clone(),
            location: self.location.clone(),
            token: self.token,
            read_only: self.read_only,
            connections: self.connections.load(Ordering::Relaxed),
            requests: self.requests.load(Ordering::Relaxed),
            not_modified: self.not_modified.load(Ordering::Relaxed),
        }
    }
}
