//! The latest changes, ready to send.

use std::collections::VecDeque;
use std::sync::Arc;

use super::sse_frame::Item;
use docksd_mirror::HistoryBounds;

/// Changes that are kept; a reader further behind reads the mirror.
const MOST: usize = 2_048;

/// Every change with a number above `after`, up to `end`.
#[derive(Debug, Default)]
pub(super) struct Ring {
    items: VecDeque<Arc<Item>>,
    after: u64,
    end: u64,
}

impl Ring {
    /// Starts with nothing, at the end of the history.
    pub(super) fn starting_at(end: HistoryBounds) -> Self {
        Self {
            after: end.last_seq,
            end: end.last_seq,
            ..Self::default()
        }
    }

    /// Returns the number up to which it holds everything.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Adds what was read up to a number.
    pub(super) fn extend(&mut self, items: Vec<Arc<Item>>, read_to: u64) {
        self.items.extend(items);
        self.end = self.end.max(read_to);
        while self.items.len() > MOST {
            let dropped = self.items.pop_front().expect("there are more than none");
            self.after = dropped.change.seq;
        }
    }

    /// Returns at most `most` changes after a number, and up to where that reaches; `None` when
    /// it does not go back that far.
    pub(super) fn after(&self, seq: u64, most: usize) -> Option<(Vec<Arc<Item>>, u64)> {
        if seq < self.after {
            return None;
        }
        let start = self.items.partition_point(|item| item.change.seq <= seq);
        let taken: Vec<_> = self.items.iter().skip(start).take(most).cloned().collect();
        let to = match taken.last() {
            Some(last) if start + taken.len() < self.items.len() => last.change.seq,
            _ => self.end.max(seq),
        };
        Some((taken, to))
    }
}
