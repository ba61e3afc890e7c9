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
/// The same limit at start: a machine may be off for some weeks.
const LONGEST_ABSENCE: Duration = Duration::from_secs(30 * 24 * 3_600);
/// How far the wall clock must be behind before stored timestamps are taken for the mistake. A
/// smaller difference passes by itself.
pub(super) const SET_BACK: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Age of what an earlier process stored while nothing tells how long ago that was. An answer of
/// this age is still sent by default, when the remote cannot be reached.
const UNKNOWN_AGE: Duration = Duration::from_secs(6 * 24 * 3_600);
/// Number of epochs kept for computing ages; older timestamps are measured by the wall clock.
const MAX_EPOCHS: usize = 16;

/// Period in which timestamps keep one distance to the monotonic clock.
#[derive(Debug, Clone, Copy)]
struct Epoch {
    from: Duration,
    /// Timestamp minus monotonic time, in milliseconds.
    offset_ms: i64,
}

impl Epoch {
    fn at(from: Duration, stamp: UnixMs) -> Self {
        Self {
            from,
            offset_ms: stamp.0.saturating_sub(millis(from)),
        }
    }

    fn stamp(self, mono: Duration) -> UnixMs {
        UnixMs(self.offset_ms.saturating_add(millis(mono)))
    }
}

/// What the mirror should remember of a wall clock that is or was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClockNote {
    /// When timestamps jumped, so that the age of what was stored before is doubtful.
    pub(super) jumped: Option<UnixMs>,
    /// Whether timestamps may be behind the time by an unknown amount, since they follow what is stored and not
    /// the wall clock: when that is right again, they will seem older than they are.
    pub(super) is_behind: bool,
}

/// Derives timestamps that never go back from both clocks, and ages from timestamps.
#[derive(Debug, Clone)]
pub struct SteadyClock {
    epochs: VecDeque<Epoch>,
    ahead_since: Option<Duration>,
    /// Since when the wall clock has been behind by more than [`SET_BACK`].
    behind_since: Option<Duration>,
    /// Whether the wall clock tells the age of what an earlier process stored.
    dates_stored: bool,
    /// From when on data may be deleted by its age.
    settled_from: Duration,
    /// Whether timestamps may be behind the time by an unknown amount.
    is_behind: bool,
    /// What is to be stored about that.
    note: Option<ClockNote>,
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl SteadyClock {
    /// Starts at the wall clock, or at `floor`, the newest stored timestamp, if that is later or the
    /// wall clock is implausibly far ahead of it. A `floor` of zero means that nothing is stored.
    #[must_use]
    pub fn new(clock: &dyn Clock, floor: UnixMs) -> Self {
        let (mono, wall) = (clock.monotonic(), clock.wall());
        let (ahead, behind) = (wall.since(floor), floor.since(wall));
        let is_held = floor > UnixMs(0) && ahead > LONGEST_ABSENCE;
        let is_unsure = floor > UnixMs(0) && ahead > IMPLAUSIBLE;
        // Later than all that is stored, whose age is measured in another way.
        let next = floor.plus(Duration::from_millis(1));
        let stamp = if is_held { next } else { wall.max(next) };
        // How long the machine was off is unknown.
        let is_behind = is_held || behind > IMPLAUSIBLE;
        Self {
            epochs: VecDeque::from([Epoch::at(mono, stamp)]),
            ahead_since: is_held.then_some(mono),
            behind_since: None,
            dates_stored: !is_held && behind <= DRIFT,
            settled_from: if is_unsure {
                mono + BELIEVED_AFTER
            } else {
                mono
            },
            is_behind,
            note: is_behind.then_some(ClockNote {
                jumped: None,
                is_behind,
            }),
        }
    }

    /// Takes into account that the newest stored timestamp, `floor`, may be behind the time.
    #[must_use]
    pub(super) fn after_one_behind(mut self, clock: &dyn Clock, floor: UnixMs) -> Self {
        let ahead = clock.wall().since(floor);
        // A longer time is a jump once the clock is believed; after a shorter one, it may still be wrong.
        if ahead > IMPLAUSIBLE && ahead <= LONGEST_ABSENCE {
            self.set_note(Some(clock.wall()), false);
        } else {
            self.is_behind = true;
        }
        self
    }

    fn set_note(&mut self, jumped: Option<UnixMs>, is_behind: bool) {
        self.is_behind = is_behind;
        self.note = Some(ClockNote { jumped, is_behind });
    }

    /// Deletes nothing by age until the wall clock has lasted: what is stored could not be read.
    #[must_use]
    pub(super) fn distrusting(mut self) -> Self {
        self.dates_stored = false;
        self.settled_from += BELIEVED_AFTER;
        self
    }

    /// Starts again at the wall clock, which is behind, once nothing stored is later.
    pub(super) fn set_back(&mut self, clock: &dyn Clock) {
        let mono = clock.monotonic();
        self.epochs = VecDeque::from([Epoch::at(mono, clock.wall())]);
        self.ahead_since = None;
        self.behind_since = None;
        self.dates_stored = true;
        self.settled_from = mono;
        self.set_note(Some(clock.wall()), false);
    }

    /// Returns whether the age of what an earlier process stored is known.
    pub(super) fn dates_stored(&self) -> bool {
        self.dates_stored
    }

    /// Returns what is to be stored of a wrong clock before anything is deleted for its age.
    pub(super) fn note(&self) -> Option<ClockNote> {
        self.note
    }

    /// Forgets the note, once it is stored.
    pub(super) fn note_stored(&mut self) {
        self.note = None;
    }

    /// Returns whether timestamps have been far ahead of the wall clock for so long that it may be
    /// right.
    pub(super) fn is_ahead(&self, mono: Duration) -> bool {
        self.behind_since
            .is_some_and(|since| mono.saturating_sub(since) >= BELIEVED_AFTER)
    }

    /// Lets the wall clock last once more before [`SteadyClock::is_ahead`] reports it again.
    pub(super) fn doubt_again(&mut self, mono: Duration) {
        self.behind_since = Some(mono);
    }

    /// Returns the time by which data may be deleted for its age; `None` while the wall clock is
    /// implausible.
    pub(super) fn settled(&self, clock: &dyn Clock) -> Option<UnixMs> {
        let (mono, wall) = (clock.monotonic(), clock.wall());
        let stamp = self.current().stamp(mono);
        let apart = wall.since(stamp).max(stamp.since(wall));
        (mono >= self.settled_from && apart <= IMPLAUSIBLE).then(|| wall.min(stamp))
    }

    fn current(&self) -> Epoch {
        *self.epochs.back().expect("there is always one epoch")
    }

    /// Returns whether an earlier process stored this timestamp.
    #[cfg(test)]
    pub(crate) fn is_inherited(&self, stamp: UnixMs) -> bool {
        let first = self.epochs.front().expect("there is always one epoch");
        stamp < first.stamp(first.from)
    }

    /// Reads both clocks.
    pub fn now(&mut self, clock: &dyn Clock) -> Now {
        let (mono, wall) = (clock.monotonic(), clock.wall());
        let stamp = self.current().stamp(mono);
        let ahead = wall.since(stamp);
        self.behind_since =
            (stamp.since(wall) > SET_BACK).then(|| self.behind_since.unwrap_or(mono));
        if ahead <= DRIFT {
            self.ahead_since = None;
            if stamp.since(wall) <= DRIFT {
                self.wall_caught_up();
            }
            return Now { mono, stamp };
        }
        let since = *self.ahead_since.get_or_insert(mono);
        if ahead > IMPLAUSIBLE && mono.saturating_sub(since) < BELIEVED_AFTER {
            return Now { mono, stamp };
        }
        self.ahead_since = None;
        if ahead > IMPLAUSIBLE {
            self.set_note(Some(wall), false);
        }
        self.wall_caught_up();
        if self.epochs.len() == MAX_EPOCHS {
            self.epochs.pop_front();
        }
        self.epochs.push_back(Epoch::at(mono, wall));
        Now { mono, stamp: wall }
    }

    /// Records that the wall clock is no longer behind what is stored.
    fn wall_caught_up(&mut self) {
        let did = !std::mem::replace(&mut self.dates_stored, true);
        if did && self.is_behind {
            self.set_note(None, false);
        }
    }

    /// Returns how long ago `stamp` was.
    ///
    /// Timestamps of this process are measured by the monotonic clock, whatever the wall clock did
    /// since, and older ones by the wall clock, unless that is implausible. One from the future is as
    /// old as this process at least.
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
        let started = self.epochs.front().map_or(mono, |epoch| epoch.from);
        let least = mono.saturating_sub(started);
        let by_wall = self.current().stamp(mono).since(stamp);
        match self.dates_stored {
            true => least.max(by_wall),
            false => UNKNOWN_AGE.max(by_wall),
        }
    }
}
