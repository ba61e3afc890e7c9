//! Queries that take long: few run at once, in the order in which they turned out to be long.

use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Processor time after which a query is long. Not time on the clock, which a busy machine stretches.
const SHORT: Duration = Duration::from_millis(30);

/// The slots of long queries: half of the processors, so that the others answer everybody else.
#[derive(Debug, Clone)]
pub(crate) struct LongQueries(Arc<Semaphore>);

impl Default for LongQueries {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Semaphore::new((processors / 2).max(1))))
    }
}

impl LongQueries {
    /// Interrupts all long queries, and lets no further one begin.
    pub(crate) fn close(&self) {
        self.0.close();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

/// Decides during a query whether it may go on.
#[derive(Debug)]
pub(crate) struct QueryLimit {
    /// The place in the queue of its lane, given up when the query turns out to be long.
    turn: Option<OwnedSemaphorePermit>,
    long_queries: LongQueries,
    /// Held from then on.
    _slot: Option<OwnedSemaphorePermit>,
    caller_gone: watch::Receiver<()>,
    begun: Option<Duration>,
}

impl QueryLimit {
    /// Begins with the first look at the query.
    pub(crate) fn new(
        turn: OwnedSemaphorePermit,
        long_queries: LongQueries,
        caller_gone: watch::Receiver<()>,
    ) -> Self {
        Self {
            turn: Some(turn),
            long_queries,
            _slot: None,
            caller_gone,
            begun: None,
        }
    }

    /// Returns whether the query must be interrupted, because nobody waits for it any more or the mirror
    /// is being closed. Blocks while a long query waits for its slot.
    pub(crate) fn must_stop(&mut self) -> bool {
        if self.caller_gone.has_changed().is_err() {
            return true;
        }
        if self.turn.is_none() {
            return self.long_queries.is_closed();
        }
        let now = thread_time();
        let begun = *self.begun.get_or_insert(now);
        if now.saturating_sub(begun) < SHORT {
            return false;
        }
        self.turn = None;
        let slots = Arc::clone(&self.long_queries.0);
        let caller_gone = &mut self.caller_gone;
        // A thread of a blocking call, which may wait.
        self._slot = Handle::current().block_on(async {
            tokio::select! {
                slot = slots.acquire_owned() => slot.ok(),
                _ = caller_gone.changed() => None,
            }
        });
        self._slot.is_none()
    }
}

/// Returns the processor time of this thread.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}
