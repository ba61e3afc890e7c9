//! Single flight: however many wait for a resource, one request is under way for it.
//!
//! Who asks for an answer that began no earlier than some time joins the flight
//! under way only if that one did; else all such wait for the next one together.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// What became of one who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined {
    /// The flight under way will do.
    Current,
    /// It waits for the next flight.
    Next,
}

#[derive(Debug)]
struct Flight<W> {
    began: Option<Duration>,
    current: Vec<W>,
    next: Vec<W>,
    held_until: Duration,
}

/// All flights of one remote.
#[derive(Debug)]
pub struct Flights<K, W> {
    by_key: HashMap<K, Flight<W>>,
}

impl<K, W> Default for Flights<K, W> {
    fn default() -> Self {
        Self {
            by_key: HashMap::new(),
        }
    }
}

impl<K: Eq + Hash + Clone, W> Flights<K, W> {
    fn entry(&mut self, key: &K) -> &mut Flight<W> {
        self.by_key.entry(key.clone()).or_insert_with(|| Flight {
            began: None,
            current: Vec::new(),
            next: Vec::new(),
            held_until: Duration::ZERO,
        })
    }

    /// Adds one who waits for an answer that began at or after `not_before`.
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

    /// Tells whether a flight for `key` is under way.
    #[must_use]
    pub fn flying(&self, key: &K) -> bool {
        self.by_key.get(key).is_some_and(|f| f.began.is_some())
    }

    /// Tells whether anybody waits for `key`.
    #[must_use]
    pub fn wanted(&self, key: &K) -> bool {
        self.by_key
            .get(key)
            .is_some_and(|f| !f.current.is_empty() || !f.next.is_empty())
    }

    /// Returns what can begin now because somebody waits for it.
    #[must_use]
    pub fn ready(&self, now: Duration) -> Vec<K> {
        self.by_key
            .iter()
            .filter(|(_, f)| f.began.is_none() && !f.next.is_empty() && f.held_until <= now)
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// Returns when the first of those that are held back may begin.
    #[must_use]
    pub fn next_release(&self, now: Duration) -> Option<Duration> {
        self.by_key
            .values()
            .filter(|f| f.began.is_none() && !f.next.is_empty() && f.held_until > now)
            .map(|f| f.held_until)
            .min()
    }

    /// Begins a flight, for all who wait and for those who join.
    pub fn begin(&mut self, key: &K, now: Duration) {
        let flight = self.entry(key);
        flight.began = Some(now);
        let waiting = std::mem::take(&mut flight.next);
        flight.current.extend(waiting);
    }

    /// Ends the flight and hands out those who waited for it.
    pub fn end(&mut self, key: &K) -> Vec<W> {
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

    /// Ends the flight without an answer: all wait for another one, not before `until`.
    pub fn again(&mut self, key: &K, until: Duration) {
        let flight = self.entry(key);
        flight.began = None;
        flight.held_until = until;
        let waiting = std::mem::take(&mut flight.current);
        flight.next.extend(waiting);
        if flight.next.is_empty() {
            self.by_key.remove(key);
        }
    }

    /// Hands out those who wait for a flight that has not begun.
    pub fn refuse_waiting(&mut self, key: &K) -> Vec<W> {
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
    fn who_asks_after_the_start_gets_exactly_one_next_flight() {
        let mut flights = Flights::default();
        assert_eq!(flights.join(&"runs", at(1), 1), Joined::Next);
        assert_eq!(flights.ready(at(1)), ["runs"]);
        flights.begin(&"runs", at(1));
        assert_eq!(flights.join(&"runs", at(1), 2), Joined::Current);
        assert_eq!(flights.join(&"runs", at(2), 3), Joined::Next);
        assert_eq!(flights.join(&"runs", at(2), 4), Joined::Next);
        assert!(flights.ready(at(2)).is_empty());
        assert_eq!(flights.end(&"runs"), [1, 2]);
        assert_eq!(flights.ready(at(3)), ["runs"]);
        flights.begin(&"runs", at(3));
        assert_eq!(flights.end(&"runs"), [3, 4]);
        assert!(flights.by_key.is_empty());
    }

    #[test]
    fn a_doubted_answer_keeps_its_waiters_for_the_next_one() {
        let mut flights = Flights::default();
        flights.join(&7, at(1), 'a');
        flights.begin(&7, at(1));
        flights.again(&7, at(3));
        assert!(flights.ready(at(2)).is_empty());
        assert_eq!(flights.next_release(at(2)), Some(at(3)));
        assert_eq!(flights.ready(at(3)), [7]);
        flights.begin(&7, at(3));
        assert_eq!(flights.end(&7), ['a']);
    }
}
