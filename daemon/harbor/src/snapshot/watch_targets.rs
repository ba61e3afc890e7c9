//! The folders of a job that are worth watching.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The folders of a job in which a change matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WatchTargets {
    /// Whether the job has a process, so that a missed change would matter.
    pub(crate) is_running: bool,
    /// The folders, each with an inode that distinguishes it from an earlier folder of the same name.
    pub(crate) folders: BTreeMap<PathBuf, u64>,
}

/// The folders of a directory in which jobs are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Containers {
    /// Folders of which each subfolder may be a job.
    pub(crate) folders: BTreeSet<PathBuf>,
    /// Folders that are shown as a job themselves and of which that is not known by their parent: the directory itself,
    /// and folders of trials without a job.
    pub(crate) standalone: BTreeSet<PathBuf>,
}
