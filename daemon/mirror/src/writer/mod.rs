//! The one thread that writes.
//!
//! Commits are what costs, so the thread runs all waiting jobs in one transaction. Each job has
//! a savepoint, so that a failure rolls back that job only. A large job gets its own transaction:
//! inside a savepoint, SQLite saves the pages that change again for each statement.
//! A caller gets its result after the commit, never before.

mod commit_version;
mod context;
mod job;
#[cfg(test)]
mod tests;
mod transaction;

use std::sync::Arc;
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use self::commit_version::CommitVersion;
use self::job::{Job, Task};
use self::transaction::{run_in_transaction, run_without_transaction};
use crate::error::MirrorError;
use crate::provisional_id::{RenameLog, RenameWriter};
use crate::sweeps::Sweeps;

pub(crate) use self::context::{TransactionMode, WriterContext};

/// Jobs that may wait; further callers wait for a free place, so that the queue stays small.
const QUEUE: usize = 64;

enum Message {
    Job(TransactionMode, Box<dyn Job>),
    Close(oneshot::Sender<()>),
}

/// Handle to the writer thread.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Message>,
    version: Arc<CommitVersion>,
    thread: std::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn spawn(connection: Connection, renames: RenameLog) -> std::io::Result<Self> {
        let (queue, messages) = mpsc::channel(QUEUE);
        let version = Arc::new(CommitVersion::new());
        let mut context = WriterContext {
            connection,
            sweeps: Sweeps::default(),
            renames: RenameWriter::new(renames),
        };
        let thread_version = Arc::clone(&version);
        let thread = std::thread::Builder::new()
            .name("mirror-writer".into())
            .spawn(move || serve(&mut context, messages, &thread_version))?;
        Ok(Self {
            queue,
            version,
            thread: std::sync::Mutex::new(Some(thread)),
        })
    }

    /// Returns a number that grows with every commit that readers can see.
    pub(crate) fn version(&self) -> u64 {
        self.version.current()
    }

    /// Wakes after each commit that readers can see.
    pub(crate) fn commits(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Runs `work` on the thread; returns after its commit.
    pub(crate) async fn run<T, F>(
        &self,
        mode: TransactionMode,
        doing: &'static str,
        work: F,
    ) -> Result<T, MirrorError>
    where
        T: Send + 'static,
        F: FnOnce(&mut WriterContext) -> Result<T, MirrorError> + Send + 'static,
    {
        let (reply_to, result) = oneshot::channel();
        let task = Box::new(Task {
            doing,
            work: Some(work),
            result: None,
            reply_to,
        });
        self.queue
            .send(Message::Job(mode, task))
            .await
            .map_err(|_| MirrorError::Closed)?;
        result.await.map_err(|_| MirrorError::Closed)?
    }

    /// Finishes the queued jobs and stops the thread.
    pub(crate) async fn close(&self) {
        let (done, stopped) = oneshot::channel();
        if self.queue.send(Message::Close(done)).await.is_ok() {
            // An error means that the thread stopped before it read the message.
            drop(stopped.await);
        }
        let thread = self.thread.lock().ok().and_then(|mut slot| slot.take());
        if let Some(thread) = thread {
            drop(tokio::task::spawn_blocking(|| thread.join()).await);
        }
    }
}

fn serve(
    context: &mut WriterContext,
    mut messages: mpsc::Receiver<Message>,
    version: &CommitVersion,
) {
    let mut next = messages.blocking_recv();
    while let Some(message) = next.take() {
        match message {
            Message::Close(done) => {
                let _ = done.send(());
                return;
            }
            Message::Job(TransactionMode::None, job) => {
                run_without_transaction(context, job, version);
            }
            Message::Job(TransactionMode::Own, job) => {
                run_in_transaction(context, vec![job], version);
            }
            Message::Job(TransactionMode::Shared, job) => {
                let mut jobs = vec![job];
                while jobs.len() < QUEUE {
                    match messages.try_recv() {
                        Ok(Message::Job(TransactionMode::Shared, job)) => jobs.push(job),
                        Ok(other) => {
                            next = Some(other);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                run_in_transaction(context, jobs, version);
            }
        }
        if next.is_none() {
            next = messages.blocking_recv();
        }
    }
}
