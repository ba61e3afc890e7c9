//! Catching up: does everything at once for callers that wait, and reports how far it is.

use std::collections::BTreeSet;
use std::time::Duration;

use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;

use docksd_mirror::TrialsDue;
use docksd_remote::FaultClass;

use super::catch_up::{CatchUp, CatchUpReport, CatchUpScope};
use super::circuit_breaker::State;
use super::clock::Now;
use super::error::SyncError;
use super::fetch_key::FetchKey;
use super::plan::Work;
use super::state::{EngineState, list_index};
use super::step::Step;

/// Failures of a list's poll after which waiting for it is pointless.
const MAX_POLL_FAILURES: u32 = 3;

impl EngineState {
    /// Starts catching up; a list that was never swept is swept whatever the scope is.
    pub fn catch_up(&mut self, id: u64, scope: CatchUpScope, now: Now) {
        for kind in RunKind::ALL {
            self.due_times.make_due(&FetchKey::ListPart(kind));
            let list = &mut self.lists[list_index(kind)];
            list.next_part = 0;
            if scope == CatchUpScope::Full || list.last_sweep_at.is_none() {
                list.sweep_due = Some(now.mono);
            }
        }
        self.stale_summary = true;
        self.due_times.retry_failed_trials();
        // A user waits, so this is as good a moment for a probe as any.
        self.circuit.probe_now(now.mono);
        self.catch_ups.push(CatchUp::new(id, scope, now));
    }

    /// Returns whether the trials of ended runs are fetched although nobody watches them: always
    /// with `backfill`, and otherwise while a caller waits for the trials of all runs.
    pub(super) fn fetches_all_trials(&self) -> bool {
        self.options.backfill || self.trials_since().is_some()
    }

    /// Returns since when the trials of all runs are to be confirmed, if a caller waits for them.
    #[must_use]
    pub fn trials_since(&self) -> Option<UnixMs> {
        let since = self
            .catch_ups
            .iter()
            .filter_map(|waiting| waiting.trials_since);
        since.max()
    }

    /// Returns when a caller that still waits last asked for the trials of all runs.
    pub(super) fn all_trials_asked(&self) -> Option<Duration> {
        let waiting = self.catch_ups.iter();
        let for_trials = waiting.filter(|waiting| waiting.trials_since.is_some());
        for_trials.map(|waiting| waiting.began).max()
    }

    /// Returns the number of runs whose trials are still to be fetched.
    fn trials_left(&self, now: Now) -> u64 {
        if !self.fetches_all_trials() {
            return 0;
        }
        let due = self.summary.as_ref().map_or(1, |s| s.trials_due_total);
        due.saturating_add(self.rechecks_due(now))
    }

    fn rechecks_due(&self, now: Now) -> u64 {
        let due = self.rechecks.values().filter(|(_, due)| *due <= now.mono);
        due.count() as u64
    }

    /// Returns progress since the last call.
    pub fn take_reports(&mut self) -> Vec<CatchUpReport> {
        std::mem::take(&mut self.reports)
    }

    /// Forgets a caller that no longer waits.
    pub fn abandon_catch_up(&mut self, id: u64) {
        let before = self.trials_since();
        self.catch_ups.retain(|waiting| waiting.id != id);
        // Trials that were due for this caller only are due no more.
        self.stale_summary |= self.trials_since() != before;
    }

    pub(super) fn record_polled_list(&mut self, kind: RunKind, step: &Step) {
        let mut early = false;
        for waiting in &mut self.catch_ups {
            waiting.lists_polled[list_index(kind)] |= step.began.mono >= waiting.began;
            early |= !waiting.lists_polled[list_index(kind)];
        }
        if early {
            // This poll was already under way; the callers wait for the next one.
            self.due_times.make_due(&FetchKey::ListPart(kind));
        }
    }

    pub(super) fn record_failed_poll(&mut self, error: &SyncError) {
        for waiting in &mut self.catch_ups {
            waiting.failures += 1;
            waiting.poll_error = Some(error.clone());
        }
    }

    /// Records that the trials of a run were requested and not received.
    pub(super) fn record_failed_trials(&mut self, run: &str, error: &SyncError) {
        for waiting in &mut self.catch_ups {
            waiting.failed_trials.insert(run.to_owned(), error.clone());
        }
    }

    /// Records that the trials of a run were received.
    pub(super) fn record_received_trials(&mut self, run: &str) {
        for waiting in &mut self.catch_ups {
            waiting.failed_trials.remove(run);
        }
    }

    /// Records that a sweep was given up for now, so that callers who need it have not caught up.
    pub(super) fn record_sweep_given_up(&mut self, kind: RunKind, error: &SyncError) {
        let never_swept = self.lists[list_index(kind)].last_sweep_at.is_none();
        let needs_it = |waiting: &&mut CatchUp| waiting.sweeps || never_swept;
        for waiting in self.catch_ups.iter_mut().filter(needs_it) {
            waiting.sweep_error = Some(error.clone());
        }
    }

    pub(super) fn count_step(&mut self, step: &Step) {
        if step.task.requests() == 0 {
            return;
        }
        for waiting in &mut self.catch_ups {
            waiting.done += 1;
            waiting.doing = step.task.describe();
        }
    }

    fn sweep_steps_left(&self, now: Now) -> u64 {
        self.lists
            .iter()
            .map(|list| match (&list.sweep, list.sweep_due) {
                (Some(sweep), _) => sweep.left(),
                // Callers do not wait for a sweep that was given up for now.
                (None, Some(due)) if due <= now.mono => 1,
                _ => 0,
            })
            .sum()
    }

    pub(super) fn fail_catch_ups(&mut self, error: &SyncError) {
        for waiting in std::mem::take(&mut self.catch_ups) {
            self.reports.push(CatchUpReport {
                id: waiting.id,
                done: waiting.done,
                left: 0,
                doing: "stopped".to_owned(),
                finished: true,
                error: Some(error.clone()),
            });
        }
    }

    /// Ends the wait of callers for whom everything is done or waiting is pointless.
    pub(super) fn end_catch_ups(&mut self, now: Now) {
        if self.catch_ups.is_empty() {
            return;
        }
        let open = self.circuit.state() != State::Closed;
        let blocked = self.blocked_trials(now);
        let trials_left = self.trials_left(now);
        let others_left = self.sweep_steps_left(now) + self.just_ended.len() as u64;
        let fresh = !self.needs_summary();
        let quiet = self.circuit.quiet_until(now.mono).is_some();
        let mut ended = Vec::new();
        for waiting in &self.catch_ups {
            let polled = waiting.lists_polled == [true; 2];
            let outstanding = self.outstanding_trials(waiting);
            let is_relevant = |run: &&String| {
                let outstanding = outstanding.as_ref();
                outstanding.is_none_or(|runs| runs.contains(&run.as_str()))
            };
            let failed = FailedTrials::among(blocked.iter().filter(is_relevant), waiting);
            let left = match &outstanding {
                Some(runs) => runs.len() as u64,
                None => others_left + trials_left,
            };
            let left = left.saturating_sub(failed.count());
            let pointless = quiet
                || (open && waiting.failures > 0)
                || (waiting.failures >= MAX_POLL_FAILURES && !polled);
            let caught_up = polled && fresh && left == 0;
            if !pointless && !caught_up {
                continue;
            }
            // Each is of what this caller waited for: the last error of the engine may be of anything else.
            let error = if quiet {
                self.rate_limit_error.as_ref()
            } else if pointless {
                waiting.poll_error.as_ref()
            } else {
                failed.error
            };
            let error = error.or(waiting.sweep_error.as_ref());
            ended.push(CatchUpReport {
                id: waiting.id,
                done: waiting.done,
                left: left + failed.failing,
                doing: if pointless { "stopped" } else { "caught up" }.to_owned(),
                finished: true,
                error: error.cloned(),
            });
        }
        for report in ended {
            self.abandon_catch_up(report.id);
            self.reports.push(report);
        }
    }

    /// Returns the runs whose trials are not confirmed since the time that a caller wants them to be, if it waits
    /// for no more than that: where runs change all the time, there may always be something else to fetch.
    ///
    /// These are some of many; the longest confirmed are first, so that one who asks later is served later.
    fn outstanding_trials(&self, waiting: &CatchUp) -> Option<Vec<&str>> {
        let since = waiting.trials_since.filter(|_| !waiting.sweeps)?;
        let due = self.summary.iter().flat_map(|summary| &summary.trials_due);
        let is_old = |due: &&TrialsDue| due.trials_confirmed_at.is_none_or(|at| at < since);
        Some(due.filter(is_old).map(|due| due.run.as_str()).collect())
    }

    /// Returns the runs whose trials are planned and not requested before some later time.
    fn blocked_trials(&self, now: Now) -> BTreeSet<String> {
        let planned = self.plan(now).into_iter();
        planned
            .filter_map(|planned| match planned.work {
                Work::FetchTrials(run) => Some(run),
                _ => None,
            })
            .filter(|run| {
                let timing = self.due_times.get(&FetchKey::Trials(run.clone()));
                timing.blocked_until > now.mono
            })
            .collect()
    }

    pub(super) fn report_catch_ups(&mut self) {
        let left = self.backlog();
        for waiting in &mut self.catch_ups {
            if waiting.reported == Some(waiting.done) {
                continue;
            }
            waiting.reported = Some(waiting.done);
            self.reports.push(CatchUpReport {
                id: waiting.id,
                done: waiting.done,
                left,
                doing: waiting.doing.clone(),
                finished: false,
                error: None,
            });
        }
    }
}

/// Trials that one caller waited for, that failed and wait for another attempt.
#[derive(Default)]
struct FailedTrials<'a> {
    /// Runs that may have some.
    failing: u64,
    /// Runs that have none: that is an answer, too, and if the run is gone its list will show it.
    missing: u64,
    /// Why the first of the failing ones failed.
    error: Option<&'a SyncError>,
}

impl<'a> FailedTrials<'a> {
    fn among<'b>(blocked: impl Iterator<Item = &'b String>, waiting: &'a CatchUp) -> Self {
        let mut failed = Self::default();
        for error in blocked.filter_map(|run| waiting.failed_trials.get(run)) {
            if error.class() == Some(FaultClass::NotFound) {
                failed.missing += 1;
            } else {
                failed.failing += 1;
                failed.error.get_or_insert(error);
            }
        }
        failed
    }

    fn count(&self) -> u64 {
        self.failing + self.missing
    }
}
