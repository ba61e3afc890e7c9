//! The trials of a job that have a folder, and what is asked of all of them together.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use crate::format::trial::TrialResult;
use crate::snapshot::trial_snapshot::TrialSnapshot;
use crate::utc::Utc;

/// The trials of a job by the name of their folder.
///
/// What the job needs of all of them is kept as they come and go, so that a change of one among thousands does not mean a look at each.
#[derive(Debug, Default)]
pub(crate) struct TrialFolders {
    by_name: BTreeMap<OsString, TrialSnapshot>,
    /// Names by the version of the content, which is higher for what was read later.
    by_version: BTreeMap<u64, OsString>,
    unsettled: BTreeSet<OsString>,
    utc: TrialTimes,
    local: TrialTimes,
    job_ids: Occurrences<String>,
    lfs_pointers: usize,
    stated_validities: usize,
}

/// When trials with a result started and ended.
#[derive(Debug, Default)]
struct TrialTimes {
    starts: Occurrences<Utc>,
    ends: Occurrences<Utc>,
}

/// From the first start to the last end of some trials.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TrialSpan {
    /// The earliest start.
    pub(crate) first: Option<Utc>,
    /// The latest end.
    pub(crate) last: Option<Utc>,
}

impl TrialSpan {
    /// Extends it by a trial.
    pub(crate) fn add(&mut self, trial: &TrialResult) {
        self.first = self.first.into_iter().chain(trial.started).min();
        self.last = self.last.max(trial.finished);
    }
}

/// Values, and how often each occurs.
#[derive(Debug)]
struct Occurrences<T>(BTreeMap<T, usize>);

impl<T> Default for Occurrences<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Ord + Clone> Occurrences<T> {
    fn add(&mut self, value: Option<&T>) {
        let Some(value) = value else { return };
        match self.0.get_mut(value) {
            Some(count) => *count += 1,
            None => drop(self.0.insert(value.clone(), 1)),
        }
    }

    fn remove(&mut self, value: Option<&T>) {
        let Some(value) = value else { return };
        if let Some(count) = self.0.get_mut(value) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(value);
            }
        }
    }
}

impl TrialTimes {
    fn span(&self) -> TrialSpan {
        TrialSpan {
            first: self.starts.0.first_key_value().map(|(at, _)| *at),
            last: self.ends.0.last_key_value().map(|(at, _)| *at),
        }
    }
}

impl TrialFolders {
    /// Returns all of them.
    pub(crate) fn by_name(&self) -> &BTreeMap<OsString, TrialSnapshot> {
        &self.by_name
    }

    /// Returns how many there are.
    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Adds a trial; one of the same name must have been removed.
    pub(super) fn insert(&mut self, name: OsString, trial: TrialSnapshot) {
        self.by_version
            .insert(trial.content_version(), name.clone());
        if !trial.is_settled() {
            self.unsettled.insert(name.clone());
        }
        if let Some(result) = trial.result.content() {
            let times = self.times_mut(result);
            times.starts.add(result.started.as_ref());
            times.ends.add(result.finished.as_ref());
            self.stated_validities += usize::from(result.reward_valid.is_some());
        }
        self.job_ids.add(job_id(&trial));
        self.lfs_pointers += usize::from(trial.has_lfs_pointer());
        self.by_name.insert(name, trial);
    }

    /// Removes a trial.
    pub(super) fn remove(&mut self, name: &OsStr) -> Option<TrialSnapshot> {
        let trial = self.by_name.remove(name)?;
        self.by_version.remove(&trial.content_version());
        self.unsettled.remove(name);
        if let Some(result) = trial.result.content() {
            let times = self.times_mut(result);
            times.starts.remove(result.started.as_ref());
            times.ends.remove(result.finished.as_ref());
            self.stated_validities -= usize::from(result.reward_valid.is_some());
        }
        self.job_ids.remove(job_id(&trial));
        self.lfs_pointers -= usize::from(trial.has_lfs_pointer());
        Some(trial)
    }

    fn times_mut(&mut self, result: &TrialResult) -> &mut TrialTimes {
        if result.has_local_times {
            &mut self.local
        } else {
            &mut self.utc
        }
    }

    /// Iterates over the names of the trials that were read since the content with a version.
    pub(crate) fn read_since(&self, version: u64) -> impl Iterator<Item = &OsStr> {
        let later = self.by_version.range(version.saturating_add(1)..);
        later.map(|(_, name)| name.as_os_str())
    }

    /// Returns the version of the content that was read last; 0 if there is none.
    pub(crate) fn newest_version(&self) -> u64 {
        let newest = self.by_version.last_key_value();
        newest.map_or(0, |(version, _)| *version)
    }

    /// Iterates over the trials whose result is not final.
    pub(crate) fn unsettled(&self) -> impl Iterator<Item = (&OsStr, &TrialSnapshot)> {
        let names = self.unsettled.iter();
        names.filter_map(|name| Some((name.as_os_str(), self.by_name.get(name)?)))
    }

    /// Whether the results of all are final.
    pub(crate) fn are_settled(&self) -> bool {
        self.unsettled.is_empty()
    }

    /// Returns the span of those whose results state UTC.
    pub(crate) fn utc_span(&self) -> TrialSpan {
        self.utc.span()
    }

    /// Returns the span of those whose results state local times, as if these were UTC.
    pub(crate) fn local_span(&self) -> TrialSpan {
        self.local.span()
    }

    /// Iterates over the UUIDs of jobs that their files name.
    pub(crate) fn job_ids(&self) -> impl Iterator<Item = &str> {
        self.job_ids.0.keys().map(String::as_str)
    }

    /// Returns of how many Git LFS left a pointer in place of a file.
    pub(crate) fn lfs_pointers(&self) -> usize {
        self.lfs_pointers
    }

    /// Whether the result of any says if its rewards are valid.
    pub(crate) fn state_validity(&self) -> bool {
        self.stated_validities > 0
    }
}

fn job_id(trial: &TrialSnapshot) -> Option<&String> {
    trial.config()?.job_id.as_ref()
}
