//! The state with which an event stream begins, encoded for all subscribers with the same query.

use bytes::Bytes;
use docks_proto::event::Event;
use docksd_mirror::StateSnapshot;
use docksd_response_cache::{Cacheable, Limits};

use super::sse_frame::encode_event;

/// Snapshots kept for subscribers with the same query. One that is larger than all of this is still
/// shared: each subscriber that waits for it would otherwise read and hold its own.
pub(super) const SNAPSHOT_LIMITS: Limits = Limits {
    bytes: 64 << 20,
    entry_bytes: usize::MAX,
    entries: 8,
};

/// An encoded snapshot.
#[derive(Debug)]
pub(super) struct EncodedSnapshot {
    /// Sequence number of the last event that the snapshot includes.
    pub(super) seq: u64,
    /// Tick of the feed at which it was read.
    tick: u64,
    pub(super) frames: Vec<Bytes>,
}

impl EncodedSnapshot {
    /// Encodes a snapshot that was read at a tick of the feed.
    pub(super) fn new(snapshot: StateSnapshot, tick: u64) -> Self {
        let objects = snapshot.objects.into_iter().map(Event::State);
        let progress = snapshot.progress.into_iter().map(Event::Progress);
        Self {
            seq: snapshot.bounds.last_seq,
            tick,
            frames: objects
                .chain(progress)
                .map(|event| encode_event(&event, None))
                .collect(),
        }
    }
}

impl Cacheable for EncodedSnapshot {
    type Version = u64;

    fn version(&self) -> &u64 {
        &self.tick
    }

    fn size_bytes(&self) -> usize {
        self.frames.iter().map(Bytes::len).sum()
    }
}
