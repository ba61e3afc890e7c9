//! Finished jobs of which only a fingerprint is kept.
//!
//! What is published of them was delivered, and the receiver keeps it. If a file changes, the whole job is read again.

/// What is kept of a finished job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Archive {
    /// Stands for the versions of all its files and folders.
    pub(crate) fingerprint: u64,
    /// Its UUID.
    pub(crate) uuid: Option<String>,
    /// Whether the folder has the name under which the job was started.
    pub(crate) has_original_name: bool,
    /// Whether the folder was copied.
    pub(crate) is_copy: bool,
    /// Number of trials.
    pub(crate) trials: usize,
}
