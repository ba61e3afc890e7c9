//! An artifact file of a trial or a job.

use std::path::{Path, PathBuf};

use crate::disk::file_uri::file_uri;

/// The four types of artifacts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ArtifactKind {
    /// What agent, Harbor and verifier logged.
    Logs,
    /// The agent's steps, in ATIF.
    Trajectory,
    /// Patches; Harbor itself creates none.
    Diff,
    /// Results, rewards, test reports.
    Result,
}

/// One artifact file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Artifact {
    /// Its type.
    pub(crate) kind: ArtifactKind,
    /// Its path, relative to the folder of the trial or the job.
    pub(crate) path: PathBuf,
    /// Its address, unless it is that of a local file.
    pub(crate) address: Option<String>,
    /// Its size; unknown while its trial runs, since logs grow.
    pub(crate) size_bytes: Option<u64>,
}

impl Artifact {
    /// Returns its address; `folder` is that of its trial.
    pub(crate) fn uri(&self, folder: &Path) -> String {
        let local = || file_uri(&folder.join(&self.path));
        self.address.clone().unwrap_or_else(local)
    }
}
