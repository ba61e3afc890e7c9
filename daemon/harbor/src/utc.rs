//! Instants in UTC.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// An instant in microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Utc(pub(crate) i64);

impl Utc {
    /// Returns whole milliseconds since 1970.
    pub(crate) fn millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Returns the seconds from `earlier` to `self`, unless they are negative.
    pub(crate) fn seconds_since(self, earlier: Utc) -> Option<f64> {
        let us = self.0.checked_sub(earlier.0)?;
        (us >= 0).then_some(us as f64 / 1e6)
    }

    /// Returns how far apart two instants are, in microseconds.
    pub(crate) fn distance_us(self, other: Utc) -> i64 {
        self.0.saturating_sub(other.0).saturating_abs()
    }
}

impl Serialize for Utc {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match Timestamp::from_microsecond(self.0) {
            Ok(instant) => serializer.collect_str(&format_args!("{instant:.6}")),
            Err(_) => serializer.serialize_none(),
        }
    }
}
