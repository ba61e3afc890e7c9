//! The signal that stops the daemon: requested once, seen by every task.

use std::sync::Arc;

use tokio::sync::watch;

/// Requests the shutdown, and waits for such a request.
#[derive(Debug, Clone)]
pub struct ShutdownSignal {
    requested: Arc<watch::Sender<bool>>,
}

impl Default for ShutdownSignal {
    fn default() -> Self {
        Self {
            requested: Arc::new(watch::Sender::new(false)),
        }
    }
}

impl ShutdownSignal {
    /// Requests the shutdown; only the first reason is logged.
    pub fn request(&self, reason: &str) {
        let first = self
            .requested
            .send_if_modified(|requested| !std::mem::replace(requested, true));
        if first {
            tracing::info!(reason, "shutting down: {reason}");
        }
    }

    /// Waits until the shutdown is requested.
    pub async fn requested(&self) {
        let mut requested = self.requested.subscribe();
        // `self` owns the sender, so waiting cannot fail.
        let _seen = requested.wait_for(|requested| *requested).await.is_ok();
    }
}
