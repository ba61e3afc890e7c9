//! Single flight: however many callers wait for a resource, one request for it is under way.
//!
//! A caller that needs an answer to a request no older than some time joins the request under
//! way if that one is recent enough. All others wait for the next one together.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// Which request a caller waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined {
    /// The request under way.
    Current,
    /// The next request.
    Next,
}

#[derive(Debug)]
struct Flight<W> {
    began: Option<Duration>,
    current: Vec<W>,
    next: Vec<W>,
    held_until: Duration,
}

/// The shared requests of one remote.
#[derive(Debug)]
pub struct SingleFlight<K, W> {
    by_key: HashMap<K, Flight<W>>,
}

impl<K, W> Default for SingleFlight<K, W> {
    fn default() -> Self {
        Self {
            by_key: HashMap::new(),
        }
    }
}

impl<K: Eq + Hash + Clone, W> SingleFlight<K, W> {
    fn entry(&mut self, key: &K) -> &mut Flight<W> {
        self.by_key.entry(key.clone()).or_insert_with(|| Flight {
            began: None,
            current: Vec::new(),
            next: Vec::new(),
            held_until: Duration::ZERO,
        })
    }

    /// Adds a caller that waits for a request that began at or after `not_before`.
    pub fn join(&mut self, key: &K, not_before: Duration, waiter: W) -> Joined {
        let flight = self.entry(key);
        if flight.began.is_some_and(|began| began >= not_before) {
            flight.current.push(waiter);
            Joined::Current
        } else {
            flight.next.push(waiter);
            Joined::Next
        }
    }

    /// Returns whether a request for `key` is under way.
    #[must_use]
    pub fn in_flight(&self, key: &K) -> bool {
        self.by_key.get(key).is_some_and(|f| f.began.is_some())
    }

    /// Returns whether callers wait for the request for `key` that is under way.
    #[must_use]
    pub fn is_awaited(&self, key: &K) -> bool {
        let flight = self.by_key.get(key);
        flight.is_some_and(|flight| !flight.current.is_empty())
    }

    /// Returns the keys whose next request may start now and has callers.
    #[must_use]
    pub fn ready(&self, now: Duration) -> Vec<K> {
        self.by_key
            .iter()
            .filter(|(_, f)| f.began.is_none() && !f.next.is_empty() && f.held_until <= now)
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// Returns when the first of the requests that are held back may start.
    #[must_use]
    pub fn next_release(&self, now: Duration) -> Option<Duration> {
        self.by_key
            .values()
            .filter(|f| f.began.is_none() && !f.next.is_empty() && f.held_until > now)
            .map(|f| f.held_until)
            .min()
    }

    /// Starts a request for all who wait and those who join later.
    pub fn start(&mut self, key: &K, now: Duration) {
        let flight = self.entry(key);
        flight.began = Some(now);
        let waiting = std::mem::take(&mut flight.next);
        flight.current.extend(waiting);
    }

    /// Ends the request and returns the callers that waited for it.
    pub fn finish(&mut self, key: &K) -> Vec<W> {
        let Some(flight) = self.by_key.get_mut(key) else {
            return Vec::new();
        };
        flight.began = None;
        let done = std::mem::take(&mut flight.current);
        if flight.next.is_empty() {
            self.by_key.remove(key);
        }
        done
    }

    /// Ends the request without an answer: all wait for another one, not before `until`.
    pub fn retry(&mut self, key: &K, until: Duration) {
        let flight = self.entry(key);
        flight.began = None;
        flight.held_until = until;
        let waiting = std::mem::take(&mut flight.current);
        flight.next.extend(waiting);
        if flight.next.is_empty() {
            self.by_key.remove(key);
        }
    }

    /// Returns the callers that wait for a request that has not started, and forgets them.
    pub fn take_queued(&mut self, key: &K) -> Vec<W> {
        let Some(flight) = self.by_key.get_mut(key) else {
            return Vec::new();
        };
        let waiting = std::mem::take(&mut flight.next);
        if flight.began.is_none() {
            self.by_key.remove(key);
        }
        waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn callers_that_come_after_the_start_share_exactly_one_next_request() {
        let mut flights = SingleFlight::default();
        assert_eq!(flights.join(&"runs", at(1), 1), Joined::Next);
        assert_eq!(flights.ready(at(1)), ["runs"]);
        flights.start(&"runs", at(1));
        assert_eq!(flights.join(&"runs", at(1), 2), Joined::Current);
        assert_eq!(flights.join(&"runs", at(2), 3), Joined::Next);
        assert_eq!(flights.join(&"runs", at(2), 4), Joined::Next);
        assert!(flights.ready(at(2)).is_empty());
        assert_eq!(flights.finish(&"runs"), [1, 2]);
        assert_eq!(flights.ready(at(3)), ["runs"]);
        flights.start(&"runs", at(3));
        assert_eq!(flights.finish(&"runs"), [3, 4]);
        assert!(flights.by_key.is_empty());
    }

    #[test]
    fn a_retried_request_keeps_its_callers() {
        let mut flights = SingleFlight::default();
        flights.join(&7, at(1), 'a');
        flights.start(&7, at(1));
        flights.retry(&7, at(3));
        assert!(flights.ready(at(2)).is_empty());
        assert_eq!(flights.next_release(at(2)), Some(at(3)));
        assert_eq!(flights.ready(at(3)), [7]);
        flights.start(&7, at(3));
        assert_eq!(flights.finish(&7), ['a']);
    }
}
