//! Events: one reading of the history for all who watch a remote.
//!
//! [`EventFeed::publish`] reads what a commit added to the history once and keeps it at
//! hand, as the bytes that are sent. A [`Subscription`] takes from there at its own
//! pace and holds nothing but its place: the history itself is its queue, so
//! one that is slow loses nothing and holds up nobody. What is long past is read
//! from the mirror, and coalesced where it is much.

mod coalesce;
mod progress_cache;
mod recent_changes;
mod sse_frame;
mod subscription;
#[cfg(test)]
mod tests;
mod watched_runs;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use docks_proto::event::{ConnectionState, EventQuery, Position};
use tokio::sync::watch;

use progress_cache::Board;
use recent_changes::Ring;
use sse_frame::Item;
use subscription::Snapshot;
pub use subscription::Subscription;
use watched_runs::Followed;

use docksd_mirror::{Mirror, MirrorError, Resource};
use docksd_response_cache::{Limits, ResponseCache};

/// Changes that are read at once.
const BATCH: usize = 1_024;
/// Time between two looks at what changes without a commit.
const TICK: Duration = Duration::from_secs(1);
/// Ticks between two signs of interest; the engine remembers one for a minute.
const TOUCH_TICKS: u64 = 10;
/// Present states kept for readers with the same query. One that is larger than all of this is still
/// shared: each reader that waits for it would otherwise read and hold its own.
const SNAPSHOTS: Limits = Limits {
    bytes: 64 << 20,
    entry_bytes: usize::MAX,
    entries: 8,
};

/// Why the feed looks for changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wakeup {
    /// The mirror has committed a transaction.
    Commit,
    /// A second has passed: also check what changes without a commit.
    Tick,
}

/// What the event feed needs from the sync engine.
pub trait EngineHandle: Send + Sync + 'static {
    /// Somebody looks at this.
    fn mark_active(&self, what: &Resource);
    /// Whether the remote can be seen.
    fn connection_state(&self) -> ConnectionState;
}

/// What woken readers look at: how far the history and the board are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Mark {
    seq: u64,
    posted: u64,
    closed: bool,
}

#[derive(Debug, Default)]
struct State {
    ring: Ring,
    board: Board,
    followed: Followed,
    publishing: bool,
    ticks: u64,
}

/// The events of one remote.
pub struct EventFeed {
    mirror: Mirror,
    attention: Arc<dyn EngineHandle>,
    state: Mutex<State>,
    mark: watch::Sender<Mark>,
    snapshots: ResponseCache<Snapshot>,
    /// One present state is read at a time, so that many who come at once share it.
    reading: tokio::sync::Mutex<()>,
}

impl EventFeed {
    /// Starts without readers.
    #[must_use]
    pub fn new(mirror: Mirror, attention: Arc<dyn EngineHandle>) -> Arc<Self> {
        Arc::new(Self {
            mirror,
            attention,
            state: Mutex::default(),
            mark: watch::Sender::default(),
            snapshots: ResponseCache::new(SNAPSHOTS),
            reading: tokio::sync::Mutex::default(),
        })
    }

    /// Begins to read; `after` is the place of an earlier reading that goes on.
    ///
    /// # Errors
    ///
    /// [`MirrorError`] when the mirror cannot be read.
    pub async fn subscribe(
        self: &Arc<Self>,
        wanted: EventQuery,
        after: Option<Position>,
    ) -> Result<Subscription, MirrorError> {
        let end = self.mirror.history_page(u64::MAX, 1, &wanted).await?.bounds;
        let first = {
            let mut state = self.state();
            if state.followed.readers() == 0 {
                // Nobody read, so nothing was published: begin here.
                state.ring = Ring::starting_at(end);
                self.snapshots.clear();
                let posted = state.board.posted();
                self.mark
                    .send_modify(|mark| (mark.seq, mark.posted) = (end.last_seq, posted));
            }
            state.followed.join(&wanted)
        };
        for resource in &first {
            self.attention.mark_active(resource);
        }
        Ok(Subscription::begin(Arc::clone(self), wanted, after, end))
    }

    /// Publishes while there are readers, if nobody does yet. Ends by itself.
    pub fn start_publishing(self: &Arc<Self>) {
        if std::mem::replace(&mut self.state().publishing, true) {
            return;
        }
        let feed = Arc::clone(self);
        drop(tokio::spawn(async move { feed.run().await }));
    }

    async fn run(&self) {
        let mut commits = self.mirror.commits();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let wakeup = tokio::select! {
                changed = commits.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    Wakeup::Commit
                }
                _ = tick.tick() => Wakeup::Tick,
            };
            match self.publish(wakeup).await {
                Ok(()) => {}
                Err(MirrorError::Closed) => break,
                Err(error) => {
                    // The next commit or tick tries again; readers keep their places.
                    tracing::warn!(
                        error = docks_proto::error::error_chain(&error),
                        "could not read the history"
                    );
                    tokio::time::sleep(TICK).await;
                }
            }
            let mut state = self.state();
            if state.followed.readers() == 0 {
                state.publishing = false;
                state.ring = Ring::default();
                state.board = Board::default();
                self.snapshots.clear();
                return;
            }
        }
        self.state().publishing = false;
        self.mark.send_modify(|mark| mark.closed = true);
    }

    /// Reads what is new, and wakes the readers; `ticked` also looks at what no commit tells.
    ///
    /// # Errors
    ///
    /// [`MirrorError`] when the mirror cannot be read.
    pub async fn publish(&self, wakeup: Wakeup) -> Result<(), MirrorError> {
        let ticked = wakeup == Wakeup::Tick;
        // Runs of changes that are told, but not counted yet.
        let mut owed: Vec<String> = Vec::new();
        loop {
            let from = self.state().ring.end();
            let scan = self
                .mirror
                .history_page(from, BATCH, &EventQuery::default())
                .await?;
            owed.extend(self.state().followed.due(&scan.events, ticked));
            let more = scan.events.len() == BATCH;
            let (mut told, mut read_to) = (scan.events, scan.read_to);
            let mut progress = Vec::new();
            if !more && !owed.is_empty() {
                // No count may be ahead of the changes that led to it: whoever hears that a run
                // has settled may leave.
                let runs = std::mem::take(&mut owed);
                let (since, counted) = self
                    .mirror
                    .progress_with_events_since(read_to, runs)
                    .await?;
                owed = self.state().followed.due(&since.events, false);
                owed.retain(|run| since.events.iter().any(|told| told.event.run == *run));
                (read_to, progress) = (since.read_to, counted);
                told.extend(since.events);
            }
            let items: Vec<Arc<Item>> = (told.iter())
                .map(|told| Arc::new(Item::of(scan.bounds.history_id, told)))
                .collect();
            let mut state = self.state();
            state.ring.extend(items, read_to);
            state.followed.counted(&progress);
            for counted in &progress {
                state.board.post(counted);
            }
            self.advance(&state);
            if !more && owed.is_empty() {
                break;
            }
        }
        if ticked {
            self.tick();
        }
        Ok(())
    }

    fn tick(&self) {
        let sight = self.attention.connection_state();
        let touch = {
            let mut state = self.state();
            state.ticks += 1;
            state.board.see(&sight);
            self.advance(&state);
            match state.ticks.is_multiple_of(TOUCH_TICKS) {
                true => state.followed.resources(),
                false => Vec::new(),
            }
        };
        for resource in &touch {
            self.attention.mark_active(resource);
        }
    }

    fn advance(&self, state: &State) {
        let (seq, posted) = (state.ring.end(), state.board.posted());
        self.mark.send_if_modified(|mark| {
            let moved = mark.seq != seq || mark.posted != posted;
            (mark.seq, mark.posted) = (seq, posted);
            moved
        });
    }

    /// Returns how many read.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.state().followed.readers()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
