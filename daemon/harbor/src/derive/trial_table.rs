//! The facts of a job's trials, kept while it runs: after a change of one trial, only that one is derived again.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::sync::{Arc, LazyLock};

use crate::derive::trial_facts::{PlanFacts, PlanKeys, Terms, TrialFacts};
use crate::derive::trial_state::JobActivity;
use crate::derive::trial_view::{JobContext, TrialView, derive_trial};
use crate::derive::unstarted_trials::find_unstarted;
use crate::disk::cached_file::FileState;
use crate::snapshot::job_snapshot::JobSnapshot;
use crate::snapshot::trial_snapshot::TrialSnapshot;
use crate::utc::Utc;

/// The trials of one job in the order of the list, oldest first.
#[derive(Debug, Default)]
pub(crate) struct TrialTable {
    /// What they were derived from besides their own files; `None` before the first update.
    basis: Option<Basis>,
    /// The version of the content that was read last.
    read_until: u64,
    terms: Terms,
    plan: Vec<PlanFacts>,
    rows: BTreeMap<RowKey, Row>,
    /// Where the trials that have a folder stand, by its name.
    keys: BTreeMap<OsString, RowKey>,
    /// How many rows there are by their keys.
    started: BTreeMap<PlanKeys, usize>,
    /// Folders of the trials that depend on more than that and on their own result.
    open: BTreeSet<OsString>,
}

/// What all rows depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Basis {
    context: JobContext,
    /// What the plan was read from.
    plan: Option<u64>,
    /// Whether trials are derived from the job's result, with which all of them may change.
    is_by_job_result: bool,
}

/// The place of a trial in the list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct RowKey {
    started: Option<Utc>,
    name: Arc<str>,
    /// The name of its folder if that is another one.
    folder: Option<OsString>,
}

/// A trial in the list.
#[derive(Debug)]
pub(crate) struct Row {
    /// What the figures need of it.
    pub(crate) facts: TrialFacts,
    /// The version of its content, if its object depends on nothing but that and what all trials of the job have in
    /// common.
    pub(crate) content: Option<u64>,
}

impl TrialTable {
    /// Brings it up to date.
    pub(crate) fn update(&mut self, job: &JobSnapshot, context: JobContext) {
        let result = job.result.content();
        let is_by_job_result = !job.absent_trials.is_empty()
            || result.is_some_and(|result| !result.embedded.is_empty());
        let basis = Basis {
            context,
            plan: job.lock.digest(),
            is_by_job_result,
        };
        let before = self.basis.replace(basis);
        if before != Some(basis) || is_by_job_result {
            self.rebuild(job, context);
        } else {
            self.update_changed(job, context);
        }
        self.read_until = job.trials.newest_version();
    }

    fn rebuild(&mut self, job: &JobSnapshot, context: JobContext) {
        self.terms = Terms::default();
        self.rows.clear();
        self.keys.clear();
        self.started.clear();
        self.open.clear();
        let plan = job.lock.content().map(|lock| lock.plan.as_slice());
        let plan = plan.unwrap_or_default().iter();
        self.plan = plan.map(|planned| self.terms.plan_facts(planned)).collect();
        for (folder, trial) in job.trials.by_name() {
            self.put(job, context, Some(folder), trial);
        }
        for trial in job.absent_trials.values() {
            self.put(job, context, None, trial);
        }
    }

    fn update_changed(&mut self, job: &JobSnapshot, context: JobContext) {
        let mut changed = std::mem::take(&mut self.open);
        let read = job.trials.read_since(self.read_until);
        changed.extend(read.map(OsStr::to_owned));
        for folder in changed {
            match job.trials.by_name().get(&folder) {
                Some(trial) => self.put(job, context, Some(&folder), trial),
                None => self.remove(&folder),
            }
        }
        // Whatever is new is there by now, so others are gone if the numbers differ.
        if self.keys.len() != job.trials.len() {
            let known = job.trials.by_name();
            let gone = self
                .keys
                .keys()
                .filter(|folder| !known.contains_key(*folder));
            for folder in gone.cloned().collect::<Vec<_>>() {
                self.remove(&folder);
            }
        }
    }

    fn remove(&mut self, folder: &OsStr) {
        if let Some(key) = self.keys.remove(folder) {
            self.remove_row(&key);
        }
    }

    fn remove_row(&mut self, key: &RowKey) {
        let Some(row) = self.rows.remove(key) else {
            return;
        };
        if let Some(count) = self.started.get_mut(&row.facts.keys) {
            *count -= 1;
            if *count == 0 {
                self.started.remove(&row.facts.keys);
            }
        }
    }

    fn put(
        &mut self,
        job: &JobSnapshot,
        context: JobContext,
        folder: Option<&OsString>,
        trial: &TrialSnapshot,
    ) {
        let view = derive_trial(job, context, trial);
        let is_by_itself = !trial.is_absent && is_by_itself(job, context, trial);
        let row = Row {
            facts: self.terms.trial_facts(&view, context.rules),
            content: is_by_itself.then(|| trial.content_version()),
        };
        let key = RowKey {
            started: view.started,
            name: trial.name.as_str().into(),
            folder: folder.filter(|folder| **folder != *trial.name).cloned(),
        };
        if let Some(folder) = folder {
            if !is_by_itself {
                self.open.insert(folder.clone());
            }
            let before = self.keys.insert(folder.clone(), key.clone());
            if let Some(before) = before {
                self.remove_row(&before);
            }
        }
        *self.started.entry(row.facts.keys).or_default() += 1;
        self.rows.insert(key, row);
    }

    /// Returns the terms of all facts.
    pub(crate) fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Returns the facts of the planned trials.
    pub(crate) fn plan(&self) -> &[PlanFacts] {
        &self.plan
    }

    /// Returns the facts of all trials, in the order of the list.
    pub(crate) fn facts(&self) -> Vec<&TrialFacts> {
        self.rows.values().map(|row| &row.facts).collect()
    }

    /// Returns the indexes of planned trials that have no folder yet.
    pub(crate) fn unstarted(&self) -> Vec<usize> {
        let plan = self.plan.iter().map(|planned| planned.keys);
        let started = self.started.iter().map(|(keys, count)| (*keys, *count));
        let sizes = (self.terms.entries.len(), self.terms.slugs.len());
        find_unstarted(plan, started, sizes)
    }

    /// Iterates over the trials in the order of the list, each with its name.
    pub(crate) fn rows(&self) -> impl Iterator<Item = ListedRow<'_>> {
        self.rows.iter().map(|(key, row)| ListedRow { key, row })
    }
}

/// Whether a trial is derived from nothing but its own files and the context.
fn is_by_itself(job: &JobSnapshot, context: JobContext, trial: &TrialSnapshot) -> bool {
    let embeds_results = || {
        let result = job.result.content();
        result.is_some_and(|result| !result.embedded.is_empty())
    };
    trial.result.content().is_some()
        || (trial.result.state() == FileState::Absent
            && context.activity != JobActivity::Finished
            && !embeds_results())
}

/// A trial in the list, and where it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListedRow<'a> {
    key: &'a RowKey,
    /// What is kept of it.
    pub(crate) row: &'a Row,
}

impl<'a> ListedRow<'a> {
    /// Returns its name, which is its id.
    pub(crate) fn name(self) -> &'a Arc<str> {
        &self.key.name
    }

    /// Derives it again from the snapshot with which the table was updated.
    pub(crate) fn view(self, job: &'a JobSnapshot, context: JobContext) -> TrialView<'a> {
        static NOTHING: LazyLock<TrialSnapshot> = LazyLock::new(TrialSnapshot::default);
        let name = &*self.key.name;
        let folder = self.key.folder.as_deref().unwrap_or(OsStr::new(name));
        let trial = job.trials.by_name().get(folder);
        let trial = trial.or_else(|| job.absent_trials.get(name));
        derive_trial(job, context, trial.unwrap_or(&NOTHING))
    }
}
