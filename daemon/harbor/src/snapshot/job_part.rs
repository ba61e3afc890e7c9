//! The part of a job that may have changed.

use std::collections::BTreeSet;
use std::ffi::OsString;

/// Trials of one job beyond which the whole job is scanned.
const MAX_TRIALS: usize = 256;

/// The part of a job that may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JobPart {
    /// Its own files and these of its folders.
    Folders(BTreeSet<OsString>),
    /// All of it.
    Whole,
}

impl JobPart {
    /// Adds another part of the same job.
    pub(crate) fn merge(&mut self, other: JobPart) {
        match (&mut *self, other) {
            (JobPart::Folders(own), JobPart::Folders(more)) if own.len() < MAX_TRIALS => {
                own.extend(more);
            }
            _ => *self = JobPart::Whole,
        }
    }
}
