//! The one way to end: asked for once, heard everywhere.

use std::sync::Arc;

use tokio::sync::watch;

/// Asks for the end, and waits for it.
#[derive(Debug, Clone)]
pub struct Ending {
    asked: Arc<watch::Sender<bool>>,
}

impl Default for Ending {
    fn default() -> Self {
        Self {
            asked: Arc::new(watch::Sender::new(false)),
        }
    }
}

impl Ending {
    /// Asks for the end; the first reason is logged.
    pub fn ask(&self, reason: &str) {
        let first = self
            .asked
            .send_if_modified(|asked| !std::mem::replace(asked, true));
        if first {
            tracing::info!(reason, "ending: {reason}");
        }
    }

    /// Waits until somebody asks for the end.
    pub async fn asked(&self) {
        let mut asked = self.asked.subscribe();
        // The sender lives as long as we do, so waiting cannot fail.
        let _seen = asked.wait_for(|asked| *asked).await.is_ok();
    }
}
