//! Connections for reading, used off the async runtime.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, Transaction};
use tokio::sync::Semaphore;

use crate::error::MirrorError;
use crate::open::open_reader;

/// Enough for a long search next to short lists; each may hold a megabyte of pages.
const MAX_CONNECTIONS: usize = 4;

/// A few connections, opened on demand, and a queue for them.
#[derive(Debug)]
pub(crate) struct ReaderPool {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

impl ReaderPool {
    /// Opens the first connection.
    pub(crate) fn open(path: PathBuf) -> Result<Self, MirrorError> {
        let first = open_reader(&path).map_err(|source| MirrorError::Open {
            path: path.clone(),
            source,
        })?;
        Ok(Self {
            path,
            idle: Arc::new(Mutex::new(vec![first])),
            permits: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        })
    }

    /// Runs `query` in one read transaction, so that it sees the mirror at a single moment.
    pub(crate) async fn run<T, F>(&self, doing: &'static str, query: F) -> Result<T, MirrorError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|_| MirrorError::Closed)?;
        let idle = Arc::clone(&self.idle);
        let path = self.path.clone();
        let task = tokio::task::spawn_blocking(move || {
            let reused = idle.lock().ok().and_then(|mut idle| idle.pop());
            let connection = reused.map_or_else(|| open_reader(&path), Ok)?;
            let result = connection
                .unchecked_transaction()
                .and_then(|transaction| query(&transaction));
            // After a panic above, the connection is dropped and a new one is opened next time.
            if let Ok(mut idle) = idle.lock() {
                idle.push(connection);
            }
            drop(permit);
            result
        });
        match task.await {
            Ok(result) => result.map_err(MirrorError::during(doing)),
            Err(error) if error.is_panic() => Err(MirrorError::Panicked { doing }),
            Err(_) => Err(MirrorError::Closed),
        }
    }

    /// Waits for the running queries, and accepts no new ones.
    pub(crate) async fn close(&self) {
        let all = u32::try_from(MAX_CONNECTIONS).expect("connections are few");
        // An error means that the pool was closed before.
        drop(self.permits.acquire_many(all).await);
        self.permits.close();
        if let Ok(mut idle) = self.idle.lock() {
            idle.clear();
        }
    }
}
