//! What the feed and its subscriptions share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use docks_proto::event::EventQuery;
use docksd_mirror::{HistoryBounds, Mirror, MirrorError};
use docksd_response_cache::ResponseCache;
use tokio::sync::watch;

use super::progress_cache::ProgressCache;
use super::recent_changes::RecentChanges;
use super::snapshot::{EncodedSnapshot, SNAPSHOT_LIMITS};
use super::watched_runs::WatchedRuns;

/// Changes read at once.
pub(super) const BATCH: usize = 1_024;

/// How far the feed has come; subscriptions wait for it to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Watermark {
    /// Sequence number up to which changes are published.
    pub(super) seq: u64,
    /// Version of the progress cache.
    pub(super) progress_version: u64,
    /// Whether the mirror was closed, so that nothing will follow.
    pub(super) closed: bool,
}

/// What changes while the feed runs.
#[derive(Debug, Default)]
pub(super) struct LiveState {
    pub(super) recent: RecentChanges,
    pub(super) progress: ProgressCache,
    pub(super) watched: WatchedRuns,
    /// Whether the publishing task runs.
    pub(super) publishing: bool,
    pub(super) ticks: u64,
}

/// What the feed and its subscriptions share.
pub(super) struct FeedState {
    pub(super) mirror: Mirror,
    live: Mutex<LiveState>,
    watermark: watch::Sender<Watermark>,
    snapshots: ResponseCache<EncodedSnapshot>,
    /// One snapshot is read at a time, so that subscribers who arrive together share it.
    reading_snapshot: tokio::sync::Mutex<()>,
}

impl FeedState {
    pub(super) fn new(mirror: Mirror) -> Self {
        Self {
            mirror,
            live: Mutex::default(),
            watermark: watch::Sender::default(),
            snapshots: ResponseCache::new(SNAPSHOT_LIMITS),
            reading_snapshot: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn live(&self) -> MutexGuard<'_, LiveState> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn watermark(&self) -> watch::Receiver<Watermark> {
        self.watermark.subscribe()
    }

    /// Starts at the end of the history, for the first subscriber after a time without any.
    pub(super) fn start_at(&self, live: &mut LiveState, bounds: HistoryBounds) {
        live.recent = RecentChanges::starting_at(bounds);
        self.snapshots.clear();
        let progress_version = live.progress.version();
        self.watermark.send_modify(|mark| {
            (mark.seq, mark.progress_version) = (bounds.last_seq, progress_version);
        });
    }

    /// Forgets everything that was kept for subscribers; there are none.
    pub(super) fn clear(&self, live: &mut LiveState) {
        live.recent = RecentChanges::default();
        live.progress = ProgressCache::default();
        self.snapshots.clear();
    }

    /// Wakes the subscriptions if there is something new.
    pub(super) fn advance_watermark(&self, live: &LiveState) {
        let (seq, progress_version) = (live.recent.end(), live.progress.version());
        self.watermark.send_if_modified(|mark| {
            let advanced = mark.seq != seq || mark.progress_version != progress_version;
            (mark.seq, mark.progress_version) = (seq, progress_version);
            advanced
        });
    }

    /// Tells the subscriptions that nothing will follow.
    pub(super) fn close(&self) {
        self.watermark.send_modify(|mark| mark.closed = true);
    }

    /// Returns the current state of what a query selects.
    ///
    /// Shares a snapshot of the same tick if the recent changes continue it.
    ///
    /// # Errors
    ///
    /// [`MirrorError`] when the mirror cannot be read.
    pub(super) async fn snapshot(
        &self,
        query: &EventQuery,
    ) -> Result<Arc<EncodedSnapshot>, MirrorError> {
        let _turn = self.reading_snapshot.lock().await;
        let (key, tick) = (query.path(), self.live().ticks);
        if let Some(found) = self.snapshots.get(&key, &tick)
            && self.live().recent.after(found.seq, 1).is_some()
        {
            return Ok(found);
        }
        let snapshot = self.mirror.state_snapshot(query).await?;
        let encoded = Arc::new(EncodedSnapshot::new(snapshot, tick));
        self.snapshots.insert(&key, &encoded);
        Ok(encoded)
    }
}
