//! The folders of a job that are worth watching.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The folders of a job in which a change matters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct WatchTargets {
    /// Whether the job has a process, so that a missed change would matter.
    pub(crate) is_running: bool,
    /// The folders of each trial by its name, and the job's own without a name.
    pub(crate) parts: BTreeMap<OsString, WatchedPart>,
}

/// Folders of a job, or of one of its trials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WatchedPart {
    /// An inode that distinguishes them from earlier folders of the same names.
    pub(crate) inode: u64,
    /// Their paths, absolute or relative to the job's folder.
    pub(crate) folders: Vec<PathBuf>,
}

impl WatchTargets {
    /// Creates the targets of a job of which only its own folder matters.
    pub(crate) fn of_job(is_running: bool, dir: &Path, inode: u64) -> Self {
        let folders = vec![dir.to_owned()];
        Self {
            is_running,
            parts: BTreeMap::from([(OsString::new(), WatchedPart { inode, folders })]),
        }
    }

    /// Returns the folders of the parts that are not the same in `other`, with their inodes.
    pub(crate) fn folders_unlike(&self, other: &Self, job_folder: &Path) -> BTreeMap<PathBuf, u64> {
        let parts = self.parts.iter();
        let differing = parts.filter(|(name, part)| other.parts.get(*name) != Some(*part));
        let folders = differing.flat_map(|(_, part)| {
            let folders = part.folders.iter();
            folders.map(|folder| (job_folder.join(folder), part.inode))
        });
        folders.collect()
    }
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
