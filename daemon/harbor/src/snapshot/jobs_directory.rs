//! A directory that holds the folders of jobs, or is one. If one cannot be reached, nothing else is affected.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::cached_file::FileReader;
use crate::disk::file_version::FileVersion;
use crate::snapshot::discovery::{Discovery, FoundFolders};
use crate::snapshot::watch_targets::Containers;

/// A jobs directory.
#[derive(Debug)]
pub(crate) struct JobsDirectory {
    /// Its path as configured.
    pub(crate) configured_path: PathBuf,
    /// Its canonical path; the configured one until it was first reached.
    pub(crate) path: PathBuf,
    /// The directory at the last scan; `None` if it was not reachable.
    version: Option<FileVersion>,
    discovery: Discovery,
    /// What the last search found.
    pub(crate) found: FoundFolders,
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
            discovery: Discovery::default(),
            found: FoundFolders::default(),
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
        self.path = found;
        self.version = Some(version);
        Ok(())
    }

    /// Finds the directory and searches it for jobs.
    ///
    /// # Errors
    ///
    /// Why it cannot be listed; it then counts as unreachable.
    pub(crate) fn search(&mut self, reader: &mut FileReader) -> io::Result<&FoundFolders> {
        self.locate()?;
        match self.discovery.search(&self.path, reader) {
            Ok(mut found) => {
                let same =
                    found.jobs == self.found.jobs && found.lone_trials == self.found.lone_trials;
                let version = self.found.version.unwrap_or(0);
                found.version = Some(version + u64::from(!same));
                self.found = found;
                Ok(&self.found)
            }
            Err(error) => {
                self.version = None;
                Err(error)
            }
        }
    }

    /// Whether it contains a job's folder, or is one.
    pub(crate) fn contains(&self, folder: &Path) -> bool {
        folder.starts_with(&self.path)
    }

    /// Returns the folders in which jobs may appear.
    pub(crate) fn containers(&self) -> Containers {
        let is_job = self.found.jobs.contains(&self.path);
        let own = Some(self.path.clone()).filter(|_| !is_job);
        let jobs = self.found.jobs.iter();
        let parents = jobs.filter(|job| **job != self.path);
        let parents = parents.filter_map(|job| job.parent().map(Path::to_owned));
        let alone = self.found.lone_trials.iter().cloned();
        Containers {
            folders: own.into_iter().chain(parents).collect(),
            standalone: alone
                .chain(Some(self.path.clone()).filter(|_| is_job))
                .collect(),
        }
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
