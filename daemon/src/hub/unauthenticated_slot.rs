//! The slot that a connection occupies until a request on it has shown the token.

use std::sync::{Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, watch};

/// One of the few slots for connections that have not shown the token yet.
#[derive(Debug)]
pub(super) struct UnauthenticatedSlot {
    permit: Mutex<Option<OwnedSemaphorePermit>>,
    released: watch::Sender<bool>,
}

impl UnauthenticatedSlot {
    /// Occupies a slot.
    pub(super) fn new(permit: Option<OwnedSemaphorePermit>) -> Self {
        Self {
            permit: Mutex::new(permit),
            released: watch::Sender::new(false),
        }
    }

    /// Releases the slot for another connection, since a request has shown the token.
    pub(super) fn release(&self) {
        let first = self
            .released
            .send_if_modified(|released| !std::mem::replace(released, true));
        if first {
            let permit = self
                .permit
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            drop(permit);
        }
    }

    /// Waits until the slot is released.
    pub(super) async fn released(&self) {
        let mut released = self.released.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        let _seen = released.wait_for(|released| *released).await.is_ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::sync::Semaphore;

    #[tokio::test]
    async fn a_slot_is_released_once() {
        let slots = Arc::new(Semaphore::new(1));
        let permit = Arc::clone(&slots).acquire_owned().await.ok();
        let slot = UnauthenticatedSlot::new(permit);
        assert_eq!(slots.available_permits(), 0);
        slot.release();
        slot.release();
        slot.released().await;
        assert_eq!(slots.available_permits(), 1);
    }
}
