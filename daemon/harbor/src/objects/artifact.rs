//! Files of a trial or a job, as they are listed.

use std::path::Path;

use serde::Serialize;

use crate::snapshot::trial_artifacts::{Artifact, Kind};
use crate::snapshot::trial_files::file_uri;

/// One file.
#[derive(Debug, Serialize)]
pub(super) struct ArtifactFile<'a> {
    r#type: Kind,
    uri: String,
    /// Below the folder of the trial or the job.
    path: &'a str,
    size_bytes: Option<u64>,
}

/// Lists files that lie below a folder; names that are no UTF-8 were left out before.
pub(super) fn list<'a>(folder: &Path, files: &'a [Artifact]) -> Vec<ArtifactFile<'a>> {
    let told = |file: &'a Artifact| {
        Some(ArtifactFile {
            r#type: file.kind,
            uri: file_uri(&file.path),
            path: file.path.strip_prefix(folder).ok()?.to_str()?,
            size_bytes: file.size_bytes,
        })
    };
    files.iter().filter_map(told).collect()
}
