//! Whether background work may ask the remote at all.
//!
//! Requests that a user waits for go through even when the circuit is open:
//! they are as good a probe as ours. Only an explicit "slow down" stops both.

use std::time::Duration;

use docksd_remote::FaultClass;

use super::backoff::{Backoff, quiet_for};

/// Failures in a row, with no success between them, that are an outage and not one bad resource.
const OUTAGE_AFTER: u32 = 3;
/// Gap between probes while somebody watches or something is active: with the probe's own
/// time the first answer after an outage comes within 10 s.
const ATTENTIVE: Backoff = Backoff {
    first: Duration::from_secs(1),
    most: Duration::from_secs(8),
};
/// The same while nobody would see the answer.
const IDLE: Backoff = Backoff {
    first: Duration::from_secs(1),
    most: Duration::from_secs(30),
};
/// How long a refused token is not tried again unasked.
const AUTH_PAUSE: Duration = Duration::from_secs(300);
/// The same while somebody watches or something is active: whoever signs in again in the morning
/// sees the night's ends within a minute.
const AUTH_ATTENTIVE: Duration = Duration::from_secs(60);

/// Why the circuit is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The remote or the way to it is out of order.
    Outage,
    /// The token is missing or refused.
    Auth,
    /// We were asked to slow down.
    RateLimited,
}

/// State for `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// All is well.
    Closed,
    /// Waiting until the given monotonic time.
    Open(Cause, Duration),
    /// One probe is on its way.
    HalfOpen(Cause),
}

/// The circuit of one remote.
#[derive(Debug, Clone)]
pub struct Circuit {
    failures: u32,
    opened: Option<(Cause, Duration)>,
    until: Duration,
    probing: bool,
    tries: u32,
}

impl Default for Circuit {
    fn default() -> Self {
        Self {
            failures: 0,
            opened: None,
            until: Duration::ZERO,
            probing: false,
            tries: 0,
        }
    }
}

impl Circuit {
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
    pub fn opened(&self) -> Option<(Cause, Duration)> {
        self.opened
    }

    /// Returns when background work may next ask: at once, later, or after the probe (`None`).
    #[must_use]
    pub fn background_from(&self) -> Option<Duration> {
        match self.opened {
            None => Some(Duration::ZERO),
            Some(_) if self.probing => None,
            Some(_) => Some(self.until),
        }
    }

    /// Returns until when the remote asked everybody to be quiet.
    #[must_use]
    pub fn quiet_until(&self, now: Duration) -> Option<Duration> {
        match self.opened {
            Some((Cause::RateLimited, _)) if now < self.until => Some(self.until),
            _ => None,
        }
    }

    /// Notes that a probe began.
    pub fn probe(&mut self) {
        if self.opened.is_some() {
            self.probing = true;
        }
    }

    /// Notes that the probe ended without a verdict on the remote.
    pub fn probe_ended(&mut self) {
        self.probing = false;
    }

    /// Notes an answer, whatever it said; returns whether the circuit was open.
    pub fn succeeded(&mut self) -> bool {
        let was_open = self.opened.is_some();
        *self = Self::default();
        was_open
    }

    /// Notes a failure that may concern the whole remote.
    pub fn failed(
        &mut self,
        class: FaultClass,
        retry_after: Option<Duration>,
        attentive: bool,
        now: Duration,
        random: f64,
    ) {
        let cause = match class {
            FaultClass::Outage => Cause::Outage,
            FaultClass::Auth => Cause::Auth,
            FaultClass::RateLimited => Cause::RateLimited,
            // The remote is well; it only did not like the question.
            FaultClass::NotFound | FaultClass::Rejected | FaultClass::Unsupported => return,
        };
        self.failures += 1;
        // A 503 that says when to come back speaks for the whole remote.
        let certain = cause != Cause::Outage || retry_after.is_some() || self.opened.is_some();
        if !certain && self.failures < OUTAGE_AFTER {
            return;
        }
        let since = match self.opened {
            Some((before, since)) if before == cause => since,
            _ => {
                self.tries = 0;
                now
            }
        };
        // Several requests that were under way when the outage began are one failure.
        if self.probing || self.tries == 0 || now >= self.until {
            self.tries = self.tries.saturating_add(1);
            let gap = match (cause, retry_after) {
                (Cause::Auth, _) if attentive => AUTH_ATTENTIVE,
                (Cause::Auth, _) => AUTH_PAUSE,
                (Cause::RateLimited, said) => quiet_for(said, self.tries, random),
                (Cause::Outage, Some(said)) => quiet_for(Some(said), self.tries, random),
                (Cause::Outage, None) if attentive => ATTENTIVE.wait(self.tries, random),
                (Cause::Outage, None) => IDLE.wait(self.tries, random),
            };
            self.until = now + gap;
        }
        self.opened = Some((cause, since));
        self.probing = false;
    }

    /// Lets the next probe begin at once, unless the remote asked for quiet.
    pub fn probe_now(&mut self, now: Duration) {
        if !matches!(self.opened, Some((Cause::RateLimited, _))) {
            self.until = self.until.min(now);
        }
    }

    /// Shortens a long gap when somebody begins to watch.
    pub fn attend(&mut self, now: Duration) {
        if matches!(self.opened, Some((Cause::Outage, _))) && !self.probing {
            self.until = self.until.min(now + ATTENTIVE.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(circuit: &mut Circuit, class: FaultClass, now: u64) {
        circuit.failed(class, None, true, Duration::from_secs(now), 1.0);
    }

    #[test]
    fn one_bad_resource_does_not_open_the_circuit() {
        let mut circuit = Circuit::default();
        for now in 0..20 {
            fail(&mut circuit, FaultClass::Outage, now);
            circuit.succeeded();
        }
        assert_eq!(circuit.state(), State::Closed);
    }

    #[test]
    fn gaps_grow_to_eight_seconds_and_a_success_closes() {
        let mut circuit = Circuit::default();
        let mut now = 0;
        let mut gaps = Vec::new();
        for _ in 0..8 {
            fail(&mut circuit, FaultClass::Outage, now);
            if let State::Open(Cause::Outage, until) = circuit.state() {
                gaps.push(until.as_secs() - now);
                now = until.as_secs();
                circuit.probe();
                assert_eq!(circuit.state(), State::HalfOpen(Cause::Outage));
            }
        }
        assert_eq!(gaps, [1, 2, 4, 8, 8, 8]);
        assert!(circuit.succeeded());
        assert_eq!(circuit.state(), State::Closed);
    }

    #[test]
    fn a_refused_token_pauses_background_work_but_nobody_else() {
        for (attentive, until) in [(false, 310), (true, 70)] {
            let mut circuit = Circuit::default();
            let now = Duration::from_secs(10);
            circuit.failed(FaultClass::Auth, None, attentive, now, 1.0);
            assert_eq!(circuit.background_from(), Some(Duration::from_secs(until)));
            assert_eq!(circuit.quiet_until(Duration::from_secs(11)), None);
        }
    }

    #[test]
    fn failures_that_were_under_way_together_count_once() {
        let mut circuit = Circuit::default();
        for _ in 0..10 {
            fail(&mut circuit, FaultClass::Outage, 5);
        }
        assert_eq!(circuit.background_from(), Some(Duration::from_secs(6)));
    }
}
