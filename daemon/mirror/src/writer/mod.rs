//! The one thread that writes.
//!
//! It takes whatever waits in its queue into one transaction, since the commit is
//! what costs; each job has a savepoint, so one that fails takes back only
//! itself. A large job has a transaction of its own, for inside a savepoint the pages that
//! each statement changes are kept again for each. Nobody hears that a job is done before
//! its commit is.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use crate::MirrorError;
use crate::sweeps::Sweeps;

/// Jobs that may wait; who sends more waits with them, so that the queue stays small.
const QUEUE: usize = 64;

/// What a job works with.
pub(crate) struct WriterContext {
    pub(crate) connection: Connection,
    pub(crate) sweeps: Sweeps,
}

/// Whether a job runs inside the shared transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransactionMode {
    Transaction,
    /// So many rows that a transaction of its own costs no more.
    Large,
    /// Checkpoints and the like, which SQLite refuses inside one.
    Alone,
}

enum Message {
    Job(TransactionMode, Box<dyn Job>),
    Close(oneshot::Sender<()>),
}

trait Job: Send {
    /// Does the work; `false` asks for it to be taken back.
    fn work(&mut self, desk: &mut WriterContext) -> bool;
    /// Answers whoever waits.
    fn reply(self: Box<Self>, commit: Result<(), Arc<rusqlite::Error>>);
}

struct Task<T, F> {
    doing: &'static str,
    work: Option<F>,
    result: Option<Result<T, MirrorError>>,
    to: oneshot::Sender<Result<T, MirrorError>>,
}

impl<T, F> Job for Task<T, F>
where
    T: Send,
    F: FnOnce(&mut WriterContext) -> Result<T, MirrorError> + Send,
{
    fn work(&mut self, desk: &mut WriterContext) -> bool {
        let work = self.work.take().expect("a job is done once");
        let result = catch_unwind(AssertUnwindSafe(|| work(desk))).unwrap_or_else(|_| {
            tracing::error!(doing = self.doing, "a write to the mirror panicked");
            Err(MirrorError::Panicked { doing: self.doing })
        });
        let good = result.is_ok();
        self.result = Some(result);
        good
    }

    fn reply(self: Box<Self>, commit: Result<(), Arc<rusqlite::Error>>) {
        let result = match (self.result, commit) {
            (Some(Err(error)), _) => Err(error),
            (_, Err(error)) => Err(MirrorError::Commit(error)),
            (Some(result), Ok(())) => result,
            (None, Ok(())) => Err(MirrorError::Closed),
        };
        // Who asked may have gone; the write stands all the same.
        drop(self.to.send(result));
    }
}

/// The version that readers can see: a number that is cheap to read, and a bell for those who wait.
#[derive(Debug)]
struct Shown {
    version: AtomicU64,
    bell: watch::Sender<u64>,
}

/// Handle to the thread.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Message>,
    shown: Arc<Shown>,
    thread: std::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(crate) fn spawn(connection: Connection) -> std::io::Result<Self> {
        let (queue, messages) = mpsc::channel(QUEUE);
        let shown = Arc::new(Shown {
            version: AtomicU64::new(1),
            bell: watch::Sender::new(1),
        });
        let mut desk = WriterContext {
            connection,
            sweeps: Sweeps::default(),
        };
        let told = Arc::clone(&shown);
        let thread = std::thread::Builder::new()
            .name("mirror-writer".into())
            .spawn(move || serve(&mut desk, messages, &told))?;
        Ok(Self {
            queue,
            shown,
            thread: std::sync::Mutex::new(Some(thread)),
        })
    }

    pub(crate) fn version(&self) -> u64 {
        self.shown.version.load(Ordering::Acquire)
    }

    pub(crate) fn commits(&self) -> watch::Receiver<u64> {
        self.shown.bell.subscribe()
    }

    /// Has `work` done on the thread; answers after its commit.
    pub(crate) async fn run<T, F>(
        &self,
        footing: TransactionMode,
        doing: &'static str,
        work: F,
    ) -> Result<T, MirrorError>
    where
        T: Send + 'static,
        F: FnOnce(&mut WriterContext) -> Result<T, MirrorError> + Send + 'static,
    {
        let (to, answer) = oneshot::channel();
        let task = Box::new(Task {
            doing,
            work: Some(work),
            result: None,
            to,
        });
        self.queue
            .send(Message::Job(footing, task))
            .await
            .map_err(|_| MirrorError::Closed)?;
        answer.await.map_err(|_| MirrorError::Closed)?
    }

    /// Finishes what is queued and ends the thread.
    pub(crate) async fn close(&self) {
        let (done, ended) = oneshot::channel();
        if self.queue.send(Message::Close(done)).await.is_ok() {
            // An error means that it ended before it read this.
            drop(ended.await);
        }
        let thread = self.thread.lock().ok().and_then(|mut slot| slot.take());
        if let Some(thread) = thread {
            drop(tokio::task::spawn_blocking(|| thread.join()).await);
        }
    }
}

fn serve(desk: &mut WriterContext, mut messages: mpsc::Receiver<Message>, shown: &Shown) {
    let mut waiting = messages.blocking_recv();
    while let Some(message) = waiting.take() {
        match message {
            Message::Close(done) => {
                let _ = done.send(());
                return;
            }
            Message::Job(TransactionMode::Alone, mut job) => {
                let before = desk.connection.total_changes();
                job.work(desk);
                show(desk, before, shown);
                job.reply(Ok(()));
            }
            Message::Job(TransactionMode::Large, job) => transact(desk, vec![job], shown),
            Message::Job(TransactionMode::Transaction, job) => {
                let mut group = vec![job];
                while group.len() < QUEUE {
                    match messages.try_recv() {
                        Ok(Message::Job(TransactionMode::Transaction, job)) => group.push(job),
                        Ok(other) => {
                            waiting = Some(other);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                transact(desk, group, shown);
            }
        }
        if waiting.is_none() {
            waiting = messages.blocking_recv();
        }
    }
}

/// Does a group in one transaction and answers it.
fn transact(desk: &mut WriterContext, group: Vec<Box<dyn Job>>, shown: &Shown) {
    let before = desk.connection.total_changes();
    let single = group.len() == 1;
    let mut done: Vec<Box<dyn Job>> = Vec::with_capacity(group.len());
    let mut lost: Option<Arc<rusqlite::Error>> = statement(desk, "BEGIN IMMEDIATE").err();
    for mut job in group {
        if lost.is_none() {
            lost = attempt(desk, job.as_mut(), single).err();
        }
        done.push(job);
    }
    let commit = match lost {
        None => statement(desk, "COMMIT"),
        Some(error) => Err(error),
    };
    if commit.is_err() && !desk.connection.is_autocommit() {
        // Fails only when SQLite rolled back by itself in between.
        drop(statement(desk, "ROLLBACK"));
    }
    show(desk, before, shown);
    for job in done {
        job.reply(commit.clone());
    }
}

/// Does one job behind a savepoint; an error means that the whole transaction is lost.
fn attempt(
    desk: &mut WriterContext,
    job: &mut dyn Job,
    single: bool,
) -> Result<(), Arc<rusqlite::Error>> {
    // Alone in its transaction, it needs no savepoint, which would copy each page it changes.
    if !single {
        statement(desk, "SAVEPOINT job")?;
    }
    let good = job.work(desk);
    if desk.connection.is_autocommit() {
        // A full disk or a failed read rolls back everything, also what other jobs did.
        return Err(Arc::new(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT_ROLLBACK),
            Some("another write of the same transaction failed".into()),
        )));
    }
    match (good, single) {
        (true, true) => Ok(()),
        (true, false) => statement(desk, "RELEASE job"),
        (false, true) => statement(desk, "ROLLBACK").and_then(|()| statement(desk, "BEGIN")),
        (false, false) => {
            statement(desk, "ROLLBACK TO job").and_then(|()| statement(desk, "RELEASE job"))
        }
    }
}

fn statement(desk: &WriterContext, sql: &str) -> Result<(), Arc<rusqlite::Error>> {
    desk.connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute([]))
        .map(drop)
        .map_err(Arc::new)
}

/// Lets readers' caches know that something changed.
fn show(desk: &WriterContext, before: u64, shown: &Shown) {
    if desk.connection.total_changes() != before {
        let version = shown.version.fetch_add(1, Ordering::AcqRel) + 1;
        shown.bell.send_replace(version);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn note(writer: &Writer, key: &'static str) -> Result<(), MirrorError> {
        note_as(TransactionMode::Transaction, writer, key).await
    }

    async fn note_as(
        footing: TransactionMode,
        writer: &Writer,
        key: &'static str,
    ) -> Result<(), MirrorError> {
        let work = move |desk: &mut WriterContext| {
            crate::upkeep::put_note(&desk.connection, key, "x")
                .map_err(MirrorError::during("write"))?;
            assert!(key != "panics", "a defect");
            Ok(())
        };
        writer.run(footing, "write", work).await
    }

    async fn count(writer: &Writer) -> i64 {
        let work = |desk: &mut WriterContext| {
            let sql = "SELECT count(*) FROM note";
            let found = desk.connection.query_row(sql, [], |row| row.get(0));
            found.map_err(MirrorError::during("count"))
        };
        writer
            .run(TransactionMode::Alone, "count", work)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_panic_takes_back_its_own_write_and_nothing_else() {
        let writer = Writer::spawn(crate::open::in_memory()).unwrap();
        let alone = note(&writer, "panics").await;
        assert!(matches!(alone, Err(MirrorError::Panicked { .. })));
        let (a, b, c) = tokio::join!(
            note(&writer, "before"),
            note(&writer, "panics"),
            note(&writer, "after")
        );
        assert!(a.is_ok() && c.is_ok());
        assert!(matches!(b, Err(MirrorError::Panicked { .. })));
        assert_eq!(count(&writer).await, 2);
        let large = TransactionMode::Large;
        let (a, b, c) = tokio::join!(
            note(&writer, "beside"),
            note_as(large, &writer, "panics"),
            note_as(large, &writer, "large")
        );
        assert!(a.is_ok() && c.is_ok());
        assert!(matches!(b, Err(MirrorError::Panicked { .. })));
        assert_eq!(count(&writer).await, 4);
        writer.close().await;
    }

    #[tokio::test]
    async fn a_transaction_that_is_lost_fails_all_its_writes_and_no_later_one() {
        let writer = Writer::spawn(crate::open::in_memory()).unwrap();
        // What SQLite does by itself on a full disk.
        let lose = |desk: &mut WriterContext| {
            desk.connection
                .execute_batch("ROLLBACK")
                .map_err(MirrorError::during("lose"))
        };
        // One write holds the thread while the others queue up behind it.
        let (held, hold) = std::sync::mpsc::channel::<()>();
        let wait = move |_: &mut WriterContext| {
            let _ = hold.recv();
            Ok(())
        };
        let release = async {
            tokio::task::yield_now().await;
            drop(held);
        };
        let (_, first, lost, last, ()) = tokio::join!(
            writer.run(TransactionMode::Alone, "wait", wait),
            note(&writer, "first"),
            writer.run(TransactionMode::Transaction, "lose", lose),
            note(&writer, "last"),
            release,
        );
        assert!(first.is_err() && lost.is_err() && last.is_err());
        assert_eq!(count(&writer).await, 0);
        note(&writer, "again").await.unwrap();
        assert_eq!(count(&writer).await, 1);
        writer.close().await;
    }
}
