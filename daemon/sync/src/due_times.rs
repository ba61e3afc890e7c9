//! When what was last asked for, and until when it is left alone.

use std::collections::HashMap;
use std::time::Duration;

use super::task::FetchKey;

/// Entries beyond which old ones are dropped.
const MOST: usize = 20_000;
/// How old an entry without failures must be to be dropped.
const OLD: Duration = Duration::from_secs(900);

/// State of one resource.
#[derive(Debug, Clone, Copy, Default)]
pub struct Entry {
    /// When the last request that was answered began.
    pub began: Option<Duration>,
    /// Between 0 and 1, new with each answer: where in its jitter the next one lies.
    pub random: f64,
    /// Failures in a row.
    pub failures: u32,
    /// Not before this time.
    pub blocked_until: Duration,
    /// An empty answer was not believed.
    pub doubted: bool,
}

impl Entry {
    /// Returns when an interval since the last answer is over.
    #[must_use]
    pub fn after(&self, interval: Duration, jitter: Jitter) -> Duration {
        let factor = jitter.least + (jitter.most - jitter.least) * self.random;
        let interval = interval.mul_f64(factor);
        self.began.map_or(Duration::ZERO, |began| began + interval)
    }
}

/// How far an interval may be shortened and stretched.
#[derive(Debug, Clone, Copy)]
pub struct Jitter {
    /// Smallest factor.
    pub least: f64,
    /// Largest factor.
    pub most: f64,
}

impl Jitter {
    /// Both ways: the mean stays.
    pub const BOTH: Jitter = Jitter {
        least: 0.95,
        most: 1.05,
    };
    /// Only longer, where the interval is a promise to the remote.
    pub const LONGER: Jitter = Jitter {
        least: 1.0,
        most: 1.1,
    };
    /// None: files of one's own need no spreading.
    pub const NONE: Jitter = Jitter {
        least: 1.0,
        most: 1.0,
    };
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub struct Schedule {
    entries: HashMap<FetchKey, Entry>,
}

impl Schedule {
    /// Returns the state of a resource.
    #[must_use]
    pub fn get(&self, want: &FetchKey) -> Entry {
        self.entries.get(want).copied().unwrap_or_default()
    }

    /// Returns the state to change it.
    pub fn entry(&mut self, want: &FetchKey) -> &mut Entry {
        self.entries.entry(want.clone()).or_default()
    }

    /// Returns when a resource that is polled every `interval` is due.
    #[must_use]
    pub fn due(&self, want: &FetchKey, interval: Duration, jitter: Jitter) -> Duration {
        let entry = self.get(want);
        entry.after(interval, jitter).max(entry.blocked_until)
    }

    /// Notes an answer to a request that began then.
    pub fn answered(&mut self, want: &FetchKey, began: Duration, random: f64) {
        let entry = self.entry(want);
        entry.began = Some(entry.began.map_or(began, |b| b.max(began)));
        entry.random = random;
        entry.failures = 0;
        entry.blocked_until = Duration::ZERO;
    }

    /// Notes a failure; `wait` turns the number of failures into a pause.
    pub fn failed(&mut self, want: &FetchKey, now: Duration, wait: impl Fn(u32) -> Duration) {
        let entry = self.entry(want);
        entry.failures = entry.failures.saturating_add(1);
        entry.blocked_until = now + wait(entry.failures);
    }

    /// Makes a resource due at once.
    pub fn hasten(&mut self, want: &FetchKey) {
        let entry = self.entry(want);
        entry.began = None;
        entry.blocked_until = Duration::ZERO;
    }

    /// Returns how many failed when they were last asked for.
    #[must_use]
    pub fn failing(&self) -> usize {
        self.entries.values().filter(|e| e.failures > 0).count()
    }

    /// Drops what says nothing any more.
    pub fn prune(&mut self, now: Duration) {
        if self.entries.len() > MOST {
            self.entries.retain(|_, e| {
                e.blocked_until > now || e.began.is_some_and(|b| now.saturating_sub(b) < OLD)
            });
        }
    }
}
