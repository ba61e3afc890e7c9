//! The sweep: reads a whole list, then checks that the runs it did not see are gone.

use std::collections::VecDeque;
use std::time::Duration;

use docks_proto::paging::{ListCapabilities, ListWalk, PageSummary, WalkEnd, WalkOptions};
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;

use super::step::Task;

/// Maximum number of runs that one sweep checks; the next sweep continues with the others.
const MAX_CHECKS: usize = 200;
/// Failures in a row after which a sweep is given up until later.
const MAX_FAILURES: u32 = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Reading the list.
    Paging,
    /// Looking in the mirror for runs that were not seen.
    FindingUnseen,
    /// Fetching these runs one by one.
    CheckingUnseen,
    /// Recording the end.
    Finishing,
}

/// A sweep under way.
#[derive(Debug, Clone)]
pub struct Sweep {
    kind: RunKind,
    began: UnixMs,
    number: Option<u64>,
    walk: ListWalk,
    phase: Phase,
    to_check: VecDeque<String>,
    left_unchecked: bool,
    found_alive: bool,
    found_gone: bool,
    /// Whether the mirror does not believe something yet that the remote said.
    is_unsettled: bool,
    doubted_empty: bool,
    failures: u32,
}

impl Sweep {
    /// Starts a sweep, which tries limits again that were refused before: remotes change.
    #[must_use]
    pub fn new(
        kind: RunKind,
        known: &mut ListCapabilities,
        whole_lists: bool,
        began: UnixMs,
    ) -> Self {
        known.limit_refused_at = None;
        known.limit_capped_at = None;
        Self {
            kind,
            began,
            number: None,
            walk: ListWalk::new(known, WalkOptions::sweep(whole_lists)),
            phase: Phase::Paging,
            to_check: VecDeque::new(),
            left_unchecked: false,
            found_alive: false,
            found_gone: false,
            is_unsettled: false,
            doubted_empty: false,
            failures: 0,
        }
    }

    /// Returns the next task; `confirmed` is when the list was last confirmed.
    #[must_use]
    pub fn next_task(&self, confirmed: UnixMs) -> Task {
        let kind = self.kind;
        match (self.phase, self.number) {
            (Phase::Paging, sweep) => match self.walk.request() {
                Some(page) => Task::SweepPage { kind, sweep, page },
                None => self.finish(confirmed),
            },
            (Phase::FindingUnseen, Some(sweep)) => Task::FindUnseen { kind, sweep },
            (Phase::CheckingUnseen, Some(_)) => match self.to_check.front() {
                Some(id) => Task::CheckUnseen {
                    kind,
                    id: id.clone(),
                },
                None => self.finish(confirmed),
            },
            _ => self.finish(confirmed),
        }
    }

    fn finish(&self, confirmed: UnixMs) -> Task {
        let has_read_all = self.walk.end() == Some(WalkEnd::Complete) && !self.left_unchecked;
        Task::FinishSweep {
            kind: self.kind,
            confirmed,
            complete: has_read_all && !self.found_alive,
            whole_since: (has_read_all && !self.is_unsettled).then_some(self.began),
        }
    }

    /// Records that the mirror waits for another response before it believes this one.
    pub fn record_unsettled(&mut self) {
        self.is_unsettled = true;
    }

    /// Returns whether only the end remains to be recorded.
    #[must_use]
    pub fn is_finishing(&self) -> bool {
        matches!(self.next_task(UnixMs(0)), Task::FinishSweep { .. })
    }

    /// Returns the number of steps that are known to be left.
    #[must_use]
    pub fn left(&self) -> u64 {
        1 + self.to_check.len() as u64
    }

    /// Takes a page; returns `false` if it must be requested again, because it is empty although
    /// the mirror holds rows.
    pub fn accept_page(
        &mut self,
        number: u64,
        page: &PageSummary,
        stored_rows: u64,
        known: &mut ListCapabilities,
    ) -> bool {
        self.failures = 0;
        self.number = Some(number);
        if page.len == 0 && stored_rows > 0 && self.walk.pages() == 0 && !self.doubted_empty {
            self.doubted_empty = true;
            return false;
        }
        self.walk.accept(page, known);
        known.observe_order(&page.created);
        if self.walk.end().is_some() {
            self.phase = Phase::FindingUnseen;
        }
        true
    }

    /// Takes a refusal of the page; returns `false` if a smaller limit cannot help.
    pub fn page_refused(&mut self, known: &mut ListCapabilities) -> bool {
        let continues = self.walk.refused(known);
        if self.walk.end().is_some() && self.number.is_some() {
            self.phase = Phase::FindingUnseen;
        }
        continues
    }

    /// Takes the ids of the runs that were not seen.
    pub fn accept_unseen(&mut self, mut ids: Vec<String>, rng: &mut fastrand::Rng) {
        self.failures = 0;
        if ids.len() > MAX_CHECKS {
            // Some may exist and never be listed. A random choice checks each in some sweep.
            rng.shuffle(&mut ids);
            ids.truncate(MAX_CHECKS);
            self.left_unchecked = true;
        }
        self.to_check = ids.into();
        self.phase = if self.to_check.is_empty() {
            Phase::Finishing
        } else {
            Phase::CheckingUnseen
        };
    }

    /// Takes the result of a check.
    pub fn accept_check(&mut self, gone: bool) {
        self.failures = 0;
        self.to_check.pop_front();
        self.found_alive |= !gone;
        self.found_gone |= gone;
        if self.to_check.is_empty() {
            self.phase = Phase::Finishing;
        }
    }

    /// Whether a run was found to be gone.
    #[must_use]
    pub fn has_found_gone(&self) -> bool {
        self.found_gone
    }

    /// Records a failure; returns `false` if the sweep should be given up.
    pub fn record_failure(&mut self) -> bool {
        self.failures += 1;
        if self.failures < MAX_FAILURES {
            return true;
        }
        // A run that cannot be fetched must not keep the others from being checked.
        if self.phase == Phase::CheckingUnseen {
            self.accept_check(false);
            return true;
        }
        false
    }
}

/// Pause after a sweep that was given up.
pub const RETRY: Duration = Duration::from_secs(600);
/// Minimum time between sweeps that contradictions request, while they find something; each that finds nothing
/// doubles it.
pub const LEAST_GAP: Duration = Duration::from_secs(5);
/// Maximum of that time.
pub const LONGEST_GAP: Duration = Duration::from_secs(600);
