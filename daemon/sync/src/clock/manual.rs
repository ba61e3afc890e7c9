//! A clock for tests.

use std::sync::Mutex;

use super::{Clock, Duration, UnixMs};

/// A clock that tests advance.
#[derive(Debug)]
pub(crate) struct ManualClock(Mutex<(Duration, i64)>);

impl ManualClock {
    pub(crate) fn new() -> Self {
        Self(Mutex::new((Duration::from_secs(1_000), 1_764_000_000_000)))
    }

    pub(crate) fn advance(&self, by: Duration) {
        let mut both = self.0.lock().unwrap();
        both.0 += by;
        both.1 += i64::try_from(by.as_millis()).unwrap();
    }

    pub(crate) fn jump_wall(&self, by_ms: i64) {
        self.0.lock().unwrap().1 += by_ms;
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> UnixMs {
        UnixMs(self.0.lock().unwrap().1)
    }

    fn monotonic(&self) -> Duration {
        self.0.lock().unwrap().0
    }
}
