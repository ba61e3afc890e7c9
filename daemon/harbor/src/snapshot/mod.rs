//! Jobs directories as they were last scanned.

pub(crate) mod archive;
pub(crate) mod archived_job;
pub(crate) mod artifact;
pub(crate) mod artifact_names;
pub(crate) mod discovery;
pub(crate) mod harbor_command;
pub(crate) mod job_evidence;
pub(crate) mod job_part;
pub(crate) mod job_snapshot;
pub(crate) mod job_times;
pub(crate) mod job_trials;
pub(crate) mod jobs_directory;
pub(crate) mod left_out;
pub(crate) mod liveness;
pub(crate) mod patches;
pub(crate) mod processes;
pub(crate) mod scan;
pub(crate) mod search_limits;
pub(crate) mod trial_artifacts;
pub(crate) mod trial_files;
pub(crate) mod trial_folders;
pub(crate) mod trial_snapshot;
pub(crate) mod trial_tree;
pub(crate) mod watch_targets;
