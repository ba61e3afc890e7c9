//! The runs of one remote whose artifacts are still to be fetched, and when each is tried again.
//!
//! The mirror stores it as a note, so that what failed is tried again by the next daemon too.

use std::collections::BTreeSet;
use std::time::Duration;

use docks_artifacts::digest::Sha256;
use docks_proto::status::{PrefetchGivenUp, PrefetchStatus};
use docks_proto::time::UnixMs;
use serde::{Deserialize, Serialize};

/// Pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// Longest pause: a store that is back after a night is noticed within the hour.
const MAX_PAUSE: Duration = Duration::from_secs(3_600);

/// How long after its end a run is tried; longer than any outage that someone leaves alone.
const GIVE_UP_AFTER: Duration = Duration::from_secs(7 * 86_400);

/// Attempts for artifacts that the store does not have: they may be uploaded a little after the end.
const MAX_ATTEMPTS_FOR_MISSING: u32 = 5;

/// The runs of one remote that are still to be fetched.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Backlog {
    runs: Vec<PendingRun>,
    /// Number of runs that were given up.
    given_up: u64,
    last_given_up: Option<PrefetchGivenUp>,
}

/// A run whose artifacts are still to be fetched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct PendingRun {
    pub(super) run: String,
    /// When the mirror saw its end.
    pub(super) observed_ms: UnixMs,
    /// When its end was read; what is cached since then is not fetched again.
    pub(super) since_ms: UnixMs,
    #[serde(default)]
    pub(super) failures: u32,
    /// When the next attempt is due.
    pub(super) next_ms: UnixMs,
    /// Why the last attempt failed.
    #[serde(default)]
    error: Option<String>,
    /// What this process has fetched of it, even if the cache has evicted it since: fetching that again
    /// would evict other parts of the same run, for days.
    #[serde(skip)]
    pub(super) fetched: BTreeSet<Sha256>,
    /// How often it had to make room for other runs.
    #[serde(skip)]
    pub(super) yields: u32,
}

/// How an attempt to fetch the artifacts of a run went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AttemptResult {
    /// Nothing is left to fetch.
    Complete,
    /// The remote no longer has the run.
    RunGone,
    /// Something could not be fetched.
    Failed {
        /// The first cause.
        error: String,
        /// Whether all that is left is what the store does not have.
        lasting: bool,
    },
    /// It made room for other runs.
    Yielded,
    /// The mirror was closed.
    Closed,
}

impl Backlog {
    /// Parses a note; one that cannot be parsed is as good as none.
    pub(super) fn parse(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).expect("a backlog holds only strings and numbers")
    }

    /// Adds a run that has ended; due at once, also if it was in the backlog before.
    pub(super) fn add(&mut self, run: &str, observed: UnixMs, now: UnixMs) {
        self.runs.retain(|pending| pending.run != run);
        self.runs.push(PendingRun {
            run: run.to_owned(),
            observed_ms: observed,
            since_ms: now,
            failures: 0,
            next_ms: now,
            error: None,
            fetched: BTreeSet::new(),
            yields: 0,
        });
    }

    /// Goes on with a run under another id, unless it has ended once more under that one.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        let is_known = self.runs.iter().any(|pending| pending.run == to);
        self.runs.retain(|pending| pending.run != from || !is_known);
        for pending in self.runs.iter_mut().filter(|pending| pending.run == from) {
            to.clone_into(&mut pending.run);
        }
    }

    /// Returns the runs that are due, the one that has waited longest first.
    pub(super) fn due(&self, now: UnixMs) -> Vec<&PendingRun> {
        let mut due: Vec<&PendingRun> = self.runs.iter().filter(|run| run.is_due(now)).collect();
        due.sort_by_key(|run| run.next_ms);
        due
    }

    /// Records how an attempt went; returns why the run was given up, if it was.
    pub(super) fn record(
        &mut self,
        attempted: &PendingRun,
        result: &AttemptResult,
        now: UnixMs,
    ) -> Option<String> {
        let started =
            |run: &PendingRun| run.run == attempted.run && run.since_ms == attempted.since_ms;
        // Another end of the same run may have been added during the attempt; that is not done yet.
        let index = self.runs.iter().position(started)?;
        let reason = match result {
            AttemptResult::Complete => {
                self.runs.remove(index);
                return None;
            }
            AttemptResult::Closed => return None,
            AttemptResult::RunGone => "the remote no longer has the run".to_owned(),
            AttemptResult::Yielded => {
                let run = &mut self.runs[index];
                run.next_ms = now;
                run.yields += 1;
                run.fetched.clone_from(&attempted.fetched);
                return None;
            }
            AttemptResult::Failed { error, lasting } => {
                let run = &mut self.runs[index];
                run.failures = run.failures.saturating_add(1);
                let is_missing = *lasting && run.failures >= MAX_ATTEMPTS_FOR_MISSING;
                if !is_missing && now.since(run.since_ms) < GIVE_UP_AFTER {
                    run.next_ms = now.plus(pause(run.failures));
                    run.error = Some(error.clone());
                    run.fetched.clone_from(&attempted.fetched);
                    return None;
                }
                error.clone()
            }
        };
        let run = self.runs.remove(index);
        self.given_up += 1;
        self.last_given_up = Some(PrefetchGivenUp {
            run: run.run,
            at: now.rfc3339(),
            reason: reason.clone(),
        });
        Some(reason)
    }

    /// Describes the backlog for the daemon's status; `None` if there is nothing to say.
    pub(super) fn status(&self) -> Option<PrefetchStatus> {
        if self.runs.is_empty() && self.given_up == 0 {
            return None;
        }
        let next = self.runs.iter().min_by_key(|run| run.next_ms);
        let failed = self.runs.iter().filter(|run| run.error.is_some());
        let last_failed = failed.max_by_key(|run| run.next_ms);
        Some(PrefetchStatus {
            pending: self.runs.len() as u64,
            next_attempt: next.map(|run| run.next_ms.rfc3339()),
            last_error: last_failed.and_then(|run| run.error.clone()),
            given_up: self.given_up,
            last_given_up: self.last_given_up.clone(),
        })
    }
}

impl PendingRun {
    /// Whether an attempt is due; after the clock was set back, no run waits longer than the longest pause.
    fn is_due(&self, now: UnixMs) -> bool {
        self.next_ms <= now || self.next_ms > now.plus(MAX_PAUSE)
    }
}

/// Returns the pause after this many failures.
fn pause(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    MAX_PAUSE.min(FIRST_PAUSE * (1 << doublings))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: UnixMs = UnixMs(1_000_000);

    fn failed(lasting: bool) -> AttemptResult {
        AttemptResult::Failed {
            error: "down".to_owned(),
            lasting,
        }
    }

    fn one_run() -> Backlog {
        let mut backlog = Backlog::default();
        backlog.add("r", START, START);
        backlog
    }

    /// Fails one attempt after the other; returns the pauses between them, and how long it went on.
    fn fail_until_given_up(lasting: bool) -> (Backlog, Vec<u64>, Duration) {
        let (mut backlog, mut now, mut pauses) = (one_run(), START, Vec::new());
        loop {
            let run = backlog.due(now)[0].clone();
            if let Some(reason) = backlog.record(&run, &failed(lasting), now) {
                assert_eq!(reason, "down");
                return (backlog, pauses, now.since(START));
            }
            // As the next daemon reads it.
            backlog = Backlog::parse(&backlog.text());
            let next = backlog.runs[0].next_ms;
            assert!(backlog.due(UnixMs(next.0 - 1)).is_empty());
            pauses.push(next.since(now).as_secs());
            now = next;
        }
    }

    #[test]
    fn pauses_grow_over_restarts_until_the_run_is_given_up_after_a_week() {
        let (backlog, pauses, took) = fail_until_given_up(false);
        assert_eq!(pauses[..5], [5, 10, 20, 40, 80]);
        assert!(pauses.is_sorted() && pauses.last() == Some(&3_600));
        let week = Duration::from_secs(7 * 86_400);
        assert!(took >= week && took < week + MAX_PAUSE, "{took:?}");
        let status = backlog.status().unwrap();
        assert_eq!((status.pending, status.given_up), (0, 1));
        assert_eq!(status.last_given_up.unwrap().run, "r");
    }

    #[test]
    fn what_the_store_does_not_have_is_given_up_after_some_attempts() {
        let (_, pauses, _) = fail_until_given_up(true);
        assert_eq!(pauses, [5, 10, 20, 40]);
    }

    #[test]
    fn a_run_that_ends_again_during_an_attempt_is_fetched_again() {
        let mut backlog = one_run();
        let run = backlog.due(START)[0].clone();
        let later = UnixMs(START.0 + 1);
        backlog.add("r", later, later);
        backlog.record(&run, &AttemptResult::Complete, later);
        let run = backlog.due(later)[0].clone();
        backlog.record(&run, &AttemptResult::Complete, later);
        assert_eq!(backlog, Backlog::default());
        assert_eq!(backlog.status(), None);
    }

    #[test]
    fn a_run_that_made_room_is_behind_those_that_waited_and_has_not_failed() {
        let mut backlog = one_run();
        let run = backlog.due(START)[0].clone();
        backlog.add("s", START, UnixMs(START.0 + 1));
        let later = UnixMs(START.0 + 2);
        backlog.record(&run, &AttemptResult::Yielded, later);
        let due: Vec<&str> = backlog.due(later).iter().map(|r| r.run.as_str()).collect();
        assert_eq!(due, ["s", "r"]);
        assert_eq!(backlog.due(later)[1].failures, 0);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_hold_up_a_run() {
        let mut backlog = one_run();
        let run = backlog.due(START)[0].clone();
        backlog.record(&run, &failed(false), START);
        assert!(backlog.due(START).is_empty());
        assert_eq!(backlog.due(START.minus(2 * MAX_PAUSE)).len(), 1);
    }

    #[test]
    fn a_run_that_gets_another_id_keeps_its_turn_and_is_there_once() {
        let mut backlog = one_run();
        let run = backlog.due(START)[0].clone();
        backlog.record(&run, &failed(false), START);
        backlog.rename("r", "real");
        let next = START.plus(FIRST_PAUSE);
        let renamed = backlog.due(next)[0].clone();
        assert_eq!((renamed.run.as_str(), renamed.failures), ("real", 1));
        backlog.add("r", START, START);
        backlog.rename("r", "real");
        assert_eq!(backlog.due(next), [&renamed]);
    }

    #[test]
    fn a_run_that_the_remote_no_longer_has_is_given_up() {
        let mut backlog = one_run();
        let run = backlog.due(START)[0].clone();
        assert!(
            backlog
                .record(&run, &AttemptResult::RunGone, START)
                .is_some()
        );
        assert!(backlog.due(START).is_empty());
    }
}
