//! What the failure of a step changes: how long to back off, and who gets the error.

use std::time::Duration;

use docks_proto::routes::RunKind;

use docksd_remote::FaultClass;

use super::backoff::Backoff;
use super::clock::Now;
use super::error::SyncError;
use super::fetch_key::FetchKey;
use super::list_poll::ListPoll;
use super::state::{EngineState, Reply, list_index};
use super::step::{Step, Task};
use super::sweep::{RETRY, Sweep};

/// When a directory that could not be read is read again.
const FILES_RETRY: Duration = Duration::from_secs(5);

impl EngineState {
    /// Records that the mirror has no summary: without the first one nothing can start, so
    /// nobody should wait.
    pub fn summary_failed(&mut self, error: &SyncError, now: Now) {
        if self.summary.is_some() {
            return;
        }
        for key in self.flights.ready(now.mono) {
            for waiter in self.flights.take_queued(&key) {
                let reply = Reply::Confirmed(Err(error.clone()));
                self.replies.push((waiter, reply));
            }
        }
        self.fail_catch_ups(error);
    }

    pub(super) fn step_failed(&mut self, step: &Step, error: &SyncError, now: Now) {
        if let Some(waiter) = self.action_waiters.remove(&step.number) {
            // Whether the action was carried out is unknown; the list will show it.
            if let Task::Act { action, .. } = &step.task {
                self.due_times.make_due(&FetchKey::ListPart(action.kind()));
            }
            self.replies
                .push((waiter, Reply::Acted(Err(error.clone()))));
            return;
        }
        self.storing_capabilities &= !matches!(step.task, Task::StoreCapabilities { .. });
        let Some(key) = step.task.key() else {
            if matches!(step.task, Task::TakeChanges) {
                // Whether the lists can still be confirmed is known after the next poll.
                for kind in RunKind::ALL {
                    self.due_times.make_due(&FetchKey::ListPart(kind));
                }
            }
            return;
        };
        if error.may_refuse_limit() && self.lower_limit(step) {
            self.flights.retry(&key, now.mono);
            return;
        }
        if let Task::FetchRun {
            kind: RunKind::Evaluation,
            id,
        } = &step.task
            && matches!(
                error.class(),
                Some(FaultClass::NotFound | FaultClass::Rejected | FaultClass::Unsupported)
            )
        {
            self.just_ended.remove(id);
        }
        if let Task::FetchTrials { run, .. } = &step.task {
            self.record_failed_trials(run, error);
            if error.class() == Some(FaultClass::NotFound) {
                self.rechecks.remove(run);
            }
        }
        if let FetchKey::List(kind) | FetchKey::ListPart(kind) = key {
            for key in [FetchKey::List(kind), FetchKey::ListPart(kind)] {
                self.back_off(&key, error, now);
            }
            self.lists[list_index(kind)].failed = Some((step.began.stamp, error.clone()));
            self.record_failed_poll(error);
        } else {
            self.back_off(&key, error, now);
        }
        if let (FetchKey::Trials(_), Some(summary)) = (&key, &self.summary) {
            let mut shown = summary.trials_due.iter();
            let more = summary.trials_due_total > summary.trials_due.len() as u64;
            let failing =
                |run: &String| self.due_times.get(&FetchKey::Trials(run.clone())).failures > 0;
            self.stale_summary |= more && shown.all(|due| failing(&due.run));
        }
        if let FetchKey::Sweep(kind) = key {
            let random = self.rng.f64();
            let list = &mut self.lists[list_index(kind)];
            let mirror_failed = matches!(error, SyncError::Mirror(_));
            let give_up = |sweep: &mut Sweep| !sweep.record_failure();
            if mirror_failed || list.sweep.as_mut().is_some_and(give_up) {
                list.sweep = None;
                let pause = if mirror_failed {
                    list.unstored_sweep = Some(error.clone());
                    list.unstored_sweeps = list.unstored_sweeps.saturating_add(1);
                    Backoff::UNSTORED_SWEEP.wait(list.unstored_sweeps, random)
                } else {
                    RETRY
                };
                list.sweep_due = Some(now.mono + pause);
                self.record_sweep_given_up(kind, error);
            }
        }
        self.resolve(&key, &Err(error.clone()));
    }

    fn back_off(&mut self, key: &FetchKey, error: &SyncError, now: Now) {
        let random = self.rng.f64();
        let metered = self.properties.metered;
        // While the circuit is open, it decides when the lists probe the remote.
        let open = self.circuit.opened().is_some();
        let class = error.class();
        let list = matches!(key, FetchKey::List(_) | FetchKey::ListPart(_));
        let backoff = match key {
            _ if list => Backoff::LIST,
            FetchKey::Trials(run) if !self.watched.are_trials_watched(run, now.mono) => {
                Backoff::BACKFILL
            }
            _ => Backoff::RESOURCE,
        };
        self.due_times
            .record_failure(key, now.mono, |failures| match class {
                _ if !metered => FILES_RETRY,
                Some(FaultClass::Rejected | FaultClass::Unsupported | FaultClass::NotFound) => {
                    Backoff::REFUSED.wait(failures, random)
                }
                Some(_) if open && list => Duration::ZERO,
                _ => backoff.wait(failures, random),
            });
    }

    /// Lowers the limit that was refused; returns `false` if a smaller limit cannot help.
    fn lower_limit(&mut self, step: &Step) -> bool {
        match &step.task {
            Task::PollList(ListPoll { kind, parts, .. }) => {
                let limits = parts.windows().iter().map(|window| window.limit);
                let limit = limits.max().unwrap_or(1);
                let known = self.capabilities.list_mut(*kind);
                if !self.properties.metered || !known.record_refusal(limit) {
                    return false;
                }
                self.due_times.make_due(&FetchKey::ListPart(*kind));
                // The parts are others now, and nothing has been read of them.
                self.lists[list_index(*kind)].next_part = 0;
                true
            }
            Task::SweepPage { kind, .. } => {
                let list = &mut self.lists[list_index(*kind)];
                let known = self.capabilities.list_mut(*kind);
                let sweep = list.sweep.as_mut();
                sweep.is_some_and(|sweep| sweep.page_refused(known))
            }
            _ => false,
        }
    }
}
