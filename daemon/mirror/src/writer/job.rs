//! One write in the queue.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::oneshot;

use super::context::WriterContext;
use crate::error::MirrorError;

/// One write in the queue.
pub(super) trait Job: Send {
    /// Does the work; returns false when it must be rolled back.
    fn run(&mut self, context: &mut WriterContext) -> bool;
    /// Returns SQLite's error, if the work failed for one.
    fn sqlite_error(&self) -> Option<&rusqlite::Error>;
    /// Sends the result to the caller, once the outcome of the commit is known.
    fn reply(self: Box<Self>, commit: Result<(), Arc<rusqlite::Error>>);
}

/// A closure with the channel for its result.
pub(super) struct Task<T, F> {
    pub(super) doing: &'static str,
    pub(super) work: Option<F>,
    pub(super) result: Option<Result<T, MirrorError>>,
    pub(super) reply_to: oneshot::Sender<Result<T, MirrorError>>,
}

impl<T, F> Job for Task<T, F>
where
    T: Send,
    F: FnOnce(&mut WriterContext) -> Result<T, MirrorError> + Send,
{
    fn run(&mut self, context: &mut WriterContext) -> bool {
        let work = self.work.take().expect("a job runs once");
        let result = catch_unwind(AssertUnwindSafe(|| work(context))).unwrap_or_else(|_| {
            tracing::error!(doing = self.doing, "a write to the mirror panicked");
            Err(MirrorError::Panicked { doing: self.doing })
        });
        let succeeded = result.is_ok();
        self.result = Some(result);
        succeeded
    }

    fn sqlite_error(&self) -> Option<&rusqlite::Error> {
        match &self.result {
            Some(Err(MirrorError::Query { source, .. } | MirrorError::Corrupt { source, .. })) => {
                Some(source)
            }
            _ => None,
        }
    }

    fn reply(self: Box<Self>, commit: Result<(), Arc<rusqlite::Error>>) {
        let result = match (self.result, commit) {
            (Some(Err(error)), _) => Err(error),
            (_, Err(error)) => Err(MirrorError::Commit(error)),
            (Some(result), Ok(())) => result,
            (None, Ok(())) => Err(MirrorError::Closed),
        };
        // The caller may have stopped waiting; the write is committed all the same.
        drop(self.reply_to.send(result));
    }
}
