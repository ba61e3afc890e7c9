//! What was learned about one list of a remote: paging, limits, order, validators.

use serde::{Deserialize, Serialize};

use crate::time::UnixMs;

/// Largest page that is polled or swept: a longer answer takes too long to read and to write.
pub const LARGEST_PAGE: u32 = 1_000;
/// Smallest `limit` whose refusal is taken to be about the limit.
const SMALLEST_REFUSABLE: u32 = 10;

/// Whether the remote supports something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Support {
    /// Not tried, or the attempt was inconclusive.
    #[default]
    Unknown,
    /// Supported.
    Honoured,
    /// Ignored.
    Ignored,
}

/// Order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListOrder {
    /// Too few objects, or they carry no time.
    #[default]
    Unknown,
    /// Newest first, as in most lists.
    NewestFirst,
    /// Oldest first: new objects are at the end.
    OldestFirst,
    /// Neither.
    Unordered,
}

/// What is known about one list.
///
/// The field names are stored in the mirror and shown by `docks daemon status`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ListCapabilities {
    /// Whether `offset` is honoured.
    pub offset: Support,
    /// Largest page that the remote returns, whatever `limit` says.
    pub limit_capped_at: Option<u32>,
    /// Smallest `limit` that was refused.
    pub limit_refused_at: Option<u32>,
    /// Largest `limit` that was filled, so that a shorter page is the last one.
    pub limit_filled: u32,
    /// Whether pages return a cursor.
    pub cursor: bool,
    /// Whether part of the list cannot be read at all.
    #[serde(rename = "cut")]
    pub incomplete: bool,
    /// Order of the list.
    pub order: ListOrder,
    /// Whether `If-None-Match` is honoured.
    pub etag: Support,
}

impl ListCapabilities {
    /// Returns the largest page that can be expected, in objects.
    #[must_use]
    pub fn page_cap(&self) -> u32 {
        let refused = self.limit_refused_at.map_or(LARGEST_PAGE, |n| n / 2);
        let capped = self.limit_capped_at.unwrap_or(LARGEST_PAGE);
        LARGEST_PAGE.min(refused).min(capped).max(1)
    }

    /// Records that `limit` was refused; returns `false` if `limit` cannot have been the reason.
    pub fn record_refusal(&mut self, limit: u32) -> bool {
        if limit < SMALLEST_REFUSABLE {
            self.limit_refused_at = None;
            return false;
        }
        self.limit_refused_at = Some(self.limit_refused_at.map_or(limit, |n| n.min(limit)));
        self.limit_filled = self.limit_filled.min(limit.saturating_sub(1));
        true
    }

    /// Records the order of a page, given when its objects were created.
    pub fn observe_order(&mut self, created: &[Option<UnixMs>]) {
        let times: Vec<UnixMs> = created.iter().copied().flatten().collect();
        let (mut descents, mut ascents) = (0_usize, 0_usize);
        for (earlier, later) in times.iter().zip(times.iter().skip(1)) {
            match earlier.cmp(later) {
                std::cmp::Ordering::Greater => descents += 1,
                std::cmp::Ordering::Less => ascents += 1,
                std::cmp::Ordering::Equal => {}
            }
        }
        if descents + ascents < 3 {
            return;
        }
        // The clocks of several workers put a few objects out of order.
        self.order = if descents >= 9 * ascents {
            ListOrder::NewestFirst
        } else if ascents >= 9 * descents {
            ListOrder::OldestFirst
        } else {
            ListOrder::Unordered
        };
    }
}

/// Returns whether a remote may answer with this status because `limit` is too large.
#[must_use]
pub fn may_refuse_limit(status: u16) -> bool {
    matches!(status, 400 | 413 | 422)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_read_from_times_and_few_times_are_inconclusive() {
        let order = |times: &[i64]| {
            let mut list = ListCapabilities::default();
            list.observe_order(&times.iter().map(|t| Some(UnixMs(*t))).collect::<Vec<_>>());
            list.order
        };
        assert_eq!(order(&[5, 4, 3, 2]), ListOrder::NewestFirst);
        assert_eq!(order(&[1, 2, 2, 3, 4]), ListOrder::OldestFirst);
        assert_eq!(order(&[1, 5, 2, 4, 3]), ListOrder::Unordered);
        assert_eq!(order(&[2, 1]), ListOrder::Unknown);
    }

    #[test]
    fn a_refused_limit_halves_the_page_size() {
        let mut list = ListCapabilities::default();
        assert!(list.record_refusal(200));
        assert_eq!(list.page_cap(), 100);
        assert!(!list.record_refusal(9));
        assert_eq!(list.page_cap(), LARGEST_PAGE);
    }
}
