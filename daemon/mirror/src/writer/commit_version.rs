//! The version of the data that readers can see.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

/// Counts the commits that changed data: cheap to read, and possible to wait for.
#[derive(Debug)]
pub(super) struct CommitVersion {
    number: AtomicU64,
    changes: watch::Sender<u64>,
}

impl CommitVersion {
    pub(super) fn new() -> Self {
        Self {
            number: AtomicU64::new(1),
            changes: watch::Sender::new(1),
        }
    }

    pub(super) fn current(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Moves to the next version and wakes those who wait for it.
    pub(super) fn increment(&self) {
        let version = self.number.fetch_add(1, Ordering::AcqRel) + 1;
        self.changes.send_replace(version);
    }
}
