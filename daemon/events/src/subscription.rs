//! One who reads: a place in the history, and how to go on from there.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use docks_proto::event::{Event, EventQuery, ObjectKind, Position, Ready, Resync};
use tokio::sync::watch;

use super::coalesce::coalesce;
use super::sse_frame::{Item, frame};
use super::{BATCH, EventFeed, Mark};
use docksd_mirror::{HistoryBounds, MirrorError, matches_query};
use docksd_response_cache::Cacheable;

/// A reader further behind than this gets the changes of an object as one.
const LAG: usize = 256;

/// A present state, shared by all who ask for the same.
#[derive(Debug)]
pub(super) struct Snapshot {
    seq: u64,
    /// When it was read, in ticks of the feed.
    tick: u64,
    frames: Vec<Bytes>,
}

impl Cacheable for Snapshot {
    type Version = u64;

    fn version(&self) -> &u64 {
        &self.tick
    }

    fn size_bytes(&self) -> usize {
        self.frames.iter().map(Bytes::len).sum()
    }
}

/// What is to be sent before changes.
#[derive(Debug)]
enum Stage {
    /// The present state is yet to be read.
    Begin,
    /// It is being sent.
    Present(Arc<Snapshot>, usize),
    /// Changes are sent as they come.
    Following,
}

/// Reads the events of a remote; what it does not take waits in the history.
pub struct Subscription {
    feed: Arc<EventFeed>,
    wanted: EventQuery,
    history: u64,
    seq: u64,
    posted: u64,
    stage: Stage,
    outbox: VecDeque<Bytes>,
    mark: watch::Receiver<Mark>,
}

impl Subscription {
    pub(super) fn begin(
        feed: Arc<EventFeed>,
        wanted: EventQuery,
        after: Option<Position>,
        end: HistoryBounds,
    ) -> Self {
        let mark = feed.mark.subscribe();
        let mut reader = Self {
            feed,
            wanted,
            history: end.history_id,
            seq: end.last_seq,
            posted: 0,
            stage: Stage::Begin,
            outbox: VecDeque::new(),
            mark,
        };
        let lost = match after {
            None => None,
            Some(at) if at.history != end.history_id || at.seq > end.last_seq => {
                Some("other_history")
            }
            Some(at) if at.seq < end.pruned_seq => Some("pruned"),
            Some(at) => {
                reader.seq = at.seq;
                reader.stage = Stage::Following;
                None
            }
        };
        if let Some(reason) = lost {
            let resync = Resync {
                reason: reason.to_owned(),
            };
            reader.outbox.push_back(frame(&Event::Resync(resync), None));
        }
        reader
    }

    /// Returns the place after everything that was handed out.
    #[must_use]
    pub fn position(&self) -> Position {
        Position {
            history: self.history,
            seq: self.seq,
        }
    }

    /// Returns the next bytes to send; `None` when there is nothing to say at present.
    ///
    /// # Errors
    ///
    /// [`MirrorError`]; the place stays, so asking again goes on there.
    pub async fn next_frame(&mut self) -> Result<Option<Bytes>, MirrorError> {
        loop {
            if let Some(frame) = self.outbox.pop_front() {
                return Ok(Some(frame));
            }
            match &mut self.stage {
                Stage::Begin => {
                    let snapshot = self.present().await?;
                    self.seq = snapshot.seq;
                    self.stage = Stage::Present(snapshot, 0);
                }
                Stage::Present(snapshot, sent) => match snapshot.frames.get(*sent) {
                    Some(frame) => {
                        *sent += 1;
                        return Ok(Some(frame.clone()));
                    }
                    None => {
                        self.post();
                        let id = self.position().to_string();
                        let ready = Event::Ready(Ready { id: id.clone() });
                        self.outbox.push_back(frame(&ready, Some(&id)));
                        self.stage = Stage::Following;
                    }
                },
                Stage::Following => {
                    if !self.follow().await? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Waits until there may be something to say; false when there never will be.
    pub async fn changed(&mut self) -> bool {
        self.mark.changed().await.is_ok() && !self.mark.borrow().closed
    }

    /// Puts what is new into the outbox; false when nothing is.
    async fn follow(&mut self) -> Result<bool, MirrorError> {
        let mark = *self.mark.borrow_and_update();
        if self.seq < mark.seq {
            let (items, to) = self.read_on().await?;
            let frames = if items.len() > LAG {
                coalesce(&items)
            } else {
                items.iter().map(|item| item.frame.clone()).collect()
            };
            self.outbox.extend(frames);
            self.seq = to;
            return Ok(true);
        }
        if self.posted < mark.posted {
            // Changes that came meanwhile are read at the next turn.
            if self.post() {
                // Whatever the board says, this mark has been seen: asking again would not end.
                self.posted = self.posted.max(mark.posted);
            }
            return Ok(true);
        }
        Ok(false)
    }

    /// Reads the next changes that were asked for, from memory or else from the mirror.
    async fn read_on(&self) -> Result<(Vec<Arc<Item>>, u64), MirrorError> {
        let at_hand = self.feed.state().ring.after(self.seq, BATCH);
        if let Some((mut items, to)) = at_hand {
            items.retain(|item| {
                let object = &item.change.object;
                matches_query(&self.wanted, object.kind, &object.run_id, &object.status)
            });
            return Ok((items, to));
        }
        let scan = self
            .feed
            .mirror
            .history_page(self.seq, BATCH, &self.wanted)
            .await?;
        let items = scan.events.iter().map(|told| Item::of(self.history, told));
        Ok((items.map(Arc::new).collect(), scan.read_to))
    }

    /// Puts the latest counts into the outbox; not, and false, while changes that led to them are
    /// still to be read.
    fn post(&mut self) -> bool {
        let state = self.feed.state();
        if state.ring.end() > self.seq {
            return false;
        }
        let wanted = &self.wanted;
        let wants = |kind: ObjectKind, run: &str| {
            let kinds = &wanted.kinds;
            // Counts are of trials as much as of their run.
            let of_trials = kind == ObjectKind::Evaluation && kinds.contains(&ObjectKind::Trial);
            let kind = kinds.is_empty() || kinds.contains(&kind) || of_trials;
            kind && (wanted.runs.is_empty() || wanted.runs.iter().any(|r| r == run))
        };
        let frames = state.board.after(self.posted, wants);
        self.posted = state.board.posted();
        drop(state);
        self.outbox.extend(frames);
        true
    }

    /// Returns the present state, read before for somebody else if that joins on to what is at hand.
    async fn present(&self) -> Result<Arc<Snapshot>, MirrorError> {
        let _turn = self.feed.reading.lock().await;
        // The changes since then follow, so the snapshot only has to be of this tick.
        let (question, tick) = (self.wanted.path(), self.feed.state().ticks);
        if let Some(found) = self.feed.snapshots.get(&question, &tick)
            && self.feed.state().ring.after(found.seq, 1).is_some()
        {
            return Ok(found);
        }
        let present = self.feed.mirror.state_snapshot(&self.wanted).await?;
        let objects = present.objects.into_iter().map(Event::State);
        let counts = present.progress.into_iter().map(Event::Progress);
        let snapshot = Arc::new(Snapshot {
            seq: present.bounds.last_seq,
            tick,
            frames: objects.chain(counts).map(|e| frame(&e, None)).collect(),
        });
        self.feed.snapshots.insert(&question, &snapshot);
        Ok(snapshot)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.feed.state().followed.leave(&self.wanted);
    }
}
