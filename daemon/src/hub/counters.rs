//! What `status` says of a hub.

use std::sync::atomic::{AtomicU64, Ordering};

use docks_proto::status::HubStatus;

use super::Hub;

/// What a hub is and how much it is asked.
#[derive(Debug, Default)]
pub struct Counts {
    address: String,
    location: String,
    token: bool,
    read_only: bool,
    pub(super) connections: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) not_modified: AtomicU64,
}

impl Counts {
    /// Starts from nothing.
    pub(super) fn new(hub: &Hub) -> Self {
        Self {
            address: format!("{}://{}", hub.scheme(), hub.address),
            location: hub.jobs.display().to_string(),
            token: hub.keeper.is_some(),
            read_only: hub.settings.read_only,
            ..Self::default()
        }
    }

    /// Returns where the hub listens, with the scheme.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns it all.
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
