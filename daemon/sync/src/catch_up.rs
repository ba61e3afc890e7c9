//! Doing everything now because somebody waits for it, and saying how far it is.

use std::time::Duration;

use docks_proto::error::{ErrorCode, ErrorDetail};
use docks_proto::routes::RunKind;

use docksd_remote::FaultClass;

use super::circuit_breaker::State;
use super::clock::Now;
use super::plan::Chore;
use super::state::{Core, index};
use super::task::{FetchKey, Step, SyncError};

/// Failures of a list's head after which waiting for it is in vain.
const HEAD_FAILURES: u32 = 3;

/// One who waits for the mirror to catch up.
#[derive(Debug)]
pub struct CatchUp {
    id: u64,
    began: Duration,
    done: u64,
    heads: [bool; 2],
    full: bool,
    open_trials: bool,
    failures: u32,
    doing: String,
    reported: Option<u64>,
}

/// Progress for one who waits.
#[derive(Debug, Clone)]
pub struct Report {
    /// Who.
    pub id: u64,
    /// Steps done.
    pub done: u64,
    /// Steps known to be left.
    pub left: u64,
    /// What was done last.
    pub doing: String,
    /// Whether it is over.
    pub finished: bool,
    /// Why it ended early.
    pub error: Option<ErrorDetail>,
}

impl Core {
    /// Starts catching up; a list that was never swept is swept even without `full`.
    pub fn catch_up(&mut self, id: u64, full: bool, now: Now) {
        for kind in RunKind::ALL {
            self.schedule.hasten(&FetchKey::Window(kind));
            let track = &mut self.lists[index(kind)];
            track.turn = 0;
            if full || track.swept_at.is_none() {
                track.sweep_due = Some(now.mono);
            }
        }
        self.stale_summary = true;
        // Somebody asks: as good a moment for a probe as any.
        self.circuit.probe_now(now.mono);
        self.catch_ups.push(CatchUp {
            id,
            began: now.mono,
            done: 0,
            heads: [false; 2],
            full,
            open_trials: full,
            failures: 0,
            doing: "starting".to_owned(),
            reported: None,
        });
    }

    /// Wants trials that change though nobody watches them, once it is known which runs are
    /// active: those of active runs, and those that were not ended when their run was.
    fn look_at_open_trials(&mut self, now: Now) {
        let ready = |waiting: &&mut CatchUp| waiting.open_trials && waiting.heads == [true; 2];
        let mut since = None;
        for waiting in self.catch_ups.iter_mut().filter(ready) {
            waiting.open_trials = false;
            since = since.max(Some(waiting.began));
        }
        let Some(since) = since else {
            return;
        };
        for (_, due) in self.rechecks.values_mut() {
            *due = now.mono;
        }
        let active = self.summary.iter().flat_map(|summary| &summary.active);
        for run in active.filter(|run| run.kind == RunKind::Evaluation) {
            let asked = self.schedule.get(&FetchKey::Trials(run.id.clone())).began;
            if asked.is_none_or(|began| began < since) {
                let first = (0, now.mono);
                self.rechecks.entry(run.id.clone()).or_insert(first);
            }
        }
    }

    /// Tells whether the trials of ended runs are brought though nobody looks at them: always
    /// with `backfill`, and else while somebody waits for really everything.
    pub(super) fn brings_all_trials(&self) -> bool {
        self.options.backfill || self.catch_ups.iter().any(|waiting| waiting.full)
    }

    /// Returns how many runs are still to get their trials.
    fn trials_left(&self, now: Now) -> u64 {
        if !self.brings_all_trials() {
            return 0;
        }
        let due = self.summary.as_ref().map_or(1, |s| s.trials_due_total);
        due.saturating_add(self.rechecking(now))
    }

    fn rechecking(&self, now: Now) -> u64 {
        let due = self.rechecks.values().filter(|(_, due)| *due <= now.mono);
        due.count() as u64
    }

    /// Returns progress since the last call.
    pub fn take_reports(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.reports)
    }

    /// Ends a catching up that nobody waits for any more.
    pub fn abandon_catch_up(&mut self, id: u64) {
        self.catch_ups.retain(|waiting| waiting.id != id);
    }

    pub(super) fn note_heads(&mut self, kind: RunKind, step: &Step) {
        let mut early = false;
        for waiting in &mut self.catch_ups {
            waiting.heads[index(kind)] |= step.began.mono >= waiting.began;
            early |= !waiting.heads[index(kind)];
        }
        if early {
            // It was under way already; what is waited for is the next one.
            self.schedule.hasten(&FetchKey::Window(kind));
        }
    }

    pub(super) fn note_head_failed(&mut self) {
        for waiting in &mut self.catch_ups {
            waiting.failures += 1;
        }
    }

    pub(super) fn count_catch_ups(&mut self, step: &Step) {
        if step.task.requests() == 0 {
            return;
        }
        for waiting in &mut self.catch_ups {
            waiting.done += 1;
            waiting.doing = step.task.describe();
        }
    }

    fn sweeping(&self, now: Now) -> u64 {
        self.lists
            .iter()
            .map(|track| match (&track.sweep, track.sweep_due) {
                (Some(sweep), _) => sweep.left(),
                // One that was given up and waits for its next try is not waited for.
                (None, Some(due)) if due <= now.mono => 1,
                _ => 0,
            })
            .sum()
    }

    pub(super) fn fail_catch_ups(&mut self, error: &SyncError) {
        for waiting in std::mem::take(&mut self.catch_ups) {
            self.reports.push(Report {
                id: waiting.id,
                done: waiting.done,
                left: 0,
                doing: "stopped".to_owned(),
                finished: true,
                error: Some(detail(error)),
            });
        }
    }

    /// Ends those whose wait is over or in vain.
    pub(super) fn end_catch_ups(&mut self, now: Now) {
        if self.catch_ups.is_empty() {
            return;
        }
        if !self.wants_summary() {
            self.look_at_open_trials(now);
        }
        let open = self.circuit.state() != State::Closed;
        let failing = self.failing_trials(now);
        let due = self.trials_left(now).saturating_sub(failing);
        let left = self.sweeping(now) + due + self.settling.len() as u64;
        let fresh = !self.wants_summary();
        let quiet = self.circuit.quiet_until(now.mono).is_some();
        let error = self.last_error.as_ref().map(detail);
        let mut over = Vec::new();
        for waiting in &self.catch_ups {
            let heads = waiting.heads == [true; 2];
            let in_vain = quiet
                || (open && waiting.failures > 0)
                || (waiting.failures >= HEAD_FAILURES && !heads);
            let caught_up = heads && fresh && left == 0;
            if !in_vain && !caught_up {
                continue;
            }
            let error = if in_vain || failing > 0 {
                error.clone()
            } else {
                None
            };
            over.push(Report {
                id: waiting.id,
                done: waiting.done,
                left: left + failing,
                doing: if in_vain { "stopped" } else { "caught up" }.to_owned(),
                finished: true,
                error,
            });
        }
        for report in over {
            self.abandon_catch_up(report.id);
            self.reports.push(report);
        }
    }

    /// Returns how many runs' trials failed and wait for another try.
    fn failing_trials(&self, now: Now) -> u64 {
        self.plan(now)
            .iter()
            .filter(|p| matches!(&p.chore, Chore::Trials(_)) && p.due > now.mono)
            .filter(|p| self.schedule.get(&p.chore.want()).failures > 0)
            .count() as u64
    }

    pub(super) fn report_catch_ups(&mut self) {
        let left = self.backlog();
        for waiting in &mut self.catch_ups {
            if waiting.reported == Some(waiting.done) {
                continue;
            }
            waiting.reported = Some(waiting.done);
            self.reports.push(Report {
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

/// Says an error in the terms that cross the socket.
#[must_use]
pub fn detail(error: &SyncError) -> ErrorDetail {
    let code = match error.class() {
        None => ErrorCode::Internal,
        Some(FaultClass::NotFound) => ErrorCode::NotFound,
        Some(FaultClass::Auth) => ErrorCode::Unauthorized,
        Some(FaultClass::RateLimited) => ErrorCode::RateLimited,
        Some(FaultClass::Rejected) => ErrorCode::RemoteBroken,
        Some(FaultClass::Outage) => ErrorCode::RemoteUnreachable,
        Some(FaultClass::Unsupported) => ErrorCode::Unsupported,
    };
    let mut detail = ErrorDetail::new(code, error.chain());
    detail.retry_after_s = error.retry_after().map(|after| after.as_secs());
    detail
}
