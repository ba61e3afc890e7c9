//! The folders of a trial or a step in which its outputs are.

use std::path::PathBuf;

use crate::disk::folders::FolderListing;

/// A folder that contains `agent/`, `verifier/` and `artifacts/`: the trial's own, or a step's.
#[derive(Debug)]
pub(crate) struct OutputFolder {
    /// Its path.
    pub(crate) dir: PathBuf,
    /// The content of `agent/`.
    pub(crate) agent: FolderListing,
    /// The content of `verifier/`.
    pub(crate) verifier: FolderListing,
}

impl OutputFolder {
    /// Lists `agent/` and `verifier/`.
    pub(crate) fn read(dir: PathBuf) -> Self {
        Self {
            agent: FolderListing::read(&dir.join("agent")),
            verifier: FolderListing::read(&dir.join("verifier")),
            dir,
        }
    }

    /// Returns the path of a file or folder in `agent/`, `verifier/` or `artifacts/`.
    pub(crate) fn path_in(&self, folder: &str, name: &str) -> PathBuf {
        self.dir.join(folder).join(name)
    }
}
