//! Times as Harbor writes them: some in UTC, some in local time without an offset.

use jiff::{Timestamp, civil, tz::TimeZone};

use crate::utc::Utc;

/// A time as a file states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WrittenTime {
    /// With an offset or `Z`.
    Utc(Utc),
    /// Without: its microseconds since 1970 if it were UTC.
    Local(i64),
}

impl WrittenTime {
    /// Parses ISO 8601; `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(instant) = text.parse::<Timestamp>() {
            return Some(WrittenTime::Utc(Utc(instant.as_microsecond())));
        }
        let local = text.parse::<civil::DateTime>().ok()?;
        let as_utc = TimeZone::UTC.to_timestamp(local).ok()?;
        Some(WrittenTime::Local(as_utc.as_microsecond()))
    }

    /// Parses a time that is always written with an offset.
    pub(crate) fn parse_utc(text: &str) -> Option<Utc> {
        Self::parse(text).map(Self::as_if_utc)
    }

    /// Parses the date with which a name begins, as in `2026-02-01__13-18-00`: local time.
    pub(crate) fn parse_name(name: &str) -> Option<Self> {
        const PATTERN: &[u8] = b"dddd-dd-dd__dd-dd-dd";
        let (date, after) = name.split_at_checked(PATTERN.len())?;
        let fits = |(found, wanted): (u8, &u8)| match wanted {
            b'd' => found.is_ascii_digit(),
            other => found == *other,
        };
        let follows_a_digit = after.starts_with(|c: char| c.is_ascii_digit());
        if !date.bytes().zip(PATTERN).all(fits) || follows_a_digit {
            return None;
        }
        let (day, time) = date.split_once("__")?;
        Self::parse(&format!("{day}T{}", time.replace('-', ":")))
    }

    /// Returns the instant if a time without an offset is in UTC.
    pub(crate) fn as_if_utc(self) -> Utc {
        match self {
            WrittenTime::Utc(instant) => instant,
            WrittenTime::Local(as_if) => Utc(as_if),
        }
    }

    /// Returns the instant, given by how many microseconds local time was ahead of UTC.
    pub(crate) fn with_offset(self, ahead_us: Option<i64>) -> Option<Utc> {
        match self {
            WrittenTime::Utc(instant) => Some(instant),
            WrittenTime::Local(as_if) => Some(Utc(as_if.checked_sub(ahead_us?)?)),
        }
    }
}
