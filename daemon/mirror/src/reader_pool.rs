//! Connections that only read, used off the async runtime.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, Transaction};
use tokio::sync::Semaphore;

use crate::MirrorError;
use crate::open::open_reader;

/// Enough for a long search beside short lists; each may hold a megabyte of pages.
const CONNECTIONS: usize = 4;

/// A few connections and a queue for them.
#[derive(Debug)]
pub(crate) struct Readers {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
    places: Arc<Semaphore>,
}

impl Readers {
    pub(crate) fn new(path: PathBuf) -> Result<Self, MirrorError> {
        let first = open_reader(&path).map_err(|source| MirrorError::Open {
            path: path.clone(),
            source,
        })?;
        Ok(Self {
            path,
            idle: Arc::new(Mutex::new(vec![first])),
            places: Arc::new(Semaphore::new(CONNECTIONS)),
        })
    }

    /// Asks `question` in one read transaction, so that all it reads is of one moment.
    pub(crate) async fn ask<T, F>(&self, doing: &'static str, question: F) -> Result<T, MirrorError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(|_| MirrorError::Closed)?;
        let idle = Arc::clone(&self.idle);
        let path = self.path.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let taken = idle.lock().ok().and_then(|mut idle| idle.pop());
            let connection = taken.map_or_else(|| open_reader(&path), Ok)?;
            let answer = connection
                .unchecked_transaction()
                .and_then(|transaction| question(&transaction));
            // After a panic above, the connection is dropped and a new one opened next time.
            if let Ok(mut idle) = idle.lock() {
                idle.push(connection);
            }
            drop(place);
            answer
        });
        match asked.await {
            Ok(answer) => answer.map_err(MirrorError::during(doing)),
            Err(gone) if gone.is_panic() => Err(MirrorError::Panicked { doing }),
            Err(_) => Err(MirrorError::Closed),
        }
    }

    /// Waits for the questions under way, and lets no new ones in.
    pub(crate) async fn close(&self) {
        let all = u32::try_from(CONNECTIONS).expect("they are few");
        // An error means that it was closed before.
        drop(self.places.acquire_many(all).await);
        self.places.close();
        if let Ok(mut idle) = self.idle.lock() {
            idle.clear();
        }
    }
}
