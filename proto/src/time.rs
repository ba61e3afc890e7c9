//! Instants and durations, and the forms in which people write them.

use std::time::Duration;

use jiff::{Timestamp, civil};
use serde::{Deserialize, Serialize};

/// An instant in milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UnixMs(pub i64);

impl UnixMs {
    /// Reads the wall clock. Only `main.rs`, `config.rs` and clock types call it.
    #[must_use]
    pub fn now() -> Self {
        Self(Timestamp::now().as_millisecond())
    }

    /// Parses ISO 8601 with `Z`, with an offset, or with neither, which means UTC.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(instant) = text.parse::<Timestamp>() {
            return Some(Self(instant.as_millisecond()));
        }
        let naive = text.parse::<civil::DateTime>().ok()?;
        Some(Self(
            naive
                .to_zoned_datetime(jiff::tz::TimeZone::UTC)
                .ok()?
                .timestamp()
                .as_millisecond(),
        ))
    }

    /// Formats as RFC 3339 in UTC with milliseconds.
    #[must_use]
    pub fn rfc3339(self) -> String {
        Timestamp::from_millisecond(self.0)
            .map_or_else(|_| "invalid-time".to_owned(), |t| format!("{t:.3}"))
    }

    /// Returns the time from `earlier` to `self`; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: UnixMs) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Returns the instant `by` later.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// Returns the instant `by` earlier.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)),
        )
    }
}

/// Why a text is not a duration or not a point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: `{text}`; write for instance {example}")]
pub struct InvalidTime {
    what: &'static str,
    text: String,
    example: &'static str,
}

/// Parses `30s`, `5m`, `8h`, `2d`, `1w`, `1h30m`, or a bare number of seconds.
///
/// # Errors
///
/// [`InvalidTime`] for anything else, including negative durations and more than 100 years.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidTime> {
    let bad = || InvalidTime {
        what: "not a duration",
        text: text.to_owned(),
        example: "30s, 5m, 8h, 2d",
    };
    let trimmed = text.trim();
    if let Ok(seconds) = trimmed.parse::<u64>() {
        return bounded(seconds as f64).ok_or_else(bad);
    }
    let mut rest = trimmed;
    let mut seconds = 0f64;
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let is_digit = |c: char| c.is_ascii_digit() || c == '.';
        let after = rest.trim_start_matches(is_digit);
        let digits = rest.strip_suffix(after).filter(|_| !after.is_empty());
        let number: f64 = digits.ok_or_else(bad)?.parse().map_err(|_| bad())?;
        let unit = after.split(is_digit).next().unwrap_or(after);
        let factor = match unit.trim() {
            "ms" => 0.001,
            "s" | "sec" | "second" | "seconds" => 1.0,
            "m" | "min" | "minute" | "minutes" => 60.0,
            "h" | "hour" | "hours" => 3_600.0,
            "d" | "day" | "days" => 86_400.0,
            "w" | "week" | "weeks" => 604_800.0,
            _ => return Err(bad()),
        };
        seconds += number * factor;
        rest = after.strip_prefix(unit).unwrap_or_default();
    }
    bounded(seconds).ok_or_else(bad)
}

fn bounded(seconds: f64) -> Option<Duration> {
    const HUNDRED_YEARS_S: f64 = 3_155_760_000.0;
    (0.0..=HUNDRED_YEARS_S)
        .contains(&seconds)
        .then(|| Duration::from_secs_f64(seconds))
}

/// Parses a point in time: a duration before `now`, a date (midnight in `zone`), or ISO 8601.
///
/// A time without an offset is in `zone`, since people write the time of their own clock.
///
/// # Errors
///
/// [`InvalidTime`] for anything else.
pub fn parse_point_in_time(
    text: &str,
    now: UnixMs,
    zone: &jiff::tz::TimeZone,
) -> Result<UnixMs, InvalidTime> {
    let bad = || InvalidTime {
        what: "not a point in time",
        text: text.to_owned(),
        example: "8h, 2d, 2026-11-23, 2026-11-23T16:00:00Z, today, yesterday",
    };
    let trimmed = text.trim();
    let midnight = |date: civil::Date| {
        date.to_zoned_datetime(zone.clone())
            .map(|z| UnixMs(z.timestamp().as_millisecond()))
            .map_err(|_| bad())
    };
    let today = || {
        Timestamp::from_millisecond(now.0)
            .map(|t| t.to_zoned_datetime(zone.clone()).date())
            .map_err(|_| bad())
    };
    match trimmed {
        "now" => return Ok(now),
        "today" => return midnight(today()?),
        "yesterday" => return midnight(today()?.yesterday().map_err(|_| bad())?),
        _ => {}
    }
    if let Ok(instant) = trimmed.parse::<Timestamp>() {
        return Ok(UnixMs(instant.as_millisecond()));
    }
    if trimmed.contains(['T', ' ', ':'])
        && let Ok(naive) = trimmed.parse::<civil::DateTime>()
    {
        let zoned = naive.to_zoned_datetime(zone.clone()).map_err(|_| bad())?;
        return Ok(UnixMs(zoned.timestamp().as_millisecond()));
    }
    if let Ok(date) = trimmed.parse::<civil::Date>() {
        return midnight(date);
    }
    let ago = trimmed.strip_suffix("ago").unwrap_or(trimmed).trim();
    parse_duration(ago).map(|d| now.minus(d)).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        assert_eq!(parse_duration("90").unwrap(), Duration::from_secs(90));
        assert_eq!(parse_duration("1h30m").unwrap(), Duration::from_secs(5_400));
        assert_eq!(
            parse_duration("1.5d").unwrap(),
            Duration::from_secs(129_600)
        );
        for bad in ["", "-5s", "5 parsecs", "h", "1e99d", "nan"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn points_in_time_read_as_people_write_them() {
        let now = UnixMs::parse("2026-11-24T03:00:00Z").unwrap();
        let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(-5));
        let when = |text| parse_point_in_time(text, now, &zone).unwrap().rfc3339();
        assert_eq!(when("8h"), "2026-11-23T19:00:00.000Z");
        assert_eq!(when("2 days ago"), "2026-11-22T03:00:00.000Z");
        assert_eq!(when("today"), "2026-11-23T05:00:00.000Z");
        assert_eq!(when("2026-11-20"), "2026-11-20T05:00:00.000Z");
        assert_eq!(when("2026-11-20T08:00"), "2026-11-20T13:00:00.000Z");
        assert_eq!(
            when("2026-11-20T08:00:00+02:00"),
            "2026-11-20T06:00:00.000Z"
        );
        assert!(parse_point_in_time("next tuesday", now, &zone).is_err());
    }

    #[test]
    fn a_clock_that_was_set_back_gives_no_negative_age() {
        assert_eq!(UnixMs(5).since(UnixMs(9)), Duration::ZERO);
    }
}
