//! The artifacts of a trial or a job.

use std::path::Path;

use serde::Serialize;

use crate::snapshot::artifact::{Artifact, ArtifactKind};

/// One artifact.
#[derive(Debug, Serialize)]
pub(super) struct ArtifactFile<'a> {
    r#type: ArtifactKind,
    uri: String,
    /// Its path, relative to the folder of the trial or the job.
    path: &'a str,
    size_bytes: Option<u64>,
}

/// Lists artifacts of which the paths are relative to `folder`; names that are not UTF-8 were already left out.
pub(super) fn list_artifacts<'a>(
    folder: &Path,
    artifacts: &'a [Artifact],
) -> Vec<ArtifactFile<'a>> {
    let to_object = |file: &'a Artifact| {
        Some(ArtifactFile {
            r#type: file.kind,
            uri: file.uri(folder),
            path: file.path.to_str()?,
            size_bytes: file.size_bytes,
        })
    };
    artifacts.iter().filter_map(to_object).collect()
}
