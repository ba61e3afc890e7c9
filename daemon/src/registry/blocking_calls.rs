//! Blocking calls about a remote, outside the runtime's threads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;
use tokio::time::timeout;

use super::error::RegistryError;

/// How long a request waits for a file system. A disk that wakes up takes some seconds.
const PATIENCE: Duration = Duration::from_secs(15);

/// Runs blocking calls, at most one at a time for each name.
///
/// A call that hangs, as on a network disk whose server is gone, cannot be ended. Without the limit,
/// each request for such a remote would cost another thread, until none were left for the others.
#[derive(Default)]
pub(super) struct BlockingCalls {
    locks: Mutex<HashMap<String, Arc<AsyncMutex<()>>>>,
}

impl BlockingCalls {
    /// Runs `call` on a thread that may block, after earlier calls with the same name.
    ///
    /// The call goes on when the caller stops waiting, and nothing else with its name runs meanwhile.
    ///
    /// # Errors
    ///
    /// [`RegistryError::NoAnswer`] when it takes too long, [`RegistryError::Closed`] during the shutdown.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        name: &str,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, RegistryError> {
        self.run_within(PATIENCE, name, call).await
    }

    async fn run_within<T: Send + 'static>(
        &self,
        patience: Duration,
        name: &str,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, RegistryError> {
        let lock = Arc::clone(self.locks().entry(name.to_owned()).or_default());
        let running = async {
            let turn = lock.lock_owned().await;
            let called = tokio::task::spawn_blocking(move || {
                let result = call();
                drop(turn);
                result
            });
            called.await.map_err(|_| RegistryError::Closed)
        };
        let result = timeout(patience, running).await;
        // Names come from requests, so they are kept no longer than a call needs them.
        self.locks().retain(|_, lock| Arc::strong_count(lock) > 1);
        result.map_err(|_| RegistryError::NoAnswer(name.to_owned()))?
    }

    fn locks(&self) -> MutexGuard<'_, HashMap<String, Arc<AsyncMutex<()>>>> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc;

    #[tokio::test]
    async fn a_call_that_hangs_holds_up_its_own_name_only_and_costs_one_thread() {
        let calls = Arc::new(BlockingCalls::default());
        let (let_go, hanging) = mpsc::channel::<()>();
        let begun = Arc::new(AtomicU32::new(0));
        let hang = |hanging: Option<mpsc::Receiver<()>>| {
            let begun = Arc::clone(&begun);
            move || {
                begun.fetch_add(1, Ordering::SeqCst);
                hanging.map(|hanging| hanging.recv())
            }
        };
        let short = Duration::from_millis(50);
        let first = calls.run_within(short, "hangs", hang(Some(hanging))).await;
        assert!(matches!(first, Err(RegistryError::NoAnswer(name)) if name == "hangs"));
        for _ in 0..3 {
            let next = calls.run_within(short, "hangs", hang(None)).await;
            assert!(matches!(next, Err(RegistryError::NoAnswer(_))));
        }
        assert_eq!(begun.load(Ordering::SeqCst), 1);
        assert_eq!(calls.run("other", || 7).await.ok(), Some(7));
        let_go.send(()).unwrap();
        assert!(calls.run("hangs", hang(None)).await.is_ok());
        assert_eq!(begun.load(Ordering::SeqCst), 2);
        assert_eq!(calls.locks().len(), 0);
    }
}
