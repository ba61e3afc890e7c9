//! The times of a job in UTC, although Harbor writes some of them in local time without an offset.
//!
//! No file states the offset. It follows from a local time and a UTC time that were written at about
//! the same moment.

use crate::format::written_time::WrittenTime;
use crate::utc::Utc;

/// One minute.
const MINUTE_US: i64 = 60_000_000;
/// UTC offsets are multiples of a quarter of an hour.
const QUARTER_US: i64 = 15 * MINUTE_US;
/// A job ends at most this long before its last trial, if the clock was set back, …
const MAX_BEFORE_LAST_TRIAL_US: i64 = 5 * MINUTE_US;
/// … and at most this long after it; a longer time means that the UTC offset changed.
const MAX_AFTER_LAST_TRIAL_US: i64 = 50 * MINUTE_US;
/// The largest UTC offset that is accepted.
const MAX_OFFSET_US: i64 = 15 * 60 * MINUTE_US;

/// What the files of a job say about its times.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TimeEvidence {
    /// `started_at` of the job.
    pub(crate) started: Option<WrittenTime>,
    /// `updated_at` of the job.
    pub(crate) updated: Option<WrittenTime>,
    /// `finished_at` of the job.
    pub(crate) finished: Option<WrittenTime>,
    /// `created_at` of its lock, written within a tenth of a second of `started_at`.
    pub(crate) lock_created: Option<Utc>,
    /// Earliest start of a trial.
    pub(crate) first_trial: Option<Utc>,
    /// Latest end of a trial.
    pub(crate) last_trial: Option<Utc>,
    /// Modification time of `result.json`, or else of another file of the job.
    pub(crate) modified: Option<Utc>,
}

/// A job's times in UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct JobTimes {
    /// When it started.
    pub(crate) started: Option<Utc>,
    /// When Harbor last updated its result.
    pub(crate) updated: Option<Utc>,
    /// When it finished.
    pub(crate) finished: Option<Utc>,
}

impl TimeEvidence {
    /// Resolves local times to UTC, and fills in what is missing.
    pub(crate) fn resolve(&self) -> JobTimes {
        let references = [self.lock_created, self.first_trial, self.modified];
        let start_offset = self.started.and_then(|t| local_offset(t, &references));
        let started = self
            .started
            .and_then(|t| t.with_offset(start_offset))
            .or(self.lock_created)
            .or(self.first_trial)
            .or(self.modified);
        let finished = self
            .finished
            .and_then(|t| self.resolve_end(t, start_offset));
        let updated = if self.updated == self.finished {
            finished
        } else {
            // Harbor writes a local time only right after the start, so the same offset applies.
            self.updated.and_then(|t| t.with_offset(start_offset))
        };
        JobTimes {
            started,
            updated,
            finished,
        }
    }

    /// Resolves the end of the job. Its offset may differ from the one at the start: clocks change, and a
    /// job can be resumed elsewhere. Harbor writes the end right after the last trial, so that decides.
    fn resolve_end(&self, written: WrittenTime, start_offset: Option<i64>) -> Option<Utc> {
        let by_start = written.with_offset(start_offset);
        let by = |reference| written.with_offset(local_offset(written, &[reference]));
        match (by_start, self.last_trial) {
            (Some(time), Some(last))
                if (-MAX_BEFORE_LAST_TRIAL_US..MAX_AFTER_LAST_TRIAL_US)
                    .contains(&time.0.saturating_sub(last.0)) =>
            {
                by_start
            }
            (_, Some(_)) => by(self.last_trial).or(by_start),
            (Some(_), None) => by_start,
            (None, None) => by(self.modified),
        }
    }
}

/// Returns how far local time was ahead of UTC, in microseconds, by the first reference that gives
/// a plausible offset.
fn local_offset(written: WrittenTime, references: &[Option<Utc>]) -> Option<i64> {
    let WrittenTime::Local(as_if) = written else {
        return None;
    };
    references.iter().flatten().find_map(|reference| {
        let ahead = as_if.checked_sub(reference.0)?;
        let quarters = ahead.checked_add(QUARTER_US / 2)?.div_euclid(QUARTER_US);
        let rounded = quarters.checked_mul(QUARTER_US)?;
        (rounded.abs() <= MAX_OFFSET_US).then_some(rounded)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Option<WrittenTime> {
        Some(WrittenTime::parse(text).unwrap())
    }

    fn utc(text: &str) -> Option<Utc> {
        Some(WrittenTime::parse_utc(text).unwrap())
    }

    #[test]
    fn the_offset_of_each_season_is_recovered() {
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
            let times = TimeEvidence {
                started: written(local),
                lock_created: utc(lock),
                ..TimeEvidence::default()
            }
            .resolve();
            assert_eq!(serde_json::to_value(times.started).unwrap(), expected);
        }
    }

    #[test]
    fn an_end_with_another_offset_follows_the_last_trial() {
        // Clocks went back from -4 to -5 while the job ran.
        let times = TimeEvidence {
            started: written("2026-11-01T00:30:00"),
            finished: written("2026-11-01T02:10:00.5"),
            updated: written("2026-11-01T07:09:00Z"),
            lock_created: utc("2026-11-01T04:30:00Z"),
            last_trial: utc("2026-11-01T07:10:00Z"),
            ..TimeEvidence::default()
        }
        .resolve();
        assert_eq!(times.started, utc("2026-11-01T04:30:00Z"));
        assert_eq!(times.finished, utc("2026-11-01T07:10:00.5Z"));
        assert_eq!(times.updated, utc("2026-11-01T07:09:00Z"));
    }

    #[test]
    fn without_a_lock_the_trials_and_then_the_file_time_give_the_offset() {
        let mut clues = TimeEvidence {
            started: written("2026-11-23T16:43:17"),
            first_trial: utc("2026-11-23T21:43:19Z"),
            ..TimeEvidence::default()
        };
        assert_eq!(clues.resolve().started, utc("2026-11-23T21:43:17Z"));
        clues.first_trial = None;
        clues.modified = utc("2026-11-23T21:44:00Z");
        assert_eq!(clues.resolve().started, utc("2026-11-23T21:43:17Z"));
        // A copy made days later says nothing about the offset; its time is all that is known.
        clues.modified = utc("2026-12-24T00:00:00Z");
        assert_eq!(clues.resolve().started, clues.modified);
    }
}
