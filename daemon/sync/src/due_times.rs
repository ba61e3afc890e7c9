//! When each resource was last requested, and when it may be requested again.

use std::collections::HashMap;
use std::time::Duration;

use super::fetch_key::FetchKey;

/// Number of entries beyond which old ones are dropped.
const MAX_ENTRIES: usize = 20_000;
/// Age of entries that may be dropped.
const EXPIRES_AFTER: Duration = Duration::from_secs(900);

/// Timing of one resource.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timing {
    /// When the last answered request began.
    pub began: Option<Duration>,
    /// Random number between 0 and 1, new with each answer, that chooses the jitter of the next.
    pub random: f64,
    /// Number of failures in a row.
    pub failures: u32,
    /// Not requested before this time.
    pub blocked_until: Duration,
    /// An empty answer was not believed.
    pub doubted: bool,
    /// How often the same was requested once more, because the mirror did not have what the answer said.
    pub looks: u8,
}

impl Timing {
    /// Returns when an interval since the last answer ends.
    #[must_use]
    pub fn after(&self, interval: Duration, jitter: Jitter) -> Duration {
        let factor = jitter.min + (jitter.max - jitter.min) * self.random;
        let interval = interval.mul_f64(factor);
        self.began.map_or(Duration::ZERO, |began| began + interval)
    }
}

/// How far an interval may be shortened and lengthened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jitter {
    /// Smallest factor.
    pub min: f64,
    /// Largest factor.
    pub max: f64,
}

impl Jitter {
    /// Both ways, so that the mean stays.
    pub const BOTH: Jitter = Jitter {
        min: 0.95,
        max: 1.05,
    };
    /// Only longer, where the interval is a promise to the remote.
    pub const LONGER: Jitter = Jitter { min: 1.0, max: 1.1 };
    /// None: reading local files needs no spreading.
    pub const NONE: Jitter = Jitter { min: 1.0, max: 1.0 };
}

/// Timing of all resources.
#[derive(Debug, Clone, Default)]
pub struct DueTimes {
    entries: HashMap<FetchKey, Timing>,
}

impl DueTimes {
    /// Returns the timing of a resource.
    #[must_use]
    pub fn get(&self, key: &FetchKey) -> Timing {
        self.entries.get(key).copied().unwrap_or_default()
    }

    /// Returns the timing of a resource, to change it.
    pub fn entry(&mut self, key: &FetchKey) -> &mut Timing {
        self.entries.entry(key.clone()).or_default()
    }

    /// Returns when a resource that is polled every `interval` is due.
    #[must_use]
    pub fn due(&self, key: &FetchKey, interval: Duration, jitter: Jitter) -> Duration {
        let entry = self.get(key);
        entry.after(interval, jitter).max(entry.blocked_until)
    }

    /// Records an answer to a request that began at this time.
    pub fn record_answer(&mut self, key: &FetchKey, began: Duration, random: f64) {
        let entry = self.entry(key);
        entry.began = Some(entry.began.map_or(began, |b| b.max(began)));
        entry.random = random;
        entry.failures = 0;
        entry.blocked_until = Duration::ZERO;
    }

    /// Records a failure; `wait` turns the number of failures into a pause.
    pub fn record_failure(
        &mut self,
        key: &FetchKey,
        now: Duration,
        wait: impl Fn(u32) -> Duration,
    ) {
        let entry = self.entry(key);
        entry.failures = entry.failures.saturating_add(1);
        entry.blocked_until = now + wait(entry.failures);
    }

    /// Makes a resource due at once.
    pub fn make_due(&mut self, key: &FetchKey) {
        let entry = self.entry(key);
        entry.began = None;
        entry.blocked_until = Duration::ZERO;
    }

    /// Lets a resource be requested at once whose last request failed, as if it never had.
    pub fn forget_failures(&mut self, key: &FetchKey) {
        if let Some(entry) = self.entries.get_mut(key)
            && entry.failures > 0
        {
            entry.failures = 0;
            entry.blocked_until = Duration::ZERO;
        }
    }

    /// Lets trials be requested at once whose last request failed: a run that was gone may be back.
    pub fn retry_failed_trials(&mut self) {
        for (key, timing) in &mut self.entries {
            if matches!(key, FetchKey::Trials(_)) && timing.failures > 0 {
                timing.blocked_until = Duration::ZERO;
            }
        }
    }

    /// Returns the number of resources whose last request failed.
    #[must_use]
    pub fn failing_count(&self) -> usize {
        self.entries.values().filter(|e| e.failures > 0).count()
    }

    /// Drops entries that no longer matter, if there are many.
    pub fn prune(&mut self, now: Duration) {
        if self.entries.len() > MAX_ENTRIES {
            self.entries.retain(|_, e| {
                e.blocked_until > now
                    || e.began
                        .is_some_and(|b| now.saturating_sub(b) < EXPIRES_AFTER)
            });
        }
    }
}
