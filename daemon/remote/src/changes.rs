//! Changes that a remote reports without being polled.

use docks_proto::freshness::Validator;
use docks_proto::object::RawObject;
use docks_proto::trial_changes::TrialChanges;

use super::answer::Page;

/// How changes of a remote are noticed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ChangeDetection {
    /// By polling it.
    #[default]
    Polling,
    /// It reports changes; polling finds what it missed.
    Events {
        /// Number of watched directories.
        folders: u64,
    },
    /// By polling it, and each poll brings the changes, so that there is nothing to fetch after it.
    Deltas,
    /// It cannot report changes now, so it is polled more often.
    Rescans {
        /// Why, for users.
        reason: String,
    },
}

/// What changed.
#[derive(Debug, Default)]
pub struct Changes {
    /// Changed runs, each as of one moment.
    pub runs: Vec<CompleteRun>,
    /// Ids of runs that are proved to be gone.
    pub gone: Vec<String>,
}

/// A run in both its forms with its trials, as of one moment.
#[derive(Debug)]
pub struct CompleteRun {
    /// Its id.
    pub id: String,
    /// As a run.
    pub run: RawObject,
    /// As an evaluation run.
    pub evaluation: RawObject,
    /// Its trials.
    pub trials: DeliveredTrials,
    /// Validator of the whole list of trials, for the next request.
    pub validator: Validator,
}

/// The trials of a run as they are delivered.
#[derive(Debug)]
pub enum DeliveredTrials {
    /// The whole list.
    Whole(Page),
    /// What changed since an earlier delivery.
    Changes(TrialChanges),
}

impl DeliveredTrials {
    /// Iterates over the objects that are delivered, in the order of the list.
    pub fn objects(&self) -> impl Iterator<Item = &RawObject> {
        let (whole, changes) = match self {
            Self::Whole(page) => (page.objects.as_slice(), [].as_slice()),
            Self::Changes(changes) => ([].as_slice(), changes.changed.as_slice()),
        };
        whole
            .iter()
            .chain(changes.iter().map(|trial| &trial.object))
    }

    /// Returns the number of objects that are delivered.
    #[must_use]
    pub fn count(&self) -> usize {
        match self {
            Self::Whole(page) => page.objects.len(),
            Self::Changes(changes) => changes.changed.len(),
        }
    }
}

/// How far a remote is that reads everything before it knows its whole lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Runs that were read.
    pub done: u64,
    /// All runs.
    pub total: u64,
}

/// A run as the mirror has it from an earlier process.
#[derive(Debug)]
pub struct DeliveredRun {
    /// Its id.
    pub id: String,
    /// As a run.
    pub run: RawObject,
    /// As an evaluation run.
    pub evaluation: RawObject,
    /// Validator of its trials.
    pub trials_validator: Validator,
}

/// What users should know about what a remote shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The text, for people.
    pub text: String,
    /// Whether it explains why there is nothing at all.
    pub explains_emptiness: bool,
}
