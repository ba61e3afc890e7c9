//! Whether a connection has shown the token yet, and the place it takes until then.

use std::sync::{Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, watch};

/// What one connection has shown.
#[derive(Debug)]
pub(super) struct Proof {
    place: Mutex<Option<OwnedSemaphorePermit>>,
    shown: watch::Sender<bool>,
}

impl Proof {
    /// Starts with nothing shown, in a place among those of whom that is so.
    pub(super) fn new(place: Option<OwnedSemaphorePermit>) -> Self {
        Self {
            place: Mutex::new(place),
            shown: watch::Sender::new(false),
        }
    }

    /// Notes that a request brought the token: the place is free for the next one.
    pub(super) fn show(&self) {
        let first = self
            .shown
            .send_if_modified(|shown| !std::mem::replace(shown, true));
        if first {
            let place = self
                .place
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            drop(place);
        }
    }

    /// Waits until that happens.
    pub(super) async fn shown(&self) {
        let mut shown = self.shown.subscribe();
        // The sender lives as long as we do, so waiting cannot fail.
        let _seen = shown.wait_for(|shown| *shown).await.is_ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::sync::Semaphore;

    #[tokio::test]
    async fn a_shown_token_frees_the_place_once() {
        let places = Arc::new(Semaphore::new(1));
        let place = Arc::clone(&places).acquire_owned().await.ok();
        let proof = Proof::new(place);
        assert_eq!(places.available_permits(), 0);
        proof.show();
        proof.show();
        proof.shown().await;
        assert_eq!(places.available_permits(), 1);
    }
}
