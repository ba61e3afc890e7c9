//! The engine's clocks: a wall clock that can jump and a monotonic clock that cannot.
//!
//! Everything is scheduled by the monotonic clock. Stored timestamps are wall time, but from
//! [`SteadyClock`], which follows the monotonic clock and never goes back: a row with a timestamp
//! in the future would refuse every later write.

#[cfg(test)]
pub(crate) mod manual;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use docks_proto::time::UnixMs;

/// The clocks that the engine reads.
pub trait Clock: Send + Sync + 'static {
    /// Returns the wall clock, which users and time servers set.
    fn wall(&self) -> UnixMs;
    /// Returns a clock that never goes back, and advances while the machine sleeps.
    fn monotonic(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall(&self) -> UnixMs {
        UnixMs::now()
    }

    fn monotonic(&self) -> Duration {
        // Linux stops its monotonic clock while the machine sleeps, but after sleep answers must
        // count as old.
        #[cfg(target_os = "linux")]
        const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Boottime;
        #[cfg(not(target_os = "linux"))]
        const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
        let time = rustix::time::clock_gettime(CLOCK);
        Duration::new(
            u64::try_from(time.tv_sec).unwrap_or(0),
            u32::try_from(time.tv_nsec).unwrap_or(0),
        )
    }
}

/// One reading of both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time, for schedules and ages.
    pub mono: Duration,
    /// Timestamp to store; never goes back.
    pub stamp: UnixMs,
}

/// How far the wall clock may run ahead before this counts as a jump.
const DRIFT: Duration = Duration::from_secs(1);
/// A jump beyond this counts as a mistake until it has lasted.
const IMPLAUSIBLE: Duration = Duration::from_secs(24 * 3_600);
/// How long an implausible wall clock must last before it is believed.
const BELIEVED_AFTER: Duration = Duration::from_secs(600);
/// Number of epochs kept for computing ages; older timestamps are measured by the wall clock.
const MAX_EPOCHS: usize = 16;

/// Period in which timestamps keep one distance to the monotonic clock.
#[derive(Debug, Clone, Copy)]
struct Epoch {
    from: Duration,
    /// Timestamp minus monotonic time, in milliseconds.
    offset_ms: i64,
}

/// Derives timestamps that never go back from both clocks, and ages from timestamps.
#[derive(Debug, Clone)]
pub struct SteadyClock {
    epochs: VecDeque<Epoch>,
    ahead_since: Option<Duration>,
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl SteadyClock {
    /// Starts at the wall clock, or at `floor`, the newest stored timestamp, if that is later.
    #[must_use]
    pub fn new(clock: &dyn Clock, floor: UnixMs) -> Self {
        let mono = clock.monotonic();
        let stamp = clock.wall().max(floor);
        Self {
            epochs: VecDeque::from([Epoch {
                from: mono,
                offset_ms: stamp.0.saturating_sub(millis(mono)),
            }]),
            ahead_since: None,
        }
    }

    fn current(&self) -> Epoch {
        *self.epochs.back().expect("there is always one epoch")
    }

    /// Reads both clocks.
    pub fn now(&mut self, clock: &dyn Clock) -> Now {
        let (mono, wall) = (clock.monotonic(), clock.wall());
        let stamp = UnixMs(self.current().offset_ms.saturating_add(millis(mono)));
        let ahead = wall.since(stamp);
        if ahead <= DRIFT {
            self.ahead_since = None;
            return Now { mono, stamp };
        }
        let since = *self.ahead_since.get_or_insert(mono);
        if ahead > IMPLAUSIBLE && mono.saturating_sub(since) < BELIEVED_AFTER {
            return Now { mono, stamp };
        }
        self.ahead_since = None;
        if self.epochs.len() == MAX_EPOCHS {
            self.epochs.pop_front();
        }
        self.epochs.push_back(Epoch {
            from: mono,
            offset_ms: wall.0.saturating_sub(millis(mono)),
        });
        Now { mono, stamp: wall }
    }

    /// Returns how long ago `stamp` was.
    ///
    /// Timestamps of this process are measured by the monotonic clock, whatever the wall clock did
    /// since, and older ones by the wall clock. One from the future is as old as this process.
    #[must_use]
    pub fn age(&self, stamp: UnixMs, mono: Duration) -> Duration {
        let mut until = mono;
        for epoch in self.epochs.iter().rev() {
            let at = stamp.0.saturating_sub(epoch.offset_ms);
            if at >= millis(epoch.from) && at <= millis(until).saturating_add(1) {
                let at = Duration::from_millis(u64::try_from(at).unwrap_or(0));
                return mono.saturating_sub(at);
            }
            until = epoch.from;
        }
        let now = UnixMs(self.current().offset_ms.saturating_add(millis(mono)));
        if stamp > now {
            let started = self.epochs.front().map_or(mono, |epoch| epoch.from);
            return mono.saturating_sub(started);
        }
        now.since(stamp)
    }
}
