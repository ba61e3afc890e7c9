//! Whether background work may send requests to the remote at all.
//!
//! Requests that a user waits for go through even while the circuit is open, since they are as
//! good a probe as any. Only an explicit "slow down" stops both.

use std::time::Duration;

use docksd_remote::FaultClass;

use super::backoff::{Backoff, rate_limit_pause};

/// Failures in a row, without a success in between, that mean an outage and not one bad resource.
const OUTAGE_AFTER: u32 = 3;
/// Pause between probes while someone watches or something is active: together with the probe's
/// own time the first answer after an outage comes within 10 s.
const ATTENTIVE: Backoff = Backoff {
    first: Duration::from_secs(1),
    max: Duration::from_secs(8),
};
/// Pause between probes while nobody would see the answer.
const IDLE: Backoff = Backoff {
    first: Duration::from_secs(1),
    max: Duration::from_secs(30),
};
/// Pause of background work after a refused token.
const AUTH_PAUSE: Duration = Duration::from_secs(300);
/// The same while someone watches or something is active: after signing in again in the morning,
/// users see within a minute what ended overnight.
const AUTH_ATTENTIVE: Duration = Duration::from_secs(60);

/// Why the circuit is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenCause {
    /// The remote or the network is down.
    Outage,
    /// The token is missing or refused.
    Auth,
    /// The remote asked us to slow down.
    RateLimited,
}

/// State of the circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Requests go through.
    Closed,
    /// Background work waits until this monotonic time.
    Open(OpenCause, Duration),
    /// One probe is under way.
    HalfOpen(OpenCause),
}

/// The circuit of one remote.
#[derive(Debug, Clone)]
pub struct CircuitBreaker {
    failures: u32,
    opened: Option<(OpenCause, Duration)>,
    until: Duration,
    probing: bool,
    attempts: u32,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self {
            failures: 0,
            opened: None,
            until: Duration::ZERO,
            probing: false,
            attempts: 0,
        }
    }
}

impl CircuitBreaker {
    /// Returns the state.
    #[must_use]
    pub fn state(&self) -> State {
        match self.opened {
            None => State::Closed,
            Some((cause, _)) if self.probing => State::HalfOpen(cause),
            Some((cause, _)) => State::Open(cause, self.until),
        }
    }

    /// Returns why it is open and since when.
    #[must_use]
    pub fn opened(&self) -> Option<(OpenCause, Duration)> {
        self.opened
    }

    /// Returns when background work may next send a request, or `None` while a probe is under way.
    #[must_use]
    pub fn background_from(&self) -> Option<Duration> {
        match self.opened {
            None => Some(Duration::ZERO),
            Some(_) if self.probing => None,
            Some(_) => Some(self.until),
        }
    }

    /// Returns until when the remote wants no requests at all.
    #[must_use]
    pub fn quiet_until(&self, now: Duration) -> Option<Duration> {
        match self.opened {
            Some((OpenCause::RateLimited, _)) if now < self.until => Some(self.until),
            _ => None,
        }
    }

    /// Records that a probe was started.
    pub fn start_probe(&mut self) {
        if self.opened.is_some() {
            self.probing = true;
        }
    }

    /// Records that the probe ended without telling anything about the remote.
    pub fn end_probe(&mut self) {
        self.probing = false;
    }

    /// Records an answer, whatever it said; returns whether the circuit was open.
    pub fn record_success(&mut self) -> bool {
        let was_open = self.opened.is_some();
        *self = Self::default();
        was_open
    }

    /// Records a failure that may concern the whole remote.
    pub fn record_failure(
        &mut self,
        class: FaultClass,
        retry_after: Option<Duration>,
        attentive: bool,
        now: Duration,
        random: f64,
    ) {
        let cause = match class {
            FaultClass::Outage => OpenCause::Outage,
            FaultClass::Auth => OpenCause::Auth,
            FaultClass::RateLimited => OpenCause::RateLimited,
            // The remote works; it only rejects this request.
            FaultClass::NotFound | FaultClass::Rejected | FaultClass::Unsupported => return,
        };
        self.failures += 1;
        // A 503 with `Retry-After` speaks for the whole remote.
        let certain = cause != OpenCause::Outage || retry_after.is_some() || self.opened.is_some();
        if !certain && self.failures < OUTAGE_AFTER {
            return;
        }
        let since = match self.opened {
            Some((before, since)) if before == cause => since,
            _ => {
                self.attempts = 0;
                now
            }
        };
        // Requests that were under way together when the outage began count as one failure.
        if self.probing || self.attempts == 0 || now >= self.until {
            self.attempts = self.attempts.saturating_add(1);
            let pause = match (cause, retry_after) {
                (OpenCause::Auth, _) if attentive => AUTH_ATTENTIVE,
                (OpenCause::Auth, _) => AUTH_PAUSE,
                (OpenCause::RateLimited, said) => rate_limit_pause(said, self.attempts, random),
                (OpenCause::Outage, Some(said)) => {
                    rate_limit_pause(Some(said), self.attempts, random)
                }
                (OpenCause::Outage, None) if attentive => ATTENTIVE.wait(self.attempts, random),
                (OpenCause::Outage, None) => IDLE.wait(self.attempts, random),
            };
            self.until = now + pause;
        }
        self.opened = Some((cause, since));
        self.probing = false;
    }

    /// Lets the next probe start at once, unless the remote asked us to slow down.
    pub fn probe_now(&mut self, now: Duration) {
        if !matches!(self.opened, Some((OpenCause::RateLimited, _))) {
            self.until = self.until.min(now);
        }
    }

    /// Shortens a long pause when someone starts to watch.
    pub fn shorten_pause(&mut self, now: Duration) {
        if matches!(self.opened, Some((OpenCause::Outage, _))) && !self.probing {
            self.until = self.until.min(now + ATTENTIVE.max);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(circuit: &mut CircuitBreaker, class: FaultClass, now: u64) {
        circuit.record_failure(class, None, true, Duration::from_secs(now), 1.0);
    }

    #[test]
    fn one_bad_resource_does_not_open_the_circuit() {
        let mut circuit = CircuitBreaker::default();
        for now in 0..20 {
            fail(&mut circuit, FaultClass::Outage, now);
            circuit.record_success();
        }
        assert_eq!(circuit.state(), State::Closed);
    }

    #[test]
    fn pauses_grow_to_eight_seconds_and_a_success_closes_the_circuit() {
        let mut circuit = CircuitBreaker::default();
        let mut now = 0;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            fail(&mut circuit, FaultClass::Outage, now);
            if let State::Open(OpenCause::Outage, until) = circuit.state() {
                pauses.push(until.as_secs() - now);
                now = until.as_secs();
                circuit.start_probe();
                assert_eq!(circuit.state(), State::HalfOpen(OpenCause::Outage));
            }
        }
        assert_eq!(pauses, [1, 2, 4, 8, 8, 8]);
        assert!(circuit.record_success());
        assert_eq!(circuit.state(), State::Closed);
    }

    #[test]
    fn a_refused_token_pauses_background_work_but_no_users() {
        for (attentive, until) in [(false, 310), (true, 70)] {
            let mut circuit = CircuitBreaker::default();
            let now = Duration::from_secs(10);
            circuit.record_failure(FaultClass::Auth, None, attentive, now, 1.0);
            assert_eq!(circuit.background_from(), Some(Duration::from_secs(until)));
            assert_eq!(circuit.quiet_until(Duration::from_secs(11)), None);
        }
    }

    #[test]
    fn failures_that_were_under_way_together_count_once() {
        let mut circuit = CircuitBreaker::default();
        for _ in 0..10 {
            fail(&mut circuit, FaultClass::Outage, 5);
        }
        assert_eq!(circuit.background_from(), Some(Duration::from_secs(6)));
    }
}
