//! The directories that hold the folders of jobs. One that is out of reach takes nothing with it.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::cached_file::Stamp;
use crate::snapshot::job_snapshot::folders;

/// Files that Harbor writes into the folder of a job and nowhere else.
const OF_ONE_JOB: [&str; 2] = ["job.log", "lock.json"];

/// A jobs directory.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    /// How it was named.
    pub(crate) given: PathBuf,
    /// Its one true path; the given one until it was within reach once.
    pub(crate) dir: PathBuf,
    /// What was there at the last look.
    at: Option<Stamp>,
}

impl Root {
    /// Takes a path; nothing needs to be there.
    pub(crate) fn new(given: PathBuf) -> Self {
        let dir = std::fs::canonicalize(&given).unwrap_or_else(|_| given.clone());
        Self {
            given,
            dir,
            at: None,
        }
    }

    /// Looks for it; it may have come back, or another may have taken its place.
    ///
    /// # Errors
    ///
    /// Why it cannot be used.
    pub(crate) fn find(&mut self) -> io::Result<()> {
        self.at = None;
        let found = std::fs::canonicalize(&self.given)?;
        let at = Stamp::of_directory(&found).ok_or(io::ErrorKind::NotADirectory)?;
        // Its trials are no jobs, so one would look like an empty directory of jobs.
        if OF_ONE_JOB.iter().any(|file| found.join(file).is_file()) {
            return Err(io::Error::other("this is one job, not a directory of jobs"));
        }
        self.dir = found;
        self.at = Some(at);
        Ok(())
    }

    /// Looks for it and lists the folders in it.
    ///
    /// # Errors
    ///
    /// Why that cannot be done; it counts as out of reach then.
    pub(crate) fn folders(&mut self) -> io::Result<Vec<PathBuf>> {
        self.find()?;
        let listed = folders(&self.dir);
        if listed.is_err() {
            self.at = None;
        }
        let below = |(name, _)| self.dir.join(name);
        Ok(listed?.into_iter().map(below).collect())
    }

    /// Tells whether a job's folder lies in it.
    pub(crate) fn holds(&self, folder: &Path) -> bool {
        folder.parent() == Some(&self.dir)
    }

    /// Tells whether it was within reach at the last look.
    pub(crate) fn is_there(&self) -> bool {
        self.at.is_some()
    }

    /// Tells whether it is still within reach, if it was at the last look.
    pub(crate) fn has_stayed(&self) -> bool {
        self.at.is_none() || self.is_as_before()
    }

    /// Tells whether nothing took its place since the last look, and it did not come back either.
    pub(crate) fn is_as_before(&self) -> bool {
        match (self.at, Stamp::of_directory(&self.dir)) {
            (Some(before), Some(now)) => before.same_place(&now),
            (None, None) => true,
            _ => false,
        }
    }
}
