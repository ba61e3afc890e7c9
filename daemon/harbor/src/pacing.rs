//! Spacing scans out, so that a directory that changes all the time does not take a whole core.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Shortest time between an event and the scan: Harbor truncates, writes and closes, and several
/// files change together.
const MIN_WAIT: Duration = Duration::from_millis(20);
/// Longest time for which changes are gathered, …
const MAX_WAIT: Duration = Duration::from_millis(50);
/// … or longer after a scan that took long, up to this.
const MAX_WAIT_AFTER_LONG: Duration = Duration::from_millis(150);
/// Largest share of time that scans take while a directory changes all the time: one in this many.
const SHARE: u32 = 5;

/// Spaces scans out by what the last one cost.
#[derive(Debug, Default)]
pub(crate) struct ScanPacing(Mutex<Timing>);

#[derive(Debug, Default)]
struct Timing {
    is_following: bool,
    announced: Option<Instant>,
    cost: Duration,
}

impl ScanPacing {
    fn timing(&self) -> MutexGuard<'_, Timing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that the caller has processed the last changes; returns whether this is the first wait.
    pub(crate) fn begin_wait(&self, now: Instant) -> bool {
        let mut timing = self.timing();
        if let Some(at) = timing.announced.take() {
            timing.cost = now.saturating_duration_since(at);
        }
        !std::mem::replace(&mut timing.is_following, true)
    }

    /// Returns how long to wait before the changes are announced; the wait began at `begun`.
    pub(crate) fn remaining_wait(&self, begun: Instant, now: Instant) -> Duration {
        let cost = self.timing().cost;
        let longest = (cost * 3 / 2).clamp(MAX_WAIT, MAX_WAIT_AFTER_LONG);
        let pause = (cost * (SHARE - 1)).min(longest);
        pause
            .saturating_sub(now.saturating_duration_since(begun))
            .max(MIN_WAIT)
    }

    /// Records that changes are announced, after which the caller scans.
    pub(crate) fn announce(&self, now: Instant) {
        self.timing().announced = Some(now);
    }
}
