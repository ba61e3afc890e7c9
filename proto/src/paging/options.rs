//! How a walk goes about a list: the sizes of its pages and when it stops.

/// First page of a list that is polled or swept, in objects.
pub const FIRST_LIMIT: u32 = 100;
/// Limits to try in turn while a remote refuses the first page.
pub(super) const SMALLER_LIMITS: [u32; 6] = [500, 100, 50, 25, 10, 1];

/// How a walk goes about a list.
#[derive(Debug, Clone, Copy)]
pub struct WalkOptions {
    /// `limit` of the first page.
    pub first_limit: u32,
    /// Factor by which `limit` grows where `offset` is ignored.
    pub growth: u32,
    /// Largest `limit` to request where `offset` is ignored.
    pub largest_limit: u32,
    /// Number of different objects after which the walk stops.
    pub max_objects: Option<u64>,
    /// Whether one answer holds the whole list unless it returns a cursor; `limit` is then left out.
    pub whole_lists: bool,
    /// Whether the walk ends when it has read as many objects as the remote says there are.
    pub trusts_total: bool,
}

impl WalkOptions {
    /// Options of the daemon's sweep: small requests, and no end without evidence.
    ///
    /// Remotes with `whole_lists` return every list in one answer.
    #[must_use]
    pub fn sweep(whole_lists: bool) -> Self {
        Self {
            first_limit: FIRST_LIMIT,
            growth: 2,
            largest_limit: 1 << 17,
            max_objects: None,
            whole_lists,
            trusts_total: false,
        }
    }

    /// Options of a command that reads a list once and needs `max_objects` of it, or all.
    #[must_use]
    pub fn one_shot(max_objects: Option<u64>) -> Self {
        let largest_first = u64::from(SMALLER_LIMITS[0]);
        let first = max_objects.unwrap_or(largest_first).clamp(1, largest_first);
        Self {
            first_limit: u32::try_from(first).unwrap_or(SMALLER_LIMITS[0]),
            growth: 4,
            largest_limit: 1 << 20,
            max_objects,
            whole_lists: false,
            trusts_total: true,
        }
    }

    /// Options for a list that is expected in one answer, which may return a cursor all the same.
    #[must_use]
    pub fn single_answer() -> Self {
        Self {
            whole_lists: true,
            ..Self::one_shot(None)
        }
    }
}
