//! What a remote tells by itself, without being polled.

use docks_proto::object::RawObject;

use super::{Page, Validator};

/// How changes of a remote are learned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ChangeDetection {
    /// By asking now and then.
    #[default]
    Polling,
    /// It tells when something changes; asking is the net below.
    Events {
        /// Folders that are watched.
        folders: u64,
    },
    /// It could tell but cannot be heard now, so it is asked more often.
    Rescans {
        /// Why, for people.
        reason: String,
    },
}

/// What changed.
#[derive(Debug, Default)]
pub struct Changes {
    /// Runs that are other than before, each as of one moment.
    pub runs: Vec<CompleteRun>,
    /// Ids that no run has any more, with proof: what they stood for was looked for and is not there.
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
    /// Stands for the trials in the next question.
    pub validator: Validator,
}
