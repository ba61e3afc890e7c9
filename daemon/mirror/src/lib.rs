//! The mirror: one SQLite file per remote.
//!
//! Owns the database: opening, migrating, writing in whole versions, and every
//! question that is answered from it. Leaves to the sync engine when to write.
//! Only the sync engine calls the writing half.

mod confirmations;
mod error;
mod history;
mod list;
mod merge_policy;
mod observation_window;
mod open;
mod read_api;
mod reader_pool;
mod resolve_id;
mod runs;
mod state_snapshot;
mod summary;
mod sweeps;
mod trials;
mod types;
mod upkeep;
mod write_api;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use docks_proto::time::UnixMs;
use rusqlite::Connection;
use tokio::sync::watch;

pub use error::MirrorError;
pub use history::events::admits;
pub use types::*;

use reader_pool::Readers;
use writer::{TransactionMode, Writer, WriterContext};

/// Rows from which on a write has a transaction of its own.
const LARGE: usize = 50;

/// Handle to one mirror; clones share it.
#[derive(Debug, Clone)]
pub struct Mirror {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    // Dropped before the writer, whose connection, as the last one, empties the WAL.
    readers: Readers,
    writer: Writer,
    damaged: watch::Sender<bool>,
}

/// Returns the release of the linked SQLite.
#[must_use]
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}

impl Mirror {
    /// Opens the mirror of the remote `identity` at `path`, or makes it. Blocks.
    ///
    /// A damaged file is moved aside, which `OpenReport` says, and mirroring begins anew.
    ///
    /// # Errors
    ///
    /// [`MirrorError::TooNew`] for a newer release's file, [`MirrorError::OtherRemote`]
    /// for another remote's, and what the system says about the path.
    pub fn open(
        path: &Path,
        identity: &str,
        now: UnixMs,
    ) -> Result<(Mirror, OpenReport), MirrorError> {
        let (connection, opened) = open::open_writer(path, identity, now)?;
        let readers = Readers::new(path.to_owned())?;
        let writer = Writer::spawn(connection).map_err(|source| MirrorError::Prepare {
            path: path.to_owned(),
            source,
        })?;
        let inner = Inner {
            path: path.to_owned(),
            readers,
            writer,
            damaged: watch::Sender::new(false),
        };
        Ok((
            Mirror {
                inner: Arc::new(inner),
            },
            opened,
        ))
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Moves the closed file at `path` aside with its WAL, and returns where it is. Blocks.
    ///
    /// # Errors
    ///
    /// [`MirrorError::Prepare`] when the system refuses.
    pub fn set_aside(path: &Path, now: UnixMs) -> Result<PathBuf, MirrorError> {
        open::set_aside(path, now)
    }

    /// Becomes true when a question or a write found the file damaged.
    #[must_use]
    pub fn damage(&self) -> watch::Receiver<bool> {
        self.inner.damaged.subscribe()
    }

    fn watched<T>(&self, result: Result<T, MirrorError>) -> Result<T, MirrorError> {
        if result.as_ref().is_err_and(MirrorError::is_corrupt) {
            self.inner.damaged.send_replace(true);
        }
        result
    }

    /// Returns a number that grows with every commit that readers can see.
    ///
    /// An answer that was asked for after reading it is at least of this version.
    #[must_use]
    pub fn data_version(&self) -> u64 {
        self.inner.writer.version()
    }

    /// Wakes up after each commit that readers can see.
    #[must_use]
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.inner.writer.commits()
    }

    /// Finishes what is queued and closes the file; other clones get [`MirrorError::Closed`].
    pub async fn close(self) {
        self.inner.readers.close().await;
        self.inner.writer.close().await;
    }

    async fn read<T, F>(&self, doing: &'static str, question: F) -> Result<T, MirrorError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.watched(self.inner.readers.ask(doing, |t| question(t)).await)
    }

    async fn write<T, F>(&self, doing: &'static str, work: F) -> Result<T, MirrorError>
    where
        T: Send + 'static,
        F: FnOnce(&mut WriterContext) -> rusqlite::Result<T> + Send + 'static,
    {
        self.write_many(1, doing, work).await
    }

    async fn write_many<T, F>(
        &self,
        rows: usize,
        doing: &'static str,
        work: F,
    ) -> Result<T, MirrorError>
    where
        T: Send + 'static,
        F: FnOnce(&mut WriterContext) -> rusqlite::Result<T> + Send + 'static,
    {
        let footing = if rows < LARGE {
            TransactionMode::Transaction
        } else {
            TransactionMode::Large
        };
        let work = move |desk: &mut WriterContext| work(desk).map_err(MirrorError::during(doing));
        self.watched(self.inner.writer.run(footing, doing, work).await)
    }
}
