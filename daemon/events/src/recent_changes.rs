//! The latest changes, encoded and ready to send.

use std::collections::VecDeque;
use std::sync::Arc;

use docksd_mirror::HistoryBounds;

use super::sse_frame::EncodedChange;

/// Changes that are kept; a subscription further behind reads the mirror.
const MAX_CHANGES: usize = 2_048;

/// Every change with a sequence number above `after`, up to `end`.
#[derive(Debug, Default)]
pub(super) struct RecentChanges {
    changes: VecDeque<Arc<EncodedChange>>,
    after: u64,
    end: u64,
}

impl RecentChanges {
    /// Starts empty, at the end of the history.
    pub(super) fn starting_at(bounds: HistoryBounds) -> Self {
        Self {
            after: bounds.last_seq,
            end: bounds.last_seq,
            ..Self::default()
        }
    }

    /// Returns the sequence number up to which every change is here.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Adds the changes read up to a sequence number.
    pub(super) fn extend(&mut self, changes: Vec<Arc<EncodedChange>>, read_to: u64) {
        self.changes.extend(changes);
        self.end = self.end.max(read_to);
        while self.changes.len() > MAX_CHANGES {
            let dropped = self.changes.pop_front().expect("there is at least one");
            self.after = dropped.change.seq;
        }
    }

    /// Returns at most `limit` changes after a sequence number, and the number up to which they are
    /// complete; `None` when the changes here begin later.
    pub(super) fn after(&self, seq: u64, limit: usize) -> Option<(Vec<Arc<EncodedChange>>, u64)> {
        if seq < self.after {
            return None;
        }
        let start = self
            .changes
            .partition_point(|change| change.change.seq <= seq);
        let page: Vec<_> = (self.changes.iter().skip(start))
            .take(limit)
            .cloned()
            .collect();
        let read_to = match page.last() {
            Some(last) if start + page.len() < self.changes.len() => last.change.seq,
            _ => self.end.max(seq),
        };
        Some((page, read_to))
    }
}
