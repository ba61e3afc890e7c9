//! Slows down and logs requests without a valid token, by address.
//!
//! A token cannot be guessed, but requests cost time of which others have need. Whoever has the token is never slowed
//! down, whatever others at the same address do.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::address_group::AddressGroup;

/// Addresses that are remembered.
const MAX_ADDRESSES: usize = 4_096;
/// Failures that are answered at once: of somebody who tries what is in some file.
const FREE: f64 = 8.0;
/// Failures that are forgotten in a second.
const FORGOTTEN_PER_SECOND: f64 = 1.0;
/// What each further failure waits longer than the one before.
const STEP: Duration = Duration::from_millis(100);
/// The longest wait: shorter than the time in which a connection must show the token, so that there is an answer.
const MAX_DELAY: Duration = Duration::from_secs(2);
/// Lines in the log in a minute, of all addresses together.
const LINES_PER_MINUTE: u32 = 20;
const MINUTE: Duration = Duration::from_secs(60);

/// Failures of all addresses.
#[derive(Debug, Default)]
pub(super) struct FailedTokens {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    of: HashMap<AddressGroup, Failures>,
    /// Begin of the current minute of the log, and its lines.
    minute: Option<(Instant, u32)>,
    /// Lines that were left out since the last one.
    left_out: u64,
}

/// Failures of one address.
#[derive(Debug)]
struct Failures {
    /// How many are not forgotten yet.
    recent: f64,
    last: Instant,
    /// All of them.
    count: u64,
}

impl FailedTokens {
    /// Notes a failure, logs it now and then, and returns how long the answer has to wait.
    pub(super) fn record(&self, address: AddressGroup, showed_token: bool) -> Duration {
        let now = Instant::now();
        let (delay, line) = self.record_at(address, now);
        if let Some((count, left_out)) = line {
            if showed_token {
                tracing::warn!(%address, count, left_out, "a wrong token was shown to the hub");
            } else {
                tracing::info!(%address, count, left_out, "a request to the hub had no token");
            }
        }
        delay
    }

    /// Returns the wait and, if it is time for a line in the log, the failures of the address and the number of lines
    /// that were left out before.
    fn record_at(&self, address: AddressGroup, now: Instant) -> (Duration, Option<(u64, u64)>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State {
            of,
            minute,
            left_out,
        } = &mut *state;
        if of.len() >= MAX_ADDRESSES && !of.contains_key(&address) {
            forget_oldest(of);
        }
        let failures = of.entry(address).or_insert(Failures {
            recent: 0.0,
            last: now,
            count: 0,
        });
        let elapsed = now.saturating_duration_since(failures.last).as_secs_f64();
        let recent = (failures.recent - elapsed * FORGOTTEN_PER_SECOND).max(0.0) + 1.0;
        // More could never make the wait longer, only last longer.
        let most = FREE + MAX_DELAY.as_secs_f64() / STEP.as_secs_f64();
        failures.recent = recent.min(most);
        failures.last = now;
        failures.count += 1;
        let count = failures.count;
        let delay = STEP.mul_f64((failures.recent - FREE).max(0.0));
        // The first, the tenth, the hundredth, …
        if 10_u64.pow(count.ilog10()) != count {
            return (delay, None);
        }
        let (_, lines) = match minute {
            Some(current) if now.saturating_duration_since(current.0) < MINUTE => current,
            ended => ended.insert((now, 0)),
        };
        if *lines >= LINES_PER_MINUTE {
            *left_out += 1;
            return (delay, None);
        }
        *lines += 1;
        (delay, Some((count, std::mem::take(left_out))))
    }
}

/// Forgets the address whose last failure is the oldest.
fn forget_oldest(of: &mut HashMap<AddressGroup, Failures>) {
    let oldest = of.iter().min_by_key(|(_, failures)| failures.last);
    if let Some(oldest) = oldest.map(|(address, _)| *address) {
        of.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> AddressGroup {
        AddressGroup::of(std::net::IpAddr::V4(number.into()))
    }

    #[test]
    fn an_address_waits_longer_with_each_failure_and_is_forgiven_in_time() {
        let (failed, start) = (FailedTokens::default(), Instant::now());
        let at = |number, seconds| {
            let now = start + Duration::from_secs(seconds);
            failed.record_at(address(number), now).0
        };
        for _ in 0..8 {
            assert_eq!(at(1, 0), Duration::ZERO);
        }
        let waits: Vec<Duration> = (0..100).map(|_| at(1, 0)).collect();
        assert!(waits.is_sorted() && waits[0] > Duration::ZERO);
        assert_eq!(waits[99], MAX_DELAY);
        assert_eq!(at(2, 0), Duration::ZERO);
        assert_eq!(at(1, 60), Duration::ZERO);
    }

    #[test]
    fn neither_the_memory_nor_the_log_grows_with_the_addresses() {
        let (failed, start) = (FailedTokens::default(), Instant::now());
        let record = |number, second| {
            let now = start + Duration::from_secs(second);
            failed.record_at(address(number), now).1
        };
        let lines = (0..10_000).filter_map(|number| record(number, 0)).count();
        assert_eq!(lines, 20);
        assert_eq!(failed.state.lock().unwrap().of.len(), MAX_ADDRESSES);
        assert_eq!(record(20_000, 60), Some((1, 9_980)));
        // Of one address, fewer and fewer.
        let counts: Vec<u64> = (0..1_000)
            .filter_map(|_| record(30_000, 120).map(|(count, _)| count))
            .collect();
        assert_eq!(counts, [1, 10, 100, 1_000]);
    }
}
