//! Publishes the changes of one remote to its subscriptions.

use std::sync::Arc;
use std::time::Duration;

use docks_proto::event::{EventQuery, Position};
use docksd_mirror::{Mirror, MirrorError};

use super::engine_handle::EngineHandle;
use super::feed_state::{BATCH, FeedState};
use super::sse_frame::EncodedChange;
use super::subscription::Subscription;

/// Time between two checks of what changes without a commit.
const TICK: Duration = Duration::from_secs(1);
/// Ticks between two signs of activity; the engine remembers one for a minute.
const MARK_ACTIVE_TICKS: u64 = 10;

/// Why the feed looks for changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wakeup {
    /// The mirror has committed a transaction.
    Commit,
    /// A second has passed: also check what changes without a commit.
    Tick,
}

/// The events of one remote.
pub struct EventFeed {
    pub(super) state: Arc<FeedState>,
    engine: Arc<dyn EngineHandle>,
}

impl EventFeed {
    /// Creates a feed without subscriptions.
    #[must_use]
    pub fn new(mirror: Mirror, engine: Arc<dyn EngineHandle>) -> Arc<Self> {
        Arc::new(Self {
            state: Arc::new(FeedState::new(mirror)),
            engine,
        })
    }

    /// Subscribes to what a query selects; `after` is the position at which an earlier
    /// subscription stopped.
    ///
    /// # Errors
    ///
    /// [`MirrorError`] when the mirror cannot be read.
    pub async fn subscribe(
        &self,
        query: EventQuery,
        after: Option<Position>,
    ) -> Result<Subscription, MirrorError> {
        let page = self.state.mirror.history_page(u64::MAX, 1, &query).await?;
        let resources = {
            let mut live = self.state.live();
            if live.watched.subscribers() == 0 {
                self.state.start_at(&mut live, page.bounds);
            }
            live.watched.add_subscriber(&query)
        };
        for resource in &resources {
            self.engine.mark_active(resource);
        }
        let state = Arc::clone(&self.state);
        Ok(Subscription::new(state, query, after, page.bounds))
    }

    /// Publishes changes in a task while there are subscriptions; does nothing if the task runs.
    pub fn start_publishing(self: &Arc<Self>) {
        if std::mem::replace(&mut self.state.live().publishing, true) {
            return;
        }
        let feed = Arc::clone(self);
        drop(tokio::spawn(
            async move { feed.publish_until_unused().await },
        ));
    }

    async fn publish_until_unused(&self) {
        let mut commits = self.state.mirror.commits();
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
                    // The next commit or tick tries again; subscriptions keep their positions.
                    tracing::warn!(
                        error = docks_proto::error::error_chain(&error),
                        "could not read the history"
                    );
                    tokio::time::sleep(TICK).await;
                }
            }
            let mut live = self.state.live();
            if live.watched.subscribers() == 0 {
                live.publishing = false;
                self.state.clear(&mut live);
                return;
            }
        }
        self.state.live().publishing = false;
        self.state.close();
    }

    /// Reads the new changes and wakes the subscriptions.
    ///
    /// # Errors
    ///
    /// [`MirrorError`] when the mirror cannot be read.
    pub async fn publish(&self, wakeup: Wakeup) -> Result<(), MirrorError> {
        let ticked = wakeup == Wakeup::Tick;
        // Runs whose changes are read, but whose trials are not counted yet.
        let mut uncounted: Vec<String> = Vec::new();
        loop {
            let after = self.state.live().recent.end();
            let page = self
                .state
                .mirror
                .history_page(after, BATCH, &EventQuery::default())
                .await?;
            uncounted.extend(
                self.state
                    .live()
                    .watched
                    .runs_to_count(&page.events, ticked),
            );
            let more = page.events.len() == BATCH;
            let (mut events, mut read_to) = (page.events, page.read_to);
            let mut progress = Vec::new();
            if !more && !uncounted.is_empty() {
                // No count may precede the changes that led to it: a subscriber may disconnect
                // as soon as it reads that a run has settled.
                let runs = std::mem::take(&mut uncounted);
                let (since, counts) = self
                    .state
                    .mirror
                    .progress_with_events_since(read_to, runs)
                    .await?;
                uncounted = self
                    .state
                    .live()
                    .watched
                    .runs_to_count(&since.events, false);
                uncounted.retain(|run| since.events.iter().any(|event| event.event.run == *run));
                (read_to, progress) = (since.read_to, counts);
                events.extend(since.events);
            }
            let changes: Vec<Arc<EncodedChange>> = events
                .iter()
                .map(|event| Arc::new(EncodedChange::new(page.bounds.history_id, event)))
                .collect();
            let mut live = self.state.live();
            live.recent.extend(changes, read_to);
            live.watched.apply_counts(&progress);
            for counts in &progress {
                live.progress.update(counts);
            }
            self.state.advance_watermark(&live);
            if !more && uncounted.is_empty() {
                break;
            }
        }
        if ticked {
            self.tick();
        }
        Ok(())
    }

    fn tick(&self) {
        let connection = self.engine.connection_state();
        let resources = {
            let mut live = self.state.live();
            live.ticks += 1;
            live.progress.set_connection_state(&connection);
            self.state.advance_watermark(&live);
            if live.ticks.is_multiple_of(MARK_ACTIVE_TICKS) {
                live.watched.resources()
            } else {
                Vec::new()
            }
        };
        for resource in &resources {
            self.engine.mark_active(resource);
        }
    }

    /// Returns the number of subscriptions.
    #[must_use]
    pub fn subscribers(&self) -> usize {
        self.state.live().watched.subscribers()
    }
}
