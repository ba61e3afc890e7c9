//! One subscription: a position in the history, and what to send next.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use docks_proto::event::{Event, EventQuery, ObjectKind, Position, Ready, Resync};
use docks_proto::routes::RunKind;
use docksd_mirror::{HistoryBounds, MirrorError, matches_query};
use tokio::sync::watch;

use super::coalesce::coalesce;
use super::feed_state::{BATCH, FeedState, Watermark};
use super::snapshot::EncodedSnapshot;
use super::sse_frame::{EncodedChange, encode_event};

/// A subscription with more changes than this to read gets them coalesced.
const MAX_UNCOALESCED: usize = 256;

/// What is sent next.
#[derive(Debug)]
enum Phase {
    /// The snapshot, which is not read yet.
    Start,
    /// The frames of the snapshot from this index on.
    Snapshot(Arc<EncodedSnapshot>, usize),
    /// Changes as they happen.
    Changes,
}

/// Reads the events of a remote; what is not read yet waits in the history.
pub struct Subscription {
    feed: Arc<FeedState>,
    query: EventQuery,
    history_id: u64,
    /// Sequence number up to which changes were read.
    seq: u64,
    /// Version of the progress cache up to which progress was read.
    progress_version: u64,
    /// How many runs had got their real id when the query was last changed for that.
    renames_seen: usize,
    /// Provisional ids that the query still names, and the sequence number up to which changes may have them.
    outgrown: Vec<(String, u64)>,
    phase: Phase,
    outbox: VecDeque<Bytes>,
    watermark: watch::Receiver<Watermark>,
}

impl Subscription {
    /// Continues after a position if the history still covers it; otherwise starts with a snapshot.
    pub(super) fn new(
        feed: Arc<FeedState>,
        query: EventQuery,
        after: Option<Position>,
        bounds: HistoryBounds,
    ) -> Self {
        let watermark = feed.watermark();
        let renames_seen = feed.mirror.rename_count();
        let mut subscription = Self {
            feed,
            query,
            history_id: bounds.history_id,
            seq: bounds.last_seq,
            progress_version: 0,
            renames_seen,
            outgrown: Vec::new(),
            phase: Phase::Start,
            outbox: VecDeque::new(),
            watermark,
        };
        let resync_reason = match after {
            None => None,
            Some(at) if at.history != bounds.history_id || at.seq > bounds.last_seq => {
                Some("other_history")
            }
            Some(at) if at.seq < bounds.pruned_seq => Some("pruned"),
            Some(at) => {
                subscription.seq = at.seq;
                subscription.phase = Phase::Changes;
                None
            }
        };
        if let Some(reason) = resync_reason {
            let resync = Event::Resync(Resync {
                reason: reason.to_owned(),
            });
            let frame = encode_event(&resync, None);
            subscription.outbox.push_back(frame);
        }
        subscription
    }

    /// Returns the position after everything that was read.
    #[must_use]
    pub fn position(&self) -> Position {
        Position {
            history: self.history_id,
            seq: self.seq,
        }
    }

    /// Follows the runs that got their real id after the first `seen` ones, since before that the ids of the query
    /// were looked up.
    #[must_use]
    pub fn with_renames_after(mut self, seen: usize) -> Self {
        self.renames_seen = self.renames_seen.min(seen);
        self
    }

    /// Sends the state of these runs before anything else, for a client that knows them by another id.
    ///
    /// # Errors
    ///
    /// [`MirrorError`] when the mirror cannot be read.
    pub async fn introduce(&mut self, runs: Vec<String>) -> Result<(), MirrorError> {
        let kinds = RunKind::ALL.map(ObjectKind::from).into_iter();
        let kinds: Vec<ObjectKind> = kinds
            .filter(|kind| self.query.kinds.is_empty() || self.query.kinds.contains(kind))
            .collect();
        if runs.is_empty() || kinds.is_empty() {
            return Ok(());
        }
        let query = EventQuery {
            runs,
            kinds,
            ..EventQuery::default()
        };
        let snapshot = self.feed.mirror.state_snapshot(&query).await?;
        let states = snapshot.objects.into_iter().map(Event::State);
        self.outbox
            .extend(states.map(|state| encode_event(&state, None)));
        Ok(())
    }

    /// Goes on with the real ids of runs that the query names by provisional ones.
    async fn follow_renames(&mut self) -> Result<(), MirrorError> {
        let mut query = self.query.clone();
        // What is read from now on is about the real ids only.
        let (seq, outgrown) = (self.seq, &mut self.outgrown);
        outgrown.retain(|(id, last)| {
            let is_read = seq >= *last;
            if is_read {
                query.runs.retain(|run| run != id);
            }
            !is_read
        });
        let renames = self.feed.mirror.renames_after(self.renames_seen);
        let mut renamed = Vec::new();
        for rename in &renames {
            let names_either = |run: &String| *run == rename.from || *run == rename.to;
            if !selects_kind(&query, rename.kind.into()) || !query.runs.iter().any(names_either) {
                continue;
            }
            if !query.runs.contains(&rename.to) {
                query.runs.push(rename.to.clone());
            }
            // As a job is in both lists, it may have got its id in only one of them.
            if rename.kind == RunKind::Evaluation || !selects_kind(&query, ObjectKind::Evaluation) {
                self.outgrown
                    .push((rename.from.clone(), self.watermark.borrow().seq));
            }
            if !renamed.contains(&rename.to) {
                renamed.push(rename.to.clone());
            }
        }
        self.introduce(renamed).await?;
        if query.runs != self.query.runs {
            let mut live = self.feed.live();
            live.watched.remove_subscriber(&self.query);
            live.watched.add_subscriber(&query);
            drop(live);
            self.query = query;
        }
        self.renames_seen += renames.len();
        Ok(())
    }

    /// Returns the next bytes to send; `None` when there is nothing to send yet.
    ///
    /// # Errors
    ///
    /// [`MirrorError`] when the mirror cannot be read. The position stays, so another call
    /// continues there.
    pub async fn next_frame(&mut self) -> Result<Option<Bytes>, MirrorError> {
        loop {
            if let Some(frame) = self.outbox.pop_front() {
                return Ok(Some(frame));
            }
            match &mut self.phase {
                Phase::Start => {
                    self.follow_renames().await?;
                    let snapshot = self.feed.snapshot(&self.query).await?;
                    self.seq = snapshot.seq;
                    self.phase = Phase::Snapshot(snapshot, 0);
                }
                Phase::Snapshot(snapshot, sent) => match snapshot.frames.get(*sent) {
                    Some(frame) => {
                        *sent += 1;
                        return Ok(Some(frame.clone()));
                    }
                    None => {
                        self.enqueue_progress();
                        let id = self.position().to_string();
                        let ready = Event::Ready(Ready { id: id.clone() });
                        self.outbox.push_back(encode_event(&ready, Some(&id)));
                        self.phase = Phase::Changes;
                    }
                },
                Phase::Changes => {
                    self.follow_renames().await?;
                    if !self.outbox.is_empty() {
                        continue;
                    }
                    if !self.enqueue_changes().await? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Waits until there may be something to send; returns false when nothing will follow.
    pub async fn changed(&mut self) -> bool {
        self.watermark.changed().await.is_ok() && !self.watermark.borrow().closed
    }

    /// Puts what is new into the outbox; returns false when nothing is.
    async fn enqueue_changes(&mut self) -> Result<bool, MirrorError> {
        let watermark = *self.watermark.borrow_and_update();
        if self.seq < watermark.seq {
            let (changes, read_to) = self.read_changes().await?;
            if self.feed.mirror.rename_count() > self.renames_seen {
                // They may be about a run whose id the query does not name yet.
                return Ok(true);
            }
            let frames = if changes.len() > MAX_UNCOALESCED {
                coalesce(&changes)
            } else {
                changes.iter().map(|change| change.frame.clone()).collect()
            };
            self.outbox.extend(frames);
            self.seq = read_to;
            return Ok(true);
        }
        if self.progress_version < watermark.progress_version {
            // If changes arrived in the meantime, the next call reads those first.
            if self.enqueue_progress() {
                // The cache may have been cleared since; without this, the loop would not stop.
                self.progress_version = self.progress_version.max(watermark.progress_version);
            }
            return Ok(true);
        }
        Ok(false)
    }

    /// Reads the next changes that the query selects, from memory or else from the mirror.
    ///
    /// Returns the sequence number up to which they are complete, too.
    async fn read_changes(&self) -> Result<(Vec<Arc<EncodedChange>>, u64), MirrorError> {
        let recent = self.feed.live().recent.after(self.seq, BATCH);
        if let Some((mut changes, read_to)) = recent {
            changes.retain(|change| {
                let object = &change.change.object;
                matches_query(&self.query, object.kind, &object.run_id, &object.status)
            });
            return Ok((changes, read_to));
        }
        let mirror = &self.feed.mirror;
        let page = mirror.history_page(self.seq, BATCH, &self.query).await?;
        let changes = page
            .events
            .iter()
            .map(|event| Arc::new(EncodedChange::new(self.history_id, event)))
            .collect();
        Ok((changes, page.read_to))
    }

    /// Puts the latest progress into the outbox.
    ///
    /// Does nothing and returns false while changes that led to it are still unread.
    fn enqueue_progress(&mut self) -> bool {
        let live = self.feed.live();
        if live.recent.end() > self.seq {
            return false;
        }
        let query = &self.query;
        let selects = |kind: ObjectKind, run: &str| {
            selects_kind(query, kind)
                && (query.runs.is_empty() || query.runs.iter().any(|r| r == run))
        };
        let frames = live.progress.frames_after(self.progress_version, selects);
        self.progress_version = live.progress.version();
        drop(live);
        self.outbox.extend(frames);
        true
    }
}

/// Whether a query selects what is about runs of a kind; the progress of one is about its trials as well.
fn selects_kind(query: &EventQuery, kind: ObjectKind) -> bool {
    let kinds = &query.kinds;
    let about_trials = kind == ObjectKind::Evaluation && kinds.contains(&ObjectKind::Trial);
    kinds.is_empty() || kinds.contains(&kind) || about_trials
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.feed.live().watched.remove_subscriber(&self.query);
    }
}
