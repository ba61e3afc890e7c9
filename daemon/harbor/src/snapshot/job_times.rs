//! The times of a job in UTC, although Harbor writes some of them in local time without an offset.
//!
//! No file states the offset. It follows from a local time and a UTC time that were written at about
//! the same moment. Where there is no such pair, as in a checkout that keeps no file times, UTC is assumed: hours off
//! at most, while the files' own times can be off by years.

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
/// A file is written at most this long after the time that is written in it. In a checkout the difference is
/// arbitrary, and seldom so close to a multiple of a quarter of an hour.
const MAX_WRITING_US: i64 = MINUTE_US;

/// What the files of a job say about its times.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TimeEvidence {
    /// `started_at` of the job.
    pub(crate) started: Option<WrittenTime>,
    /// `updated_at` of the job.
    pub(crate) updated: Option<WrittenTime>,
    /// `finished_at` of the job.
    pub(crate) finished: Option<WrittenTime>,
    /// The start that is part of the job's name.
    pub(crate) named: Option<WrittenTime>,
    /// `created_at` of its lock, written within a tenth of a second of `started_at`.
    pub(crate) lock_created: Option<Utc>,
    /// Earliest start of a trial, if that is in UTC.
    pub(crate) first_trial: Option<Utc>,
    /// Latest end of a trial, if that is in UTC.
    pub(crate) last_trial: Option<Utc>,
    /// Earliest start of a trial that states local time, as if that were UTC.
    pub(crate) first_local_trial: Option<Utc>,
    /// Modification time of `config.json`, which is written at the start.
    pub(crate) configured: Option<Utc>,
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
    /// Microseconds that local time was ahead of UTC at the start.
    pub(crate) ahead_us: i64,
    /// Whether some of the times are local, and UTC was assumed for want of evidence.
    pub(crate) is_zone_assumed: bool,
}

impl TimeEvidence {
    /// Resolves local times to UTC, and fills in what is missing.
    pub(crate) fn resolve(&self) -> JobTimes {
        let start = self.started.or(self.named);
        let known_offset = self.start_offset(start);
        // A job without a date of its own is as old as its first trial.
        let is_named_otherwise =
            self.started.is_none() && self.first_trial.is_some() && known_offset.is_none();
        let written_start = start.filter(|_| !is_named_otherwise);
        let first_local = self.first_local_trial;
        let any_local = [written_start, self.updated, self.finished]
            .iter()
            .flatten()
            .any(|time| matches!(time, WrittenTime::Local(_)))
            || first_local.is_some();
        let is_zone_assumed = any_local
            && known_offset.is_none()
            && !(self.started.is_none() && self.lock_created.is_some());
        let ahead_us = known_offset.unwrap_or(0);
        let start_offset = Some(ahead_us);
        let stated = self.started.and_then(|t| t.with_offset(start_offset));
        let started = stated
            .or(self.lock_created)
            .or_else(|| written_start.and_then(|t| t.with_offset(start_offset)))
            .or(self.first_trial)
            .or(first_local.map(|first| Utc(first.0.saturating_sub(ahead_us))))
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
            ahead_us,
            is_zone_assumed,
        }
    }

    /// Returns how far local time was ahead of UTC at the start; `None` if nothing says so.
    fn start_offset(&self, start: Option<WrittenTime>) -> Option<i64> {
        let later = [self.lock_created, self.first_trial];
        let by_later = start.and_then(|t| offset_before(t, &later));
        // What is written into a file is about as old as the file, unless it is a copy.
        let pairs = [
            (self.finished, self.modified),
            (self.updated, self.modified),
            (start, self.configured),
            (start, self.modified),
        ];
        by_later.or_else(|| {
            let mut pairs = pairs.into_iter();
            pairs.find_map(|(written, modified)| offset_of_file(written?, modified?))
        })
    }

    /// Resolves the end of the job. Its offset may differ from the one at the start: clocks change, and a
    /// job can be resumed elsewhere. Harbor writes the end right after the last trial, so that decides.
    fn resolve_end(&self, written: WrittenTime, start_offset: Option<i64>) -> Option<Utc> {
        let by_start = written.with_offset(start_offset);
        match (by_start, self.last_trial) {
            (Some(time), Some(last))
                if (-MAX_BEFORE_LAST_TRIAL_US..MAX_AFTER_LAST_TRIAL_US)
                    .contains(&time.0.saturating_sub(last.0)) =>
            {
                by_start
            }
            (_, Some(last)) => written
                .with_offset(offset_after(written, last))
                .or(by_start),
            (_, None) => by_start,
        }
    }
}

/// Returns how far local time was ahead of UTC, by the first reference that gives a plausible offset. The
/// references are a little later than the local time.
fn offset_before(written: WrittenTime, references: &[Option<Utc>]) -> Option<i64> {
    let as_if = local_us(written)?;
    references.iter().flatten().find_map(|reference| {
        let ahead = as_if.checked_sub(reference.0)?;
        // The reference is up to a quarter of an hour later, as when images are built first, but hardly earlier.
        let quarters = ahead
            .checked_sub(MAX_WRITING_US)?
            .checked_add(QUARTER_US - 1)?
            .div_euclid(QUARTER_US);
        plausible(quarters.checked_mul(QUARTER_US)?)
    })
}

/// Returns how far local time was ahead of UTC by a reference that is about as late.
fn offset_after(written: WrittenTime, reference: Utc) -> Option<i64> {
    plausible(rounded(local_us(written)?.checked_sub(reference.0)?)?)
}

/// Returns how far local time was ahead of UTC, if the file was written just after the time in it.
fn offset_of_file(written: WrittenTime, modified: Utc) -> Option<i64> {
    let ahead = local_us(written)?.checked_sub(modified.0)?;
    let offset = rounded(ahead)?;
    let took = offset.checked_sub(ahead)?;
    plausible(offset).filter(|_| (-MAX_WRITING_US..=MAX_WRITING_US).contains(&took))
}

fn rounded(ahead: i64) -> Option<i64> {
    let quarters = ahead.checked_add(QUARTER_US / 2)?.div_euclid(QUARTER_US);
    quarters.checked_mul(QUARTER_US)
}

fn plausible(offset: i64) -> Option<i64> {
    (offset.abs() <= MAX_OFFSET_US).then_some(offset)
}

fn local_us(written: WrittenTime) -> Option<i64> {
    match written {
        WrittenTime::Local(as_if) => Some(as_if),
        WrittenTime::Utc(_) => None,
    }
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
        assert!(!clues.resolve().is_zone_assumed);
        // A copy made days or some hours later says nothing about the offset.
        for modified in ["2026-12-24T00:00:00Z", "2026-11-24T02:38:00Z"] {
            clues.modified = utc(modified);
            clues.finished = written("2026-11-23T17:43:17");
            let times = clues.resolve();
            assert_eq!(times.started, utc("2026-11-23T16:43:17Z"), "{modified}");
            assert_eq!(times.finished, utc("2026-11-23T17:43:17Z"), "{modified}");
            assert!(times.is_zone_assumed);
        }
        // The end is as old as the file, but the start need not be.
        clues.modified = utc("2026-11-23T22:43:18Z");
        assert_eq!(clues.resolve().started, utc("2026-11-23T21:43:17Z"));
    }

    #[test]
    fn the_date_in_a_name_is_the_start_of_a_job_without_a_result() {
        let named = WrittenTime::parse_name("2026-02-01__13-18-00-map");
        let mut clues = TimeEvidence {
            named,
            configured: utc("2026-11-30T09:00:00Z"),
            modified: utc("2026-11-30T09:00:00Z"),
            ..TimeEvidence::default()
        };
        assert_eq!(clues.resolve().started, utc("2026-02-01T13:18:00Z"));
        assert!(clues.resolve().is_zone_assumed);
        clues.configured = utc("2026-02-01T18:18:01Z");
        assert_eq!(clues.resolve().started, utc("2026-02-01T18:18:00Z"));
        assert!(!clues.resolve().is_zone_assumed);
        // A slow first trial does not change the zone.
        clues.first_trial = utc("2026-02-01T18:30:00Z");
        assert_eq!(clues.resolve().started, utc("2026-02-01T18:18:00Z"));
        // Trials of another time prove that the name says nothing.
        clues.first_trial = utc("2025-02-01T18:30:00Z");
        clues.configured = None;
        assert_eq!(clues.resolve().started, clues.first_trial);
        for name in [
            "2026-02-01__13-18-001",
            "2026-02-31__13-18-00",
            "nightly",
            "é2026-02-01__13-1",
        ] {
            assert_eq!(WrittenTime::parse_name(name), None, "{name}");
        }
    }
}
