//! A clock for tests.

use std::sync::Mutex;

use super::{Clock, Duration, UnixMs};

const START_MS: i64 = 1_764_000_000_000;

/// A clock that tests advance.
#[derive(Debug)]
pub(crate) struct ManualClock(Mutex<Times>);

#[derive(Debug)]
struct Times {
    mono: Duration,
    wall_ms: i64,
    /// Time since the test began, whatever the clocks of the machine show.
    real: Duration,
}

impl ManualClock {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Times {
            mono: Duration::from_secs(1_000),
            wall_ms: START_MS,
            real: Duration::ZERO,
        }))
    }

    pub(crate) fn advance(&self, by: Duration) {
        let mut times = self.0.lock().unwrap();
        times.mono += by;
        times.real += by;
        times.wall_ms += super::millis(by);
    }

    pub(crate) fn jump_wall(&self, by_ms: i64) {
        self.0.lock().unwrap().wall_ms += by_ms;
    }

    /// The machine boots: its monotonic clock starts again.
    pub(crate) fn reboot(&self) {
        self.0.lock().unwrap().mono = Duration::from_secs(9);
    }

    pub(crate) fn real(&self) -> Duration {
        self.0.lock().unwrap().real
    }

    /// Returns how far ahead a timestamp of now is, in milliseconds.
    pub(crate) fn error_ms(&self, stamp: UnixMs) -> i64 {
        stamp.0 - START_MS - super::millis(self.real())
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> UnixMs {
        UnixMs(self.0.lock().unwrap().wall_ms)
    }

    fn monotonic(&self) -> Duration {
        self.0.lock().unwrap().mono
    }
}
