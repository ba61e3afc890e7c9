//! One full walk through a list, and the proof that what it did not see is gone.

use std::collections::VecDeque;
use std::time::Duration;

use docks_proto::paging::{ListCapabilities, ListWalk, PageSummary, WalkEnd, WalkOptions};
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;

use super::task::Task;

/// Runs that one sweep asks for singly; the next sweep goes on with the others.
const MOST_PROOFS: usize = 200;
/// Failures in a row after which a sweep is given up until later.
const MOST_FAILURES: u32 = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Paging,
    Unseen,
    Proving,
    Ending,
}

/// A sweep under way.
#[derive(Debug, Clone)]
pub struct Sweep {
    kind: RunKind,
    number: Option<u64>,
    walk: ListWalk,
    phase: Phase,
    to_prove: VecDeque<String>,
    unproved: bool,
    alive: bool,
    doubted: bool,
    failures: u32,
}

impl Sweep {
    /// Starts; what the list refused before is tried again, for servers change.
    #[must_use]
    pub fn new(kind: RunKind, facts: &mut ListCapabilities, whole_lists: bool) -> Self {
        facts.limit_refused_at = None;
        facts.limit_capped_at = None;
        Self {
            kind,
            number: None,
            walk: ListWalk::new(facts, WalkOptions::sweep(whole_lists)),
            phase: Phase::Paging,
            to_prove: VecDeque::new(),
            unproved: false,
            alive: false,
            doubted: false,
            failures: 0,
        }
    }

    /// Returns the next task; `confirmed` is when the list was last confirmed.
    #[must_use]
    pub fn task(&self, confirmed: UnixMs) -> Task {
        let kind = self.kind;
        match (self.phase, self.number) {
            (Phase::Paging, sweep) => match self.walk.request() {
                Some(page) => Task::SweepPage { kind, sweep, page },
                None => self.end(confirmed),
            },
            (Phase::Unseen, Some(sweep)) => Task::Unseen { kind, sweep },
            (Phase::Proving, Some(sweep)) => match self.to_prove.front() {
                Some(id) => Task::Prove {
                    kind,
                    id: id.clone(),
                    sweep,
                },
                None => self.end(confirmed),
            },
            _ => self.end(confirmed),
        }
    }

    fn end(&self, confirmed: UnixMs) -> Task {
        Task::SweepEnd {
            kind: self.kind,
            confirmed,
            whole: self.walk.end() == Some(WalkEnd::Complete) && !self.alive && !self.unproved,
        }
    }

    /// Returns whether only the note of its end is left.
    #[must_use]
    pub fn ending(&self) -> bool {
        matches!(self.task(UnixMs(0)), Task::SweepEnd { .. })
    }

    /// Returns the steps that are known to be left, at least.
    #[must_use]
    pub fn left(&self) -> u64 {
        1 + self.to_prove.len() as u64
    }

    /// Takes a page; `false` when it is to be asked for again, because it is empty though
    /// the mirror holds rows.
    pub fn page(
        &mut self,
        number: u64,
        page: &PageSummary,
        held: u64,
        facts: &mut ListCapabilities,
    ) -> bool {
        self.failures = 0;
        self.number = Some(number);
        if page.len == 0 && held > 0 && self.walk.pages() == 0 && !self.doubted {
            self.doubted = true;
            return false;
        }
        self.walk.accept(page, facts);
        facts.observe_order(&page.created);
        if self.walk.end().is_some() {
            self.phase = Phase::Unseen;
        }
        true
    }

    /// Takes a refusal of the page as such; `false` when nothing smaller is left to ask.
    pub fn refused(&mut self, facts: &mut ListCapabilities) -> bool {
        let goes_on = self.walk.refused(facts);
        if self.walk.end().is_some() && self.number.is_some() {
            self.phase = Phase::Unseen;
        }
        goes_on
    }

    /// Takes the rows that were not seen.
    pub fn unseen(&mut self, mut ids: Vec<String>, rng: &mut fastrand::Rng) {
        self.failures = 0;
        if ids.len() > MOST_PROOFS {
            // Any of them may be one that exists and is never listed; by chance each gets
            // its turn in some sweep.
            rng.shuffle(&mut ids);
            ids.truncate(MOST_PROOFS);
            self.unproved = true;
        }
        self.to_prove = ids.into();
        self.phase = if self.to_prove.is_empty() {
            Phase::Ending
        } else {
            Phase::Proving
        };
    }

    /// Takes a proof.
    pub fn proved(&mut self, gone: bool) {
        self.failures = 0;
        self.to_prove.pop_front();
        self.alive |= !gone;
        if self.to_prove.is_empty() {
            self.phase = Phase::Ending;
        }
    }

    /// Takes a failure; `false` when the sweep should be given up.
    pub fn failed(&mut self) -> bool {
        self.failures += 1;
        if self.failures < MOST_FAILURES {
            return true;
        }
        // One run that cannot be asked for must not keep the others from being proved.
        if self.phase == Phase::Proving {
            self.proved(false);
            return true;
        }
        false
    }
}

/// Pause before a sweep that was given up is tried again.
pub const RETRY: Duration = Duration::from_secs(600);
/// Pause between sweeps that were asked for by a contradiction.
pub const LEAST_GAP: Duration = Duration::from_secs(60);
