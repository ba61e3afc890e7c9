//! Jobs directories as they were last scanned.

pub(crate) mod job_snapshot;
pub(crate) mod jobs_directory;
pub(crate) mod processes;
pub(crate) mod scan;
pub(crate) mod trial_artifacts;
pub(crate) mod trial_files;
