//! The folders of a job that are worth watching.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// The folders of a job in which a change matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WatchTargets {
    /// Whether the job has a process, so that a missed change would matter.
    pub(crate) is_running: bool,
    /// The folders, each with an inode that distinguishes it from an earlier folder of the same name.
    pub(crate) folders: BTreeMap<PathBuf, u64>,
}
