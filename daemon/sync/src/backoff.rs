//! How long to wait after a failure.

use std::time::Duration;

/// Longest `Retry-After` that is honoured: a remote that says years is mistaken.
pub const RETRY_AFTER_CAP: Duration = Duration::from_secs(600);

/// Doubling waits between two bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// First wait.
    pub first: Duration,
    /// Longest wait.
    pub max: Duration,
}

impl Backoff {
    /// For one resource that fails while others work.
    pub const RESOURCE: Backoff = Backoff {
        first: Duration::from_secs(2),
        max: Duration::from_secs(30),
    };
    /// For a list: its recovery must be noticed within 10 s.
    pub const LIST: Backoff = Backoff {
        first: Duration::from_secs(1),
        max: Duration::from_secs(8),
    };
    /// For trials that nobody waits for: a hundred broken runs must not cost more than polling.
    pub const BACKFILL: Backoff = Backoff {
        first: Duration::from_secs(4),
        max: Duration::from_secs(3_600),
    };
    /// For a sweep that the mirror could not store: it is complete soon after there is room again, and a disk
    /// that stays full costs the remote a page a minute.
    pub const UNSTORED_SWEEP: Backoff = Backoff {
        first: Duration::from_secs(3),
        max: Duration::from_secs(60),
    };
    /// For requests that the remote rejects and will reject again.
    pub const REFUSED: Backoff = Backoff {
        first: Duration::from_secs(60),
        max: Duration::from_secs(3_600),
    };

    /// Returns the wait after `failures` in a row, between 75 % and 100 % of the doubled one.
    ///
    /// Jitter only shortens the wait, so it never exceeds `max`.
    #[must_use]
    pub fn wait(self, failures: u32, random: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(20);
        let wait = self.first.saturating_mul(1 << doublings).min(self.max);
        wait.mul_f64(0.75 + 0.25 * random.clamp(0.0, 1.0))
    }
}

/// Returns the pause after a 429 or 503: its `Retry-After`, capped, else a doubling wait.
#[must_use]
pub fn rate_limit_pause(retry_after: Option<Duration>, failures: u32, random: f64) -> Duration {
    const WITHOUT_HEADER: Backoff = Backoff {
        first: Duration::from_secs(4),
        max: Duration::from_secs(60),
    };
    match retry_after {
        // A remote that says "now" is still overloaded.
        Some(after) => after.clamp(Duration::from_secs(1), RETRY_AFTER_CAP),
        None => WITHOUT_HEADER.wait(failures, random),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_bound() {
        let waits: Vec<u64> = (1..=9)
            .map(|n| Backoff::RESOURCE.wait(n, 1.0).as_secs())
            .collect();
        assert_eq!(waits, [2, 4, 8, 16, 30, 30, 30, 30, 30]);
        assert_eq!(
            Backoff::RESOURCE.wait(u32::MAX, 0.0),
            Duration::from_millis(22_500)
        );
    }

    #[test]
    fn retry_after_is_honoured_and_capped_in_every_form() {
        let said = |s| rate_limit_pause(Some(Duration::from_secs(s)), 1, 0.5).as_secs();
        // Seconds and dates arrive as a duration, an unreadable header as `None`.
        assert_eq!(said(7), 7);
        assert_eq!(said(0), 1);
        assert_eq!(said(10 * 365 * 86_400), 600);
        assert!(rate_limit_pause(None, 1, 1.0) == Duration::from_secs(4));
        assert!(rate_limit_pause(None, 50, 1.0) == Duration::from_secs(60));
    }
}
