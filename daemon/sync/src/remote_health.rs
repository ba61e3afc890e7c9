//! What a step says about the remote as a whole: whether it works, and whether the mirror and it
//! contradict each other.

use std::time::Duration;

use docks_proto::routes::RunKind;

use docksd_remote::FaultClass;

use super::clock::Now;
use super::error::SyncError;
use super::fetch_key::FetchKey;
use super::outcome::Outcome;
use super::state::{EngineState, Failure, list_index};
use super::step::{Step, Task};

/// How long background work is spread out after an outage.
const SPREAD_TIME: Duration = Duration::from_secs(10);

impl EngineState {
    /// Opens or closes the circuit, and keeps the last success and failure for `status`.
    pub(super) fn record_remote_health(&mut self, outcome: &Outcome, step: &Step, now: Now) {
        let error = outcome.answer.as_ref().err();
        let class = error.and_then(SyncError::class);
        let remote_failed = matches!(
            class,
            Some(FaultClass::Outage | FaultClass::Auth | FaultClass::RateLimited)
        );
        let mirror_failed = error.is_some() && class.is_none();
        if let Some(error) = error {
            if class == Some(FaultClass::RateLimited) {
                self.rate_limit_error = Some(error.clone());
            }
            if remote_failed || mirror_failed {
                let consecutive = self.last_failure.as_ref().map_or(0, |f| f.consecutive) + 1;
                self.last_failure = Some(Failure {
                    at: now.stamp,
                    error: error.clone(),
                    consecutive,
                });
            }
        }
        if remote_failed && self.properties.metered {
            let attentive = self.is_attentive(now);
            let retry_after = error.and_then(SyncError::retry_after);
            let random = self.rng.f64();
            if let Some(class) = class {
                self.circuit
                    .record_failure(class, retry_after, attentive, now.mono, random);
            }
        } else if !remote_failed && outcome.requests > 0 && !mirror_failed {
            // An answer to a request that began before the outage says nothing about it.
            if self
                .circuit
                .opened()
                .is_none_or(|(_, since)| step.began.mono >= since)
            {
                if self.circuit.record_success() {
                    self.remote_recovered(now);
                }
                self.last_failure = None;
            }
            self.last_success = Some(now.stamp);
        } else if outcome.requests > 0 {
            self.circuit.end_probe();
        }
    }

    /// Spreads out what is overdue after an outage, since other clients come back too.
    fn remote_recovered(&mut self, now: Now) {
        self.spread_until = now.mono + SPREAD_TIME;
        let active = self.summary.iter().flat_map(|summary| &summary.active);
        for run in active {
            // The lists show them first; only those that they do not show are fetched.
            let key = FetchKey::Run(run.kind, run.id.clone());
            self.due_times.entry(&key).began = Some(now.mono);
        }
    }

    /// Whether a user would notice that the remote is back.
    fn is_attentive(&self, now: Now) -> bool {
        let active = self.summary.as_ref().is_some_and(|s| !s.active.is_empty());
        active || self.watched.any(now.mono) || !self.catch_ups.is_empty()
    }

    /// Requests a poll of the list and a sweep because the mirror holds what the remote denies: only a list that
    /// lacks it can prove which is right.
    pub(super) fn request_sweep_for(&mut self, step: &Step, now: Now) {
        let kind = match &step.task {
            Task::FetchRun { kind, .. } => *kind,
            Task::Act { action, .. } => action.kind(),
            _ => RunKind::Evaluation,
        };
        self.due_times.make_due(&FetchKey::ListPart(kind));
        let list = &mut self.lists[list_index(kind)];
        list.next_part = 0;
        list.request_proof(now.mono);
    }
}
