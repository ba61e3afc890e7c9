//! Lists as the socket sends them, kept while the mirror does not change.
//!
//! A prompt or a status bar may request the same list many times a second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use docks_proto::time::UnixMs;

use docksd_mirror::{Confirmation, Resource};
use docksd_response_cache::{Cacheable, Limits};

/// What is kept per remote; the idle daemon must stay below 30 MB. Lists of more than 1 MiB are rare,
/// and copying them out of SQLite is not what they cost.
pub const LIMITS: Limits = Limits {
    bytes: 4 << 20,
    entry_bytes: 1 << 20,
    entries: 512,
};

/// How often reading a list counts as interest in it; the sync engine remembers that for a minute.
const MARK_EVERY: Duration = Duration::from_secs(5);

/// A list as it is sent.
#[derive(Debug)]
pub struct ListResponse {
    /// Version of the mirror before the list was read.
    pub version: u64,
    /// The rows, as a JSON array.
    pub body: Bytes,
    /// How many rows match before the cut.
    pub total: u64,
    /// When the remote confirmed the list.
    pub confirmed: Confirmation,
    /// Which list it is.
    pub resource: Resource,
    /// Whether its objects can still change.
    pub volatility: Volatility,
    /// Why rows may be missing, if they may.
    pub incomplete: Option<&'static str>,
    /// For empty lists: whether all requested statuses are known for this remote.
    pub status_seen: Option<bool>,
    marked_s: AtomicU64,
}

/// Whether an object can still change, which decides how soon its confirmation is too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Volatility {
    /// A list of runs, or a run or trial that may still change.
    Changing {
        /// Whether it is known to be active.
        active: bool,
    },
    /// Part of a run that has ended; the time is when its end was last confirmed.
    Ended(UnixMs),
}

impl ListResponse {
    /// Creates a complete list.
    #[must_use]
    pub fn new(
        version: u64,
        (body, total): (Bytes, u64),
        confirmed: Confirmation,
        resource: Resource,
        volatility: Volatility,
    ) -> Self {
        Self {
            version,
            body,
            total,
            confirmed,
            resource,
            volatility,
            incomplete: None,
            status_seen: None,
            marked_s: AtomicU64::new(0),
        }
    }

    /// Sets why rows may be missing.
    #[must_use]
    pub fn with_incomplete(mut self, reason: Option<&'static str>) -> Self {
        self.incomplete = reason;
        self
    }

    /// Sets whether the requested statuses are known, for an empty list.
    #[must_use]
    pub fn with_status_seen(mut self, seen: Option<bool>) -> Self {
        self.status_seen = seen;
        self
    }

    /// Whether the sync engine should be told again that this list is being read: every five seconds,
    /// not 80,000 times a second.
    #[must_use]
    pub fn is_mark_due(&self, now: Duration) -> bool {
        let now_s = now.as_secs().max(1);
        let last = self.marked_s.load(Ordering::Relaxed);
        let due = last == 0 || now_s.saturating_sub(last) >= MARK_EVERY.as_secs();
        if due {
            self.marked_s.store(now_s, Ordering::Relaxed);
        }
        due
    }
}

impl Cacheable for ListResponse {
    type Version = u64;

    fn version(&self) -> &u64 {
        &self.version
    }

    fn size_bytes(&self) -> usize {
        self.body.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use docks_proto::routes::RunKind;
    use docksd_response_cache::ResponseCache;
    use std::sync::Arc;

    fn list(version: u64, bytes: usize) -> Arc<ListResponse> {
        let confirmed = Confirmation {
            at: UnixMs(1),
            validator: None,
            complete: true,
        };
        Arc::new(ListResponse::new(
            version,
            (vec![b' '; bytes].into(), 1),
            confirmed,
            Resource::List(RunKind::Run),
            Volatility::Changing { active: false },
        ))
    }

    #[test]
    fn a_list_is_reused_for_one_version_of_the_mirror_only() {
        let cache = ResponseCache::new(LIMITS);
        cache.insert("q", &list(7, 10));
        assert!(cache.get("q", &7).is_some());
        assert!(cache.get("q", &8).is_none());
    }

    #[test]
    fn the_bounds_are_those_of_lists() {
        let cache = ResponseCache::new(LIMITS);
        let kept = |number: usize| cache.get(&format!("q{number:04}"), &1).is_some();
        for number in 0..1_000 {
            cache.insert(&format!("q{number:04}"), &list(1, 50_000));
            let count = (0..=number).filter(|number| kept(*number)).count();
            assert!(count * 50_005 <= LIMITS.bytes, "{count}");
        }
        cache.insert("huge", &list(1, LIMITS.entry_bytes));
        assert!(cache.get("huge", &1).is_none());
    }

    #[test]
    fn reading_is_reported_once_in_five_seconds() {
        let list = list(1, 1);
        assert!(list.is_mark_due(Duration::from_secs(100)));
        assert!(!list.is_mark_due(Duration::from_secs(104)));
        assert!(list.is_mark_due(Duration::from_secs(105)));
    }
}
