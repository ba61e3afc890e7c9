//! The request budget of a remote, and a log of the requests made.
//!
//! There are four token buckets: one for everything, one that keeps a part of it for polling, one that
//! limits background work to a part of it, and one for callers that wait for the mirror to catch up.

use std::collections::VecDeque;
use std::time::Duration;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestClass {
    /// A user waits for the answer.
    User,
    /// SteadyClock polling.
    Poll,
    /// Sweeps, their checks, and trials of ended runs.
    Backfill,
    /// Like `Backfill`, but a caller waits for it to finish.
    CatchUp,
}

/// Share of the budget that background work may use, in percent.
const BACKFILL_PERCENT: u32 = 60;
/// Share of the full bucket that is reserved for users, in percent.
const RESERVE_PERCENT: u32 = 25;
/// Share of the budget that polling always has, however much users request, in percent: otherwise the
/// lists that everybody reads would grow old for the sake of a few who ask for more.
const POLL_PERCENT: u32 = 25;
/// Burst of these: both lists, and the runs and trials that are watched.
const POLL_BURST: f64 = 6.0;
/// Requests per minute while a caller waits for the mirror to catch up: the trials of a run every
/// 50 ms, about as fast as those of large runs can be written.
const CATCH_UP_PER_MINUTE: u32 = 1_200;
/// Burst of these, so that a few runs come at once; the number of parallel steps limits it further.
const CATCH_UP_BURST: f64 = 100.0;
/// No burst of background work after an outage: three requests in a second look like one.
const BACKFILL_BURST: f64 = 2.0;
/// Minutes that the log of requests covers.
const LOG_MINUTES: u64 = 60;

#[derive(Debug, Clone)]
struct Bucket {
    tokens: f64,
    capacity: f64,
    per_second: f64,
}

impl Bucket {
    fn new(per_minute: u32, capacity: f64) -> Self {
        Self {
            tokens: capacity,
            capacity,
            per_second: f64::from(per_minute.max(1)) / 60.0,
        }
    }

    fn fill(&mut self, elapsed: Duration) {
        let more = elapsed.as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + more).min(self.capacity);
    }

    /// Returns the time until there is a token above `floor`; zero if there is one.
    fn wait(&self, floor: f64) -> Duration {
        let missing = floor + 1.0 - self.tokens;
        if missing <= 1e-9 {
            return Duration::ZERO;
        }
        // Slightly longer than exact, so that rounding never wakes us one token short.
        Duration::from_secs_f64(missing / self.per_second) + Duration::from_millis(1)
    }
}

/// Requests and 304s of one minute.
#[derive(Debug, Clone, Copy)]
struct Minute {
    minute: u64,
    requests: u64,
    not_modified: u64,
}

/// The budget of one remote.
#[derive(Debug, Clone)]
pub struct Budget {
    metered: bool,
    per_minute: u32,
    shared: Bucket,
    polls: Bucket,
    backfill: Bucket,
    catch_up: Bucket,
    filled: Duration,
    log: VecDeque<Minute>,
}

impl Budget {
    /// Starts with full buckets; an unmetered remote only has a log.
    #[must_use]
    pub fn new(per_minute: u32, metered: bool, now: Duration) -> Self {
        let per_minute = per_minute.max(4);
        Self {
            metered,
            per_minute,
            shared: Bucket::new(per_minute, f64::from(per_minute)),
            polls: Bucket::new(per_minute * POLL_PERCENT / 100, POLL_BURST),
            backfill: Bucket::new(per_minute * BACKFILL_PERCENT / 100, BACKFILL_BURST),
            catch_up: Bucket::new(CATCH_UP_PER_MINUTE.max(per_minute), CATCH_UP_BURST),
            filled: now,
            log: VecDeque::new(),
        }
    }

    fn fill(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.filled);
        self.filled = self.filled.max(now);
        self.shared.fill(elapsed);
        self.polls.fill(elapsed);
        self.backfill.fill(elapsed);
        self.catch_up.fill(elapsed);
    }

    fn floor(&self, class: RequestClass) -> f64 {
        match class {
            // Users may overdraw: making them wait would save little.
            RequestClass::User => -self.shared.capacity,
            RequestClass::CatchUp => f64::NEG_INFINITY,
            RequestClass::Poll | RequestClass::Backfill => {
                self.shared.capacity * f64::from(RESERVE_PERCENT) / 100.0
            }
        }
    }

    /// Spends one request, if the budget has one for `class`.
    ///
    /// # Errors
    ///
    /// The time to wait for the next one.
    pub fn try_spend(&mut self, class: RequestClass, now: Duration) -> Result<(), Duration> {
        if !self.metered {
            return Ok(());
        }
        self.fill(now);
        let wait = match class {
            RequestClass::User => self.shared.wait(self.floor(class)),
            RequestClass::Poll => self
                .shared
                .wait(self.floor(class))
                .min(self.polls.wait(0.0)),
            RequestClass::Backfill => self
                .shared
                .wait(self.floor(class))
                .max(self.backfill.wait(0.0)),
            RequestClass::CatchUp => self.catch_up.wait(0.0),
        };
        if !wait.is_zero() {
            return Err(wait);
        }
        match class {
            RequestClass::CatchUp => self.catch_up.tokens -= 1.0,
            RequestClass::Backfill => {
                self.backfill.tokens -= 1.0;
                self.shared.tokens -= 1.0;
            }
            RequestClass::Poll => {
                self.polls.tokens = (self.polls.tokens - 1.0).max(0.0);
                // Users wait for what polling takes, since both together must not exceed the budget.
                self.shared.tokens -= 1.0;
            }
            RequestClass::User => self.shared.tokens -= 1.0,
        }
        Ok(())
    }

    /// Adds requests to the log.
    pub fn record(&mut self, requests: u64, not_modified: u64, now: Duration) {
        let minute = now.as_secs() / 60;
        match self.log.back_mut() {
            Some(last) if last.minute >= minute => {
                last.requests += requests;
                last.not_modified += not_modified;
            }
            _ => self.log.push_back(Minute {
                minute,
                requests,
                not_modified,
            }),
        }
        while self
            .log
            .front()
            .is_some_and(|first| first.minute + LOG_MINUTES < minute)
        {
            self.log.pop_front();
        }
    }

    /// Returns the numbers of requests and of 304s in the last hour.
    #[must_use]
    pub fn last_hour(&self, now: Duration) -> (u64, u64) {
        let minute = now.as_secs() / 60;
        self.log
            .iter()
            .filter(|m| m.minute + LOG_MINUTES > minute)
            .fold((0, 0), |(r, n), m| (r + m.requests, n + m.not_modified))
    }

    /// Returns the requests per minute and how many are left now.
    #[must_use]
    pub fn left(&self) -> (u32, u32) {
        if !self.metered {
            return (0, 0);
        }
        (self.per_minute, self.shared.tokens.max(0.0) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1_000);

    #[test]
    fn background_work_leaves_requests_for_users() {
        let mut budget = Budget::new(240, true, START);
        let mut polls = 0;
        while budget.try_spend(RequestClass::Poll, START).is_ok() {
            polls += 1;
        }
        assert!((180..=186).contains(&polls), "{polls}");
        assert!(budget.try_spend(RequestClass::User, START).is_ok());
    }

    #[test]
    fn users_who_want_more_than_there_is_leave_polling_its_share() {
        let mut budget = Budget::new(240, true, START);
        let (mut users, mut polls) = (0, 0);
        for tick in 0..6_000 {
            let now = START + Duration::from_millis(tick * 100);
            while budget.try_spend(RequestClass::User, now).is_ok() {
                users += 1;
            }
            if tick % 25 == 0 {
                polls += u32::from(budget.try_spend(RequestClass::Poll, now).is_ok());
            }
        }
        assert_eq!(polls, 240, "a poll every 2.5 s is never held up");
        // Ten minutes, and the bursts at the beginning.
        let most = 2_400 + 2 * 240 + 6;
        assert!((2_400..=most).contains(&(users + polls)), "{users}");
    }

    #[test]
    fn backfill_uses_its_share_and_no_more() {
        let mut budget = Budget::new(240, true, START);
        let mut now = START;
        let mut taken = 0;
        while now < START + Duration::from_secs(600) {
            match budget.try_spend(RequestClass::Backfill, now) {
                Ok(()) => taken += 1,
                Err(wait) => now += wait,
            }
        }
        assert!((1_400..=1_450).contains(&taken), "{taken}");
    }

    #[test]
    fn catching_up_gets_a_burst_then_twenty_a_second_and_slows_nothing_else() {
        let mut budget = Budget::new(240, true, START);
        let mut now = START;
        let mut taken = 0;
        while budget.try_spend(RequestClass::CatchUp, now).is_ok() {
            taken += 1;
        }
        assert_eq!(taken, 100);
        while now < START + Duration::from_secs(60) {
            match budget.try_spend(RequestClass::CatchUp, now) {
                Ok(()) => taken += 1,
                Err(wait) => now += wait,
            }
        }
        assert!((1_250..=1_300).contains(&taken), "{taken}");
        assert!(budget.try_spend(RequestClass::Poll, now).is_ok());
    }

    #[test]
    fn the_log_forgets_after_an_hour() {
        let mut budget = Budget::new(240, true, START);
        budget.record(3, 1, START);
        assert_eq!(budget.last_hour(START), (3, 1));
        assert_eq!(budget.last_hour(START + Duration::from_secs(3_700)), (0, 0));
    }
}
