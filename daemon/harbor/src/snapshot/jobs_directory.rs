//! A directory that holds the folders of jobs. If one cannot be reached, nothing else is affected.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::file_version::FileVersion;
use crate::disk::folders::list_folders;

/// Files that Harbor writes only into the folder of a job.
const FILES_OF_A_JOB: [&str; 2] = ["job.log", "lock.json"];

/// A jobs directory.
#[derive(Debug, Clone)]
pub(crate) struct JobsDirectory {
    /// Its path as configured.
    pub(crate) configured_path: PathBuf,
    /// Its canonical path; the configured one until it was first reached.
    pub(crate) path: PathBuf,
    /// The directory at the last scan; `None` if it was not reachable.
    version: Option<FileVersion>,
}

impl JobsDirectory {
    /// Takes a path, which need not exist.
    pub(crate) fn new(configured_path: PathBuf) -> Self {
        let path =
            std::fs::canonicalize(&configured_path).unwrap_or_else(|_| configured_path.clone());
        Self {
            configured_path,
            path,
            version: None,
        }
    }

    /// Finds the directory, which may have come back or been replaced.
    ///
    /// # Errors
    ///
    /// Why it cannot be used.
    pub(crate) fn locate(&mut self) -> io::Result<()> {
        self.version = None;
        let found = std::fs::canonicalize(&self.configured_path)?;
        let version = FileVersion::for_directory(&found).ok_or(io::ErrorKind::NotADirectory)?;
        // Its trials are not jobs, so it would look like an empty jobs directory.
        if FILES_OF_A_JOB.iter().any(|file| found.join(file).is_file()) {
            return Err(io::Error::other("this is one job, not a directory of jobs"));
        }
        self.path = found;
        self.version = Some(version);
        Ok(())
    }

    /// Finds the directory and lists the folders in it.
    ///
    /// # Errors
    ///
    /// Why it cannot be listed; it then counts as unreachable.
    pub(crate) fn list_jobs(&mut self) -> io::Result<Vec<PathBuf>> {
        self.locate()?;
        let listed = list_folders(&self.path);
        if listed.is_err() {
            self.version = None;
        }
        let path = |(name, _)| self.path.join(name);
        Ok(listed?.into_iter().map(path).collect())
    }

    /// Whether it contains a job's folder.
    pub(crate) fn contains(&self, folder: &Path) -> bool {
        folder.parent() == Some(&self.path)
    }

    /// Whether it was reachable at the last scan.
    pub(crate) fn is_reachable(&self) -> bool {
        self.version.is_some()
    }

    /// Whether it is still the same directory, if it was reachable at the last scan.
    pub(crate) fn is_unmoved(&self) -> bool {
        self.version.is_none() || self.is_unchanged()
    }

    /// Whether it was neither replaced, removed nor restored since the last scan.
    pub(crate) fn is_unchanged(&self) -> bool {
        match (self.version, FileVersion::for_directory(&self.path)) {
            (Some(before), Some(now)) => before.is_same_inode(&now),
            (None, None) => true,
            _ => false,
        }
    }
}
