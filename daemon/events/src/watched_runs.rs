//! Which runs somebody reads about, so that they are counted and kept polled.

use std::collections::{BTreeSet, HashMap};

use docks_proto::event::{EventQuery, MAX_RUNS_WITH_TRIALS, ObjectKind, Progress};
use docks_proto::routes::RunKind;

use docksd_mirror::{EventWithObject, Resource};

/// Runs that are counted for readers who name none, per batch of changes.
const MOST_UNNAMED: usize = 64;
/// Ticks between two counts of a run of which nothing was heard: rewards come without a change.
const RECOUNT_TICKS: u64 = 5;

#[derive(Debug, Default)]
struct Follow {
    readers: usize,
    with_trials: usize,
    /// What it was counted as last; a kind is missing until it was seen.
    kinds: BTreeSet<ObjectKind>,
    ended: bool,
    settled: bool,
    quiet_ticks: u64,
}

/// Everything that is followed.
#[derive(Debug, Default)]
pub(super) struct Followed {
    readers: usize,
    /// Readers without names, by kind of run.
    lists: [usize; 2],
    runs: HashMap<String, Follow>,
}

fn lists(wanted: &EventQuery) -> impl Iterator<Item = usize> {
    let all = wanted.kinds.is_empty();
    let wants = |kind| all || wanted.kinds.contains(&kind);
    let evaluations = wants(ObjectKind::Evaluation) || wants(ObjectKind::Trial);
    let both = [wants(ObjectKind::Run), evaluations];
    (0..2).filter(move |place| both[*place])
}

fn by_lists(wanted: &EventQuery) -> bool {
    wanted.runs.is_empty() || wanted.runs.len() > MAX_RUNS_WITH_TRIALS
}

fn with_trials(wanted: &EventQuery) -> bool {
    let kinds = &wanted.kinds;
    !by_lists(wanted) && (kinds.is_empty() || kinds.iter().any(|k| *k != ObjectKind::Run))
}

impl Followed {
    /// Returns how many read.
    pub(super) fn readers(&self) -> usize {
        self.readers
    }

    /// Counts a reader in, and returns what it looks at.
    pub(super) fn join(&mut self, wanted: &EventQuery) -> Vec<Resource> {
        self.readers += 1;
        if by_lists(wanted) {
            lists(wanted).for_each(|place| self.lists[place] += 1);
        }
        for run in &wanted.runs {
            let follow = self.runs.entry(run.clone()).or_default();
            follow.readers += 1;
            follow.with_trials += usize::from(with_trials(wanted));
        }
        self.resources()
    }

    /// Counts it out.
    pub(super) fn leave(&mut self, wanted: &EventQuery) {
        self.readers -= 1;
        if by_lists(wanted) {
            lists(wanted).for_each(|place| self.lists[place] -= 1);
        }
        for run in &wanted.runs {
            if let Some(follow) = self.runs.get_mut(run) {
                follow.readers -= 1;
                follow.with_trials -= usize::from(with_trials(wanted));
                if follow.readers == 0 {
                    self.runs.remove(run);
                }
            }
        }
    }

    /// Returns what is looked at.
    ///
    /// Lists are left out: an active one is polled anyway, and one in which nothing is active
    /// shall cost no more for being watched.
    pub(super) fn resources(&self) -> Vec<Resource> {
        let mut resources = Vec::new();
        for (run, follow) in self.runs.iter().filter(|(_, follow)| !follow.settled) {
            if follow.with_trials > 0 && follow.kinds.contains(&ObjectKind::Evaluation) {
                resources.push(Resource::Trials(run.clone()));
            }
            if follow.kinds.contains(&ObjectKind::Run) {
                resources.push(Resource::Run(RunKind::Run, run.clone()));
            }
            if follow.kinds.is_empty() && follow.with_trials > 0 {
                // Not counted yet: a look at the trials of a plain run does no harm.
                resources.push(Resource::Trials(run.clone()));
            }
        }
        resources
    }

    /// Returns the runs to count after these changes.
    pub(super) fn due(&mut self, told: &[EventWithObject], ticked: bool) -> Vec<String> {
        let mut due: BTreeSet<&str> = BTreeSet::new();
        let unnamed = self.lists[1] > 0;
        let mut spare = MOST_UNNAMED;
        for EventWithObject { event, .. } in told {
            let run = event.run.as_str();
            if self.runs.contains_key(run) {
                due.insert(run);
            } else if unnamed && spare > 0 && due.insert(run) {
                spare -= 1;
            }
        }
        for (run, follow) in &mut self.runs {
            // The end of a run is often learned before that of its trials.
            let settling = follow.ended && !follow.settled;
            follow.quiet_ticks += u64::from(ticked);
            let long = follow.quiet_ticks >= RECOUNT_TICKS && !follow.settled;
            if settling || long || follow.kinds.is_empty() {
                due.insert(run);
            }
        }
        due.into_iter().map(str::to_owned).collect()
    }

    /// Takes what a count found.
    pub(super) fn counted(&mut self, counts: &[Progress]) {
        for (run, follow) in &mut self.runs {
            let mut of = counts.iter().filter(|p| p.run_id == *run).peekable();
            if of.peek().is_none() {
                continue;
            }
            // A job that is known under both kinds has settled when both have.
            (follow.quiet_ticks, follow.ended, follow.settled) = (0, true, true);
            for progress in of {
                follow.kinds.extend(progress.kind);
                follow.ended &= progress.ended;
                follow.settled &= progress.settled;
            }
        }
    }
}
