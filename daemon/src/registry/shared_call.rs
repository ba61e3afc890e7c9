//! A blocking call that is made once for all who wait for it, outside the runtime's threads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::timeout;

use super::error::RegistryError;

/// How long a request waits.
const PATIENCE: Duration = Duration::from_secs(15);

/// A look at files of the home that every request needs: at least as new as the request, and shared by all requests
/// that arrived before it began. However long it hangs, it costs one thread.
pub(super) struct SharedCall {
    call: Box<dyn Fn() + Send + Sync>,
    /// Held by the call under way.
    running: Arc<AsyncMutex<()>>,
    /// The next call, while it has not begun.
    next: Mutex<Option<Shared<BoxFuture<'static, ()>>>>,
}

impl SharedCall {
    pub(super) fn new(call: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            call: Box::new(call),
            running: Arc::default(),
            next: Mutex::default(),
        })
    }

    /// Waits for a call that begins after this one.
    ///
    /// # Errors
    ///
    /// [`RegistryError::HomeNoAnswer`] when it takes too long.
    pub(super) async fn run(self: &Arc<Self>) -> Result<(), RegistryError> {
        let call = self
            .next()
            .get_or_insert_with(|| Arc::clone(self).run_next().boxed().shared())
            .clone();
        let waited = timeout(PATIENCE, call).await;
        waited.map_err(|_| RegistryError::HomeNoAnswer)
    }

    async fn run_next(self: Arc<Self>) {
        let turn = Arc::clone(&self.running).lock_owned().await;
        let called = tokio::task::spawn_blocking(move || {
            // Who comes from now on needs a later call.
            self.next().take();
            (self.call)();
            drop(turn);
        });
        // A call that panicked has looked at nothing, and the next request tries again.
        drop(called.await);
    }

    fn next(&self) -> MutexGuard<'_, Option<Shared<BoxFuture<'static, ()>>>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc;

    #[tokio::test]
    async fn who_waits_shares_the_next_call_and_who_comes_later_gets_a_later_one() {
        let (let_go, held) = mpsc::channel::<()>();
        let held = Mutex::new(held);
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let shared = SharedCall::new(move || {
            counted.fetch_add(1, Ordering::SeqCst);
            held.lock().unwrap().recv().unwrap();
        });
        let wait = || {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move { shared.run().await })
        };
        let first = wait();
        while calls.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        // The first call is under way, so these wait for the second, together.
        let later: Vec<_> = (0..20).map(|_| wait()).collect();
        // They all wait before it ends: one that came after the second began would need a third.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let_go.send(()).unwrap();
        first.await.unwrap().unwrap();
        let_go.send(()).unwrap();
        for later in later {
            later.await.unwrap().unwrap();
        }
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    }
}
