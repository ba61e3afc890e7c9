//! Changes that a remote reports without being polled.

use docks_proto::freshness::Validator;
use docks_proto::object::RawObject;

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

/// A run in both its forms with all its trials, as of one moment.
#[derive(Debug)]
pub struct CompleteRun {
    /// Its id.
    pub id: String,
    /// As a run.
    pub run: RawObject,
    /// As an evaluation run.
    pub evaluation: RawObject,
    /// Its trials.
    pub trials: Page,
    /// Validator of the trials, for the next request.
    pub validator: Validator,
}

/// What users should know about what a remote shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The text, for people.
    pub text: String,
    /// Whether it explains why there is nothing at all.
    pub explains_emptiness: bool,
}
