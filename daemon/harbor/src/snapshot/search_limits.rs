//! How far a directory is searched for jobs.

/// How many levels below the directory are searched.
pub(crate) const MAX_DEPTH: usize = 8;
/// Folders that are searched, at most; each costs one look at every rescan.
pub(crate) const MAX_FOLDERS: usize = 10_000;
