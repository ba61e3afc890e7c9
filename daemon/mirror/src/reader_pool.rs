//! Connections for reading, used off the async runtime.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, Transaction};
use tokio::sync::{Semaphore, watch};

use crate::error::MirrorError;
use crate::long_query::{LongQueries, QueryLimit};
use crate::open::open_reader;

/// Queries under way at once, each with a connection that may hold a megabyte of pages.
const MAX_RUNNING: usize = 64;

/// VM instructions of SQLite between two looks at a query: some tens of microseconds.
const OPS_BETWEEN_CHECKS: std::ffi::c_int = 1_000;

/// Who reads. Each lane has its own queue, so that none keeps another waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// The sync engine, the event feed and the daemon's status: short, and never interrupted.
    Engine,
    /// A client, with a query that an index answers.
    Client,
    /// A client, with a query that may read every row.
    Search,
}

impl Lane {
    /// How many queries of a lane may begin before an earlier one has ended or turned out to be long.
    const fn width(self) -> usize {
        match self {
            Lane::Engine => 2,
            Lane::Client => 4,
            // Most turn out to be short; the others wait for each other in `LongQueries`.
            Lane::Search => 16,
        }
    }
}

/// A few connections, opened on demand, and a queue for each lane.
#[derive(Debug)]
pub(crate) struct ReaderPool {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
    engine: Arc<Semaphore>,
    client: Arc<Semaphore>,
    search: Arc<Semaphore>,
    running: Arc<Semaphore>,
    long_queries: LongQueries,
}

impl ReaderPool {
    /// Opens the first connection.
    pub(crate) fn open(path: PathBuf) -> Result<Self, MirrorError> {
        let first = open_reader(&path).map_err(|source| MirrorError::Open {
            path: path.clone(),
            source,
        })?;
        let lane = |lane: Lane| Arc::new(Semaphore::new(lane.width()));
        Ok(Self {
            path,
            idle: Arc::new(Mutex::new(vec![first])),
            engine: lane(Lane::Engine),
            client: lane(Lane::Client),
            search: lane(Lane::Search),
            running: Arc::new(Semaphore::new(MAX_RUNNING)),
            long_queries: LongQueries::default(),
        })
    }

    /// Runs `query` in one read transaction, so that it sees the mirror at a single moment.
    ///
    /// Dropping the future interrupts the query, except in [`Lane::Engine`].
    pub(crate) async fn run<T, F>(
        &self,
        lane: Lane,
        doing: &'static str,
        query: F,
    ) -> Result<T, MirrorError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        // Dropped with this future, which the query sees.
        let (_caller, caller_gone) = watch::channel(());
        let turns = match lane {
            Lane::Engine => &self.engine,
            Lane::Client => &self.client,
            Lane::Search => &self.search,
        };
        let acquire = async |permits: &Arc<Semaphore>| {
            let permit = Arc::clone(permits).acquire_owned().await;
            permit.map_err(|_| MirrorError::Closed)
        };
        let turn = acquire(turns).await?;
        let running = acquire(&self.running).await?;
        let idle = Arc::clone(&self.idle);
        let path = self.path.clone();
        let mut kept_turn = None;
        let limit = match lane {
            Lane::Engine => {
                kept_turn = Some(turn);
                None
            }
            Lane::Client | Lane::Search => Some(QueryLimit::new(
                turn,
                self.long_queries.clone(),
                caller_gone,
            )),
        };
        let task = tokio::task::spawn_blocking(move || {
            let reused = idle.lock().ok().and_then(|mut idle| idle.pop());
            let connection = reused.map_or_else(|| open_reader(&path), Ok)?;
            if let Some(mut limit) = limit {
                let check = move || limit.must_stop();
                connection.progress_handler(OPS_BETWEEN_CHECKS, Some(check))?;
            }
            let result = connection
                .unchecked_transaction()
                .and_then(|transaction| query(&transaction));
            connection.progress_handler(0, None::<fn() -> bool>)?;
            // After a panic above, the connection is dropped and a new one is opened next time.
            if let Ok(mut idle) = idle.lock()
                && idle.len() < Lane::Client.width()
            {
                idle.push(connection);
            }
            drop((kept_turn, running));
            result
        });
        match task.await {
            Ok(Err(_)) if self.long_queries.is_closed() => Err(MirrorError::Closed),
            Ok(result) => result.map_err(MirrorError::during(doing)),
            Err(error) if error.is_panic() => Err(MirrorError::Panicked { doing }),
            Err(_) => Err(MirrorError::Closed),
        }
    }

    /// Interrupts long queries, waits for the others, and accepts no new ones.
    pub(crate) async fn close(&self) {
        for turns in [&self.engine, &self.client, &self.search] {
            turns.close();
        }
        self.long_queries.close();
        let all = u32::try_from(MAX_RUNNING).expect("queries are few");
        // An error means that the pool was closed before.
        drop(self.running.acquire_many(all).await);
        self.running.close();
        if let Ok(mut idle) = self.idle.lock() {
            idle.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mirror;
    use docks_proto::time::UnixMs;
    use std::time::Duration;
    use tokio::time::timeout;

    /// Counts without end.
    const ENDLESS: &str =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

    const PATIENCE: Duration = Duration::from_secs(60);

    fn new_pool() -> (tempfile::TempDir, Arc<ReaderPool>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.db");
        drop(Mirror::open(&path, "docks test", UnixMs(0)).unwrap());
        (dir, Arc::new(ReaderPool::open(path).unwrap()))
    }

    async fn query(pool: &ReaderPool, lane: Lane, sql: &'static str) -> Result<i64, MirrorError> {
        let query = move |c: &Transaction<'_>| c.query_row(sql, [], |row| row.get(0));
        pool.run(lane, "test", query).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn endless_queries_starve_nobody_and_end_when_nobody_waits() {
        let (_dir, pool) = new_pool();
        let mut endless = tokio::task::JoinSet::new();
        for index in 0..40 {
            let pool = Arc::clone(&pool);
            let lane = match index % 2 {
                0 => Lane::Client,
                _ => Lane::Search,
            };
            endless.spawn(async move { query(&pool, lane, ENDLESS).await });
        }
        for lane in [Lane::Engine, Lane::Client] {
            for _ in 0..10 {
                let answer = timeout(PATIENCE, query(&pool, lane, "SELECT 7")).await;
                assert_eq!(answer.unwrap().unwrap(), 7);
            }
        }
        // The mirror can be closed beside them, too.
        let (_other_dir, other) = new_pool();
        let unfinished = tokio::spawn({
            let other = Arc::clone(&other);
            async move { query(&other, Lane::Search, ENDLESS).await }
        });
        timeout(PATIENCE, other.close()).await.unwrap();
        assert!(matches!(unfinished.await, Ok(Err(MirrorError::Closed))));
        endless.shutdown().await;
        // Every query has ended once all may run.
        let answer = timeout(PATIENCE, query(&pool, Lane::Search, "SELECT 8")).await;
        assert_eq!(answer.unwrap().unwrap(), 8);
        timeout(PATIENCE, pool.close()).await.unwrap();
        let closed = query(&pool, Lane::Client, "SELECT 1").await;
        assert!(matches!(closed, Err(MirrorError::Closed)));
    }
}
