//! What the remote had at which time, to judge answers that claim to be of some time.

use std::collections::HashMap;
use std::time::Duration;

use docks_proto::object::{Lifecycle, lifecycle};

use super::remote_habits::Run;

/// One state of a run: from when on, and the run unless it was deleted.
pub(super) type Version = (Duration, Option<Run>);

/// All states that the runs of the remote ever had.
#[derive(Default)]
pub(super) struct Versions {
    runs: [HashMap<String, Vec<Version>>; 2],
    /// The last time at which the remote showed something else than what it had.
    lied: Option<Duration>,
}

impl Versions {
    /// Records the runs that the remote has from `real` on.
    pub(super) fn record(&mut self, runs: &[Vec<Run>; 2], real: Duration) {
        for (known, runs) in self.runs.iter_mut().zip(runs) {
            for run in runs {
                let versions = known.entry(run.id.clone()).or_default();
                let last = versions.last().and_then(|(_, run)| run.as_ref());
                if last.is_none_or(|last| last.version != run.version) {
                    versions.push((real, Some(run.clone())));
                }
            }
            for (id, versions) in known {
                let is_gone = !runs.iter().any(|run| run.id == *id);
                if is_gone && versions.last().is_some_and(|(_, run)| run.is_some()) {
                    versions.push((real, None));
                }
            }
        }
    }

    pub(super) fn record_lie(&mut self, real: Duration) {
        self.lied = Some(real);
    }

    /// Returns whether all answers after `real` were true.
    pub(super) fn is_honest_since(&self, real: Duration) -> bool {
        self.lied.is_none_or(|lied| lied < real)
    }

    pub(super) fn of(&self, place: usize, id: &str) -> &[Version] {
        self.runs[place].get(id).map_or(&[], Vec::as_slice)
    }

    /// Returns all states of a run, for a failure.
    pub(super) fn describe(&self, place: usize, id: &str) -> String {
        let state = |(from, run): &Version| match run {
            Some(run) => format!("{from:?} {} {:?}\n", run.text(), run.trials),
            None => format!("{from:?} deleted\n"),
        };
        self.of(place, id).iter().map(state).collect()
    }

    /// Returns the states that a run had at `since` or later.
    fn since(&self, place: usize, id: &str, since: Duration) -> &[Version] {
        let all = self.of(place, id);
        // A change at that very time may have been before or after the request.
        let first = all.iter().rposition(|(from, _)| *from < since).unwrap_or(0);
        &all[first..]
    }

    /// Returns whether the remote had this run, with this text, at `since` or later. If it was deleted
    /// meanwhile, any earlier text will do: only a sweep proves that it is gone.
    pub(super) fn had(&self, place: usize, id: &str, text: &str, since: Duration) -> bool {
        let mut shown = self.since(place, id, since);
        if shown.iter().any(|(_, run)| run.is_none()) {
            shown = self.of(place, id);
        }
        let mut runs = shown.iter().flat_map(|(_, run)| run);
        runs.any(|run| run.text() == text)
    }

    /// The same of the trials of an evaluation run.
    pub(super) fn had_trials(&self, run: &str, rows: &[String], since: Duration) -> bool {
        let shown = self.since(1, run, since);
        shown
            .iter()
            .any(|(_, run)| run.as_ref().is_none_or(|run| run.trial_texts() == rows))
    }

    /// Returns whether a run with this text has been active again since, without newer times, which
    /// the mirror believes only when it has seen it twice.
    pub(super) fn may_be_reopened(&self, place: usize, id: &str, text: &str) -> bool {
        let all = self.of(place, id);
        let is_it = |(_, run): &Version| run.as_ref().is_some_and(|run| run.text() == text);
        let Some(at) = all.iter().rposition(is_it) else {
            return false;
        };
        let before = all[at].1.as_ref().expect("it has that text");
        lifecycle(before.status) == Lifecycle::Terminal
            && all[at + 1..].iter().flat_map(|(_, run)| run).any(|run| {
                lifecycle(run.status) == Lifecycle::Active && run.updated <= before.updated
            })
    }

    /// Returns the runs that the remote had all the time from `since` on.
    pub(super) fn always_there(&self, place: usize, since: Duration) -> Vec<&str> {
        let there = self.runs[place].iter().filter(|(id, all)| {
            let shown = self.since(place, id, since);
            all[0].0 < since && shown.iter().all(|(_, run)| run.is_some())
        });
        there.map(|(id, _)| id.as_str()).collect()
    }

    /// Returns the runs that the remote had and has no more, and when each was first deleted.
    pub(super) fn deleted(&self, place: usize) -> Vec<(&str, Duration)> {
        let deleted = self.runs[place].iter().filter_map(|(id, all)| {
            let (first, _) = all.iter().find(|(_, run)| run.is_none())?;
            let is_gone = all.last().is_some_and(|(_, run)| run.is_none());
            is_gone.then_some((id.as_str(), *first))
        });
        deleted.collect()
    }

    /// Returns how often a run, or one of its trials, has ended.
    pub(super) fn ends(&self, place: usize, id: &str, trial: Option<&str>) -> usize {
        let mut ends = 0;
        let mut last = None;
        for run in self.of(place, id).iter().flat_map(|(_, run)| run) {
            let status = match trial {
                None => run.status,
                Some(trial) => run.trials[trial].0,
            };
            let has_ended = lifecycle(status) == Lifecycle::Terminal;
            ends += usize::from(has_ended && last != Some(status));
            last = Some(status);
        }
        ends
    }
}
