//! Which runs are watched, so that they are counted and polled often.

use std::collections::{BTreeSet, HashMap};

use docks_proto::event::{EventQuery, MAX_RUNS_WITH_TRIALS, ObjectKind, Progress};
use docks_proto::routes::RunKind;
use docksd_mirror::{EventWithObject, Resource};

/// Runs counted per batch of changes for subscribers whose query names no runs.
const MAX_UNNAMED_RUNS: usize = 64;
/// Ticks between two counts of a run without changes: rewards arrive without a change of status.
const RECOUNT_TICKS: u64 = 5;

/// One watched run.
#[derive(Debug, Default)]
struct WatchedRun {
    subscribers: usize,
    /// Subscribers who also watch its trials.
    trial_subscribers: usize,
    /// The kinds under which the last count found it; empty until it is found.
    kinds: BTreeSet<ObjectKind>,
    ended: bool,
    settled: bool,
    /// Ticks since the last count.
    ticks_since_count: u64,
}

/// Everything that is watched.
#[derive(Debug, Default)]
pub(super) struct WatchedRuns {
    subscribers: usize,
    /// Subscribers to any evaluation run, because they name none or too many.
    unnamed_evaluation_subscribers: usize,
    runs: HashMap<String, WatchedRun>,
}

/// Whether a query covers evaluation runs or trials without naming few enough runs.
fn watches_any_evaluation(query: &EventQuery) -> bool {
    let selects = |kind| query.kinds.is_empty() || query.kinds.contains(&kind);
    watches_lists(query) && (selects(ObjectKind::Evaluation) || selects(ObjectKind::Trial))
}

fn watches_lists(query: &EventQuery) -> bool {
    query.runs.is_empty() || query.runs.len() > MAX_RUNS_WITH_TRIALS
}

fn watches_trials(query: &EventQuery) -> bool {
    let kinds = &query.kinds;
    !watches_lists(query) && (kinds.is_empty() || kinds.iter().any(|k| *k != ObjectKind::Run))
}

impl WatchedRuns {
    /// Returns the number of subscribers.
    pub(super) fn subscribers(&self) -> usize {
        self.subscribers
    }

    /// Adds a subscriber, and returns the resources that are watched now.
    pub(super) fn add_subscriber(&mut self, query: &EventQuery) -> Vec<Resource> {
        self.subscribers += 1;
        self.unnamed_evaluation_subscribers += usize::from(watches_any_evaluation(query));
        for id in &query.runs {
            let run = self.runs.entry(id.clone()).or_default();
            run.subscribers += 1;
            run.trial_subscribers += usize::from(watches_trials(query));
        }
        self.resources()
    }

    /// Removes a subscriber.
    pub(super) fn remove_subscriber(&mut self, query: &EventQuery) {
        self.subscribers -= 1;
        self.unnamed_evaluation_subscribers -= usize::from(watches_any_evaluation(query));
        for id in &query.runs {
            if let Some(run) = self.runs.get_mut(id) {
                run.subscribers -= 1;
                run.trial_subscribers -= usize::from(watches_trials(query));
                if run.subscribers == 0 {
                    self.runs.remove(id);
                }
            }
        }
    }

    /// Returns the resources that should be polled often.
    ///
    /// Lists are left out: an active one is polled anyway, and watching one without active runs
    /// must not cost more requests.
    pub(super) fn resources(&self) -> Vec<Resource> {
        let mut resources = Vec::new();
        for (id, run) in self.runs.iter().filter(|(_, run)| !run.settled) {
            if run.trial_subscribers > 0 && run.kinds.contains(&ObjectKind::Evaluation) {
                resources.push(Resource::Trials(id.clone()));
            }
            if run.kinds.contains(&ObjectKind::Run) {
                resources.push(Resource::Run(RunKind::Run, id.clone()));
            }
            if run.kinds.is_empty() && run.trial_subscribers > 0 {
                // Not found yet: polling the trials of a plain run does no harm.
                resources.push(Resource::Trials(id.clone()));
            }
        }
        resources
    }

    /// Returns the runs to count after these events; `ticked` also advances the clock by a tick.
    pub(super) fn runs_to_count(
        &mut self,
        events: &[EventWithObject],
        ticked: bool,
    ) -> Vec<String> {
        let mut due: BTreeSet<&str> = BTreeSet::new();
        let counts_unnamed = self.unnamed_evaluation_subscribers > 0;
        let mut unnamed_left = MAX_UNNAMED_RUNS;
        for EventWithObject { event, .. } in events {
            let id = event.run.as_str();
            if self.runs.contains_key(id) {
                due.insert(id);
            } else if counts_unnamed && unnamed_left > 0 && due.insert(id) {
                unnamed_left -= 1;
            }
        }
        for (id, run) in &mut self.runs {
            // The end of a run is often learned before that of its trials.
            let settling = run.ended && !run.settled;
            run.ticks_since_count += u64::from(ticked);
            let overdue = run.ticks_since_count >= RECOUNT_TICKS && !run.settled;
            if settling || overdue || run.kinds.is_empty() {
                due.insert(id);
            }
        }
        due.into_iter().map(str::to_owned).collect()
    }

    /// Stores the result of a count.
    pub(super) fn apply_counts(&mut self, counts: &[Progress]) {
        for (id, run) in &mut self.runs {
            let mut of_run = counts.iter().filter(|p| p.run_id == *id).peekable();
            if of_run.peek().is_none() {
                continue;
            }
            // A job listed under both kinds has settled when both have.
            (run.ticks_since_count, run.ended, run.settled) = (0, true, true);
            for progress in of_run {
                run.kinds.extend(progress.kind);
                run.ended &= progress.ended;
                run.settled &= progress.settled;
            }
        }
    }
}
