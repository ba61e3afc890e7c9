//! The mirror: one SQLite file per remote.
//!
//! Owns the database: opening, migrating, writing in complete versions, and every
//! query. Leaves to the sync engine when to write: only the engine calls
//! the methods that write mirrored objects.

mod actions;
mod confirmations;
mod delivered_runs;
mod derived_columns;
mod digest;
mod error;
mod history;
mod history_api;
mod list;
mod long_query;
mod merge_policy;
mod notes;
mod observation_groups;
mod observation_window;
mod open;
mod progress;
mod provenance;
mod provisional_id;
mod read_api;
mod reader_pool;
mod resolve_id;
mod resource;
mod runs;
mod sql_int;
mod state_snapshot;
mod stats;
mod stored_object;
mod summary;
mod sweeps;
mod tally;
#[cfg(test)]
mod testing;
mod timestamps;
mod trials;
mod unsettled_runs;
mod upkeep;
mod verify;
mod write_api;
mod write_summary;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use docks_proto::time::UnixMs;
use rusqlite::Connection;
use tokio::sync::watch;

use provisional_id::RenameLog;
use reader_pool::{Lane, ReaderPool};
use verify::LastCheck;
use writer::{TransactionMode, Writer, WriterContext};

pub use delivered_runs::DeliveredRun;
pub use error::MirrorError;
pub use history::{
    EventWithObject, HistoryBounds, HistoryPage, StatusEvent, Subject, matches_query,
};
pub use list::{AgeOfTrials, Listing};
pub use observation_window::ObservationWindow;
pub use open::{Identity, OpenReport};
pub use provenance::Provenance;
pub use provisional_id::Rename;
pub use read_api::FactsAtTask;
pub use resolve_id::Resolution;
pub use resource::{Confirmation, Resource};
pub use runs::RunBatch;
pub use state_snapshot::StateSnapshot;
pub use stats::{Stats, StatusScope};
pub use stored_object::StoredObject;
pub use summary::{ActiveRun, ListState, Summary, TrialsDue};
pub use trials::FactsSelection;
pub use unsettled_runs::UnsettledRun;
pub use upkeep::Retention;
pub use write_summary::WriteSummary;

/// From this number of rows on, a write gets its own transaction.
const LARGE_WRITE_ROWS: usize = 50;

/// Handle to one mirror; clones share it.
#[derive(Debug, Clone)]
pub struct Mirror {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    // Dropped before the writer, whose connection, as the last one, empties the WAL.
    readers: ReaderPool,
    writer: Writer,
    renames: RenameLog,
    last_check: LastCheck,
    damaged: watch::Sender<bool>,
}

/// Returns the release of the linked SQLite.
#[must_use]
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}

impl Mirror {
    /// Opens or creates the mirror of the remote `identity` at `path`. Blocks.
    ///
    /// A damaged file is moved aside and rebuilt from what is sound in it; [`OpenReport`] names the old file.
    ///
    /// # Errors
    ///
    /// [`MirrorError::TooNew`] for a newer release's file, [`MirrorError::OtherRemote`]
    /// for another remote's, and others when the path or the file cannot be used.
    pub fn open(
        path: &Path,
        identity: impl Into<Identity>,
        now: UnixMs,
    ) -> Result<(Mirror, OpenReport), MirrorError> {
        let (connection, report) = open::open_writer(path, &identity.into(), now)?;
        let readers = ReaderPool::open(path.to_owned())?;
        let renames = RenameLog::default();
        let writer =
            Writer::spawn(connection, renames.clone()).map_err(|source| MirrorError::Prepare {
                path: path.to_owned(),
                source,
            })?;
        let inner = Inner {
            path: path.to_owned(),
            readers,
            writer,
            renames,
            last_check: LastCheck::default(),
            damaged: watch::Sender::new(false),
        };
        let mirror = Mirror {
            inner: Arc::new(inner),
        };
        Ok((mirror, report))
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Replaces the closed, damaged file at `path` by a new one with everything in it that is sound.
    /// Returns where the damaged one was moved to. Blocks.
    ///
    /// # Errors
    ///
    /// [`MirrorError`] when the new file cannot be written; the damaged one is still in its place then.
    pub fn rebuild(
        path: &Path,
        identity: impl Into<Identity>,
        now: UnixMs,
    ) -> Result<PathBuf, MirrorError> {
        open::rebuild(path, &identity.into(), now)
    }

    /// Becomes true when a query or a write found the file damaged.
    #[must_use]
    pub fn damage(&self) -> watch::Receiver<bool> {
        self.inner.damaged.subscribe()
    }

    /// Looks at everything once more after damage was reported: a read that failed once looks like damage, too.
    /// Returns whether it is damaged; if not, [`Mirror::damage`] is false again.
    pub async fn is_really_damaged(&self) -> bool {
        let is_damaged = self.verify().await.is_err_and(|error| error.is_corrupt());
        self.inner.damaged.send_replace(is_damaged);
        is_damaged
    }

    /// Passes a result on, and notes if it says that the file is damaged.
    fn check_for_damage<T>(&self, result: Result<T, MirrorError>) -> Result<T, MirrorError> {
        if result.as_ref().is_err_and(MirrorError::is_corrupt) {
            self.inner.damaged.send_replace(true);
        }
        result
    }

    /// Returns a number that grows with every commit that readers can see.
    ///
    /// A query that starts after reading it sees at least this version.
    #[must_use]
    pub fn data_version(&self) -> u64 {
        self.inner.writer.version()
    }

    /// Wakes after each commit that readers can see.
    #[must_use]
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.inner.writer.commits()
    }

    /// Returns how many runs have got their real id in place of a provisional one since the mirror was opened.
    #[must_use]
    pub fn rename_count(&self) -> usize {
        self.inner.renames.len()
    }

    /// Returns those after the first `seen`.
    #[must_use]
    pub fn renames_after(&self, seen: usize) -> Vec<Rename> {
        self.inner.renames.after(seen)
    }

    /// Finishes what is queued and closes the file; other clones get [`MirrorError::Closed`].
    pub async fn close(self) {
        self.inner.readers.close().await;
        self.inner.writer.close().await;
    }

    /// Runs a query of a client that an index answers.
    async fn read<T, F>(&self, doing: &'static str, query: F) -> Result<T, MirrorError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.read_in(Lane::Client, doing, query).await
    }

    async fn read_in<T, F>(
        &self,
        lane: Lane,
        doing: &'static str,
        query: F,
    ) -> Result<T, MirrorError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.check_for_damage(self.inner.readers.run(lane, doing, |t| query(t)).await)
    }

    async fn write<T, F>(&self, doing: &'static str, work: F) -> Result<T, MirrorError>
    where
        T: Send + 'static,
        F: FnOnce(&mut WriterContext) -> rusqlite::Result<T> + Send + 'static,
    {
        self.write_rows(1, doing, work).await
    }

    /// Runs a write of about `rows` rows.
    async fn write_rows<T, F>(
        &self,
        rows: usize,
        doing: &'static str,
        work: F,
    ) -> Result<T, MirrorError>
    where
        T: Send + 'static,
        F: FnOnce(&mut WriterContext) -> rusqlite::Result<T> + Send + 'static,
    {
        let mode = if rows < LARGE_WRITE_ROWS {
            TransactionMode::Shared
        } else {
            TransactionMode::Own
        };
        let work =
            move |context: &mut WriterContext| work(context).map_err(MirrorError::during(doing));
        self.check_for_damage(self.inner.writer.run(mode, doing, work).await)
    }
}
