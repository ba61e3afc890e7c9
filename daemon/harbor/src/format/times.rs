//! Times of a job in UTC, although Harbor writes some of them in local time without an offset.
//!
//! The offset is not in any file. It is recovered by holding a local time
//! against a UTC one that was written at about the same moment.

use jiff::{Timestamp, civil, tz::TimeZone};
use serde::{Serialize, Serializer};

/// An instant in microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Utc(pub(crate) i64);

/// One minute.
const MINUTE_US: i64 = 60_000_000;
/// Offsets are whole quarters of an hour.
const QUARTER_US: i64 = 15 * MINUTE_US;
/// A job's end can precede its last trial's by no more than the clock's jumps, …
const EARLY_US: i64 = 5 * MINUTE_US;
/// … and follows it closely; an hour later is a change of clocks.
const LATE_US: i64 = 50 * MINUTE_US;
/// No place on Earth is further behind or ahead.
const FURTHEST_US: i64 = 15 * 60 * MINUTE_US;

impl Utc {
    /// Returns whole milliseconds.
    pub(crate) fn millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Returns the seconds from `earlier` to `self`, if they are not negative.
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

/// A time as it stands in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// With an offset or `Z`.
    Utc(Utc),
    /// Without: microseconds as if it were UTC.
    Local(i64),
}

impl Written {
    /// Reads ISO 8601; `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(instant) = text.parse::<Timestamp>() {
            return Some(Written::Utc(Utc(instant.as_microsecond())));
        }
        let local = text.parse::<civil::DateTime>().ok()?;
        let as_utc = TimeZone::UTC.to_timestamp(local).ok()?;
        Some(Written::Local(as_utc.as_microsecond()))
    }

    /// Reads the instant of a time that is always written with an offset.
    pub(crate) fn utc(text: &str) -> Option<Utc> {
        match Self::parse(text)? {
            Written::Utc(instant) => Some(instant),
            Written::Local(as_if) => Some(Utc(as_if)),
        }
    }

    /// Returns the instant, given how far local time was ahead of UTC.
    fn with_offset(self, ahead_us: Option<i64>) -> Option<Utc> {
        match self {
            Written::Utc(instant) => Some(instant),
            Written::Local(as_if) => Some(Utc(as_if.checked_sub(ahead_us?)?)),
        }
    }
}

/// What is known of a job's times.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Clues {
    /// `started_at` of the job.
    pub(crate) started: Option<Written>,
    /// `updated_at` of the job.
    pub(crate) updated: Option<Written>,
    /// `finished_at` of the job.
    pub(crate) finished: Option<Written>,
    /// `created_at` of its lock, written within a tenth of a second of `started_at`.
    pub(crate) lock_created: Option<Utc>,
    /// Earliest start of a trial.
    pub(crate) first_trial: Option<Utc>,
    /// Latest end of a trial.
    pub(crate) last_trial: Option<Utc>,
    /// Modification time of `result.json`, or of what there is of the job.
    pub(crate) modified: Option<Utc>,
}

/// A job's times in UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct JobTimes {
    /// When it started.
    pub(crate) started: Option<Utc>,
    /// When Harbor last wrote of it.
    pub(crate) updated: Option<Utc>,
    /// When it finished.
    pub(crate) finished: Option<Utc>,
}

impl Clues {
    /// Works the times out.
    pub(crate) fn solve(&self) -> JobTimes {
        let references = [self.lock_created, self.first_trial, self.modified];
        let start_offset = self.started.and_then(|t| offset(t, &references));
        let started = self
            .started
            .and_then(|t| t.with_offset(start_offset))
            .or(self.lock_created)
            .or(self.first_trial)
            .or(self.modified);
        let finished = self.finished.and_then(|t| self.end(t, start_offset));
        let updated = if self.updated == self.finished {
            finished
        } else {
            // Local only in the first write after a start, so the start's zone holds.
            self.updated.and_then(|t| t.with_offset(start_offset))
        };
        JobTimes {
            started,
            updated,
            finished,
        }
    }

    /// Reads the end of the job. Its zone may differ from the start's: clocks change, and a job can
    /// be resumed elsewhere. Harbor writes it right after the last trial, so that decides.
    fn end(&self, written: Written, start_offset: Option<i64>) -> Option<Utc> {
        let by_start = written.with_offset(start_offset);
        let by = |reference| written.with_offset(offset(written, &[reference]));
        match (by_start, self.last_trial) {
            (Some(time), Some(last))
                if (-EARLY_US..LATE_US).contains(&time.0.saturating_sub(last.0)) =>
            {
                by_start
            }
            (_, Some(_)) => by(self.last_trial).or(by_start),
            (Some(_), None) => by_start,
            (None, None) => by(self.modified),
        }
    }
}

/// Returns how far local time was ahead of UTC, by the first reference that gives a possible answer.
fn offset(written: Written, references: &[Option<Utc>]) -> Option<i64> {
    let Written::Local(as_if) = written else {
        return None;
    };
    references.iter().flatten().find_map(|reference| {
        let ahead = as_if.checked_sub(reference.0)?;
        let quarters = ahead.checked_add(QUARTER_US / 2)?.div_euclid(QUARTER_US);
        let rounded = quarters.checked_mul(QUARTER_US)?;
        (rounded.abs() <= FURTHEST_US).then_some(rounded)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Option<Written> {
        Some(Written::parse(text).unwrap())
    }

    fn utc(text: &str) -> Option<Utc> {
        Some(Written::utc(text).unwrap())
    }

    #[test]
    fn winter_and_july_have_their_own_offset() {
        for (local, lock, expected) in [
            (
                "2026-11-23T16:43:17.147773",
                "2026-11-23T21:43:17.169613Z",
                "2026-11-23T21:43:17.147773Z",
            ),
            (
                "2026-07-04T16:43:17.147773",
                "2026-07-04T20:43:17.2Z",
                "2026-07-04T20:43:17.147773Z",
            ),
            (
                "2026-07-04T02:28:00",
                "2026-07-03T20:43:00.1Z",
                "2026-07-03T20:43:00.000000Z",
            ),
            (
                "2026-01-01T00:00:01",
                "2026-01-01T00:00:01.05Z",
                "2026-01-01T00:00:01.000000Z",
            ),
        ] {
            let times = Clues {
                started: written(local),
                lock_created: utc(lock),
                ..Clues::default()
            }
            .solve();
            assert_eq!(serde_json::to_value(times.started).unwrap(), expected);
        }
    }

    #[test]
    fn an_end_in_another_zone_follows_the_last_trial() {
        // Clocks went back from -4 to -5 while the job ran.
        let times = Clues {
            started: written("2026-11-01T00:30:00"),
            finished: written("2026-11-01T02:10:00.5"),
            updated: written("2026-11-01T07:09:00Z"),
            lock_created: utc("2026-11-01T04:30:00Z"),
            last_trial: utc("2026-11-01T07:10:00Z"),
            ..Clues::default()
        }
        .solve();
        assert_eq!(times.started, utc("2026-11-01T04:30:00Z"));
        assert_eq!(times.finished, utc("2026-11-01T07:10:00.5Z"));
        assert_eq!(times.updated, utc("2026-11-01T07:09:00Z"));
    }

    #[test]
    fn without_lock_the_trials_and_then_the_file_time_give_the_offset() {
        let mut clues = Clues {
            started: written("2026-11-23T16:43:17"),
            first_trial: utc("2026-11-23T21:43:19Z"),
            ..Clues::default()
        };
        assert_eq!(clues.solve().started, utc("2026-11-23T21:43:17Z"));
        clues.first_trial = None;
        clues.modified = utc("2026-11-23T21:44:00Z");
        assert_eq!(clues.solve().started, utc("2026-11-23T21:43:17Z"));
        // A copy made days later says nothing of the offset; its time is all there is.
        clues.modified = utc("2026-12-24T00:00:00Z");
        assert_eq!(clues.solve().started, clues.modified);
    }
}
