//! Responses kept in memory, ready to be sent again.
//!
//! The socket keeps lists, the hub keeps compressed responses, and the event stream keeps snapshots.
//! They differ in their [`Limits`] and in what a version of the data is; the policy is the same:
//!
//! - A response is found by its key, the request, and only while the version of the data that it was
//!   made from is the current one. So a hit is never older than the data.
//! - A response larger than [`Limits::entry_bytes`] is not kept.
//! - A new response replaces the previous one with the same key. If it does not fit, the responses made
//!   from other versions are dropped, and if that is not enough, all of them. Only few requests are
//!   frequent, and each of those costs one miss to be back; a hit, on the other hand, happens up to
//!   80,000 times a second and must not pay for bookkeeping.
//!
//! A hit costs one lookup and one reference count. Nothing but the key is hashed, and nothing is copied.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A response that can be kept.
pub trait Cacheable {
    /// Identifies the data that a response was made from: a number of a version, or the data.
    type Version: PartialEq;

    /// Returns the version of the data that this response was made from.
    fn version(&self) -> &Self::Version;

    /// Returns how many bytes of memory it takes.
    fn size_bytes(&self) -> usize;
}

/// How much a cache keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all responses and their keys. A single response may exceed it, if
    /// [`entry_bytes`](Self::entry_bytes) allows; it is then the only one.
    pub bytes: usize,
    /// Bytes of one response and its key.
    pub entry_bytes: usize,
    /// Number of responses.
    pub entries: usize,
}

/// Responses by key.
pub struct ResponseCache<R> {
    limits: Limits,
    entries: Mutex<Entries<R>>,
}

struct Entries<R> {
    bytes: usize,
    by_key: HashMap<Box<str>, Entry<R>>,
}

struct Entry<R> {
    response: Arc<R>,
    bytes: usize,
}

impl<R> Default for Entries<R> {
    fn default() -> Self {
        Self {
            bytes: 0,
            by_key: HashMap::new(),
        }
    }
}

impl<R> fmt::Debug for ResponseCache<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.entries();
        f.debug_struct("ResponseCache")
            .field("limits", &self.limits)
            .field("bytes", &entries.bytes)
            .field("entries", &entries.by_key.len())
            .finish()
    }
}

impl<R> ResponseCache<R> {
    /// Creates an empty cache.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            entries: Mutex::default(),
        }
    }

    /// Drops all responses.
    pub fn clear(&self) {
        *self.entries() = Entries::default();
    }

    fn entries(&self) -> MutexGuard<'_, Entries<R>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: Cacheable> ResponseCache<R> {
    /// Returns the response with a key, if it was made from this version of the data.
    #[must_use]
    pub fn get(&self, key: &str, version: &R::Version) -> Option<Arc<R>> {
        let response = Arc::clone(&self.entries().by_key.get(key)?.response);
        // Versions can be megabytes of data, so they are compared without the lock.
        (response.version() == version).then_some(response)
    }

    /// Keeps a response, unless it is too large.
    pub fn insert(&self, key: &str, response: &Arc<R>) {
        let bytes = response.size_bytes() + key.len();
        if bytes > self.limits.entry_bytes {
            return;
        }
        let mut entries = self.entries();
        if let Some(previous) = entries.by_key.remove(key) {
            entries.bytes -= previous.bytes;
        }
        if !entries.have_room(bytes, &self.limits) {
            entries.retain(|kept| kept.version() == response.version());
        }
        if !entries.have_room(bytes, &self.limits) {
            *entries = Entries::default();
        }
        entries.bytes += bytes;
        let entry = Entry {
            response: Arc::clone(response),
            bytes,
        };
        entries.by_key.insert(key.into(), entry);
    }
}

impl<R> Entries<R> {
    fn have_room(&self, bytes: usize, limits: &Limits) -> bool {
        self.bytes.saturating_add(bytes) <= limits.bytes && self.by_key.len() < limits.entries
    }

    fn retain(&mut self, keeps: impl Fn(&R) -> bool) {
        let mut freed = 0;
        self.by_key.retain(|_, entry| {
            let kept = keeps(&entry.response);
            freed += if kept { 0 } else { entry.bytes };
            kept
        });
        self.bytes -= freed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        bytes: 1_000,
        entry_bytes: 400,
        entries: 10,
    };

    struct Response {
        version: u64,
        bytes: usize,
    }

    impl Cacheable for Response {
        type Version = u64;

        fn version(&self) -> &u64 {
            &self.version
        }

        fn size_bytes(&self) -> usize {
            self.bytes
        }
    }

    fn response(version: u64, bytes: usize) -> Arc<Response> {
        Arc::new(Response { version, bytes })
    }

    #[test]
    fn a_response_is_returned_for_its_own_version_only() {
        let cache = ResponseCache::new(LIMITS);
        cache.insert("q", &response(7, 10));
        assert!(cache.get("q", &7).is_some());
        assert!(cache.get("q", &8).is_none());
        assert!(cache.get("other", &7).is_none());
        cache.insert("r", &response(8, 10));
        assert!(cache.get("q", &8).is_none());
        cache.insert("late", &response(7, 10));
        assert!(cache.get("r", &8).is_some());
        assert!(cache.get("late", &8).is_none());
        cache.clear();
        assert!(cache.get("r", &8).is_none());
    }

    #[test]
    fn memory_stays_bounded_and_counted_for_any_sequence_of_requests() {
        let cache = ResponseCache::new(LIMITS);
        for number in 0..3_000_u64 {
            let bytes = if number % 2 == 0 { 380 } else { 5 };
            let key = format!("q{}", number % 20);
            cache.insert(&key, &response(number / 100, bytes));
            let entries = cache.entries();
            assert!(entries.bytes <= LIMITS.bytes && entries.by_key.len() <= LIMITS.entries);
            let counted =
                (entries.by_key.iter()).map(|(key, entry)| key.len() + entry.response.bytes);
            assert_eq!(counted.sum::<usize>(), entries.bytes);
        }
        cache.insert("huge", &response(1, 400));
        assert!(cache.get("huge", &1).is_none());
    }

    #[test]
    fn out_of_date_responses_are_dropped_first() {
        let cache = ResponseCache::new(LIMITS);
        for old in ["a", "b"] {
            cache.insert(old, &response(1, 350));
        }
        cache.insert("c", &response(2, 250));
        cache.insert("d", &response(2, 350));
        assert!(cache.get("a", &1).is_none() && cache.get("b", &1).is_none());
        assert!(cache.get("c", &2).is_some() && cache.get("d", &2).is_some());
    }

    #[test]
    fn a_response_larger_than_all_others_together_may_be_allowed_alone() {
        let limits = Limits {
            entry_bytes: usize::MAX,
            ..LIMITS
        };
        let cache = ResponseCache::new(limits);
        cache.insert("small", &response(1, 10));
        cache.insert("large", &response(1, 5_000));
        assert!(cache.get("large", &1).is_some());
        assert!(cache.get("small", &1).is_none());
    }
}
