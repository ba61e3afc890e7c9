//! The artifacts that a trial or a run has, by their addresses.

use docks_proto::object::{RawObject, TrialFields};
use docks_proto::repair;
use serde_json::Value;

use crate::artifact::ArtifactType;

/// A trial and the addresses of its artifacts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialArtifacts {
    /// Full id; empty when the remote sent none.
    pub id: String,
    /// Task; empty when the remote sent none.
    pub task: String,
    /// Status as the remote wrote it; empty when it sent none.
    pub status: String,
    /// Addresses of the artifacts that exist; the first of each type is the main one.
    pub uris: Vec<(ArtifactType, String)>,
}

impl TrialArtifacts {
    /// Reads the artifacts of a trial, or of a run, from the object that the remote sent.
    ///
    /// A jobs directory lists all files of each type in `harbor.artifacts`. The list is used only if
    /// it begins with the address in the type's own field: a hub replaces the address in the field.
    #[must_use]
    pub fn from_object(object: &RawObject) -> Self {
        let fields = TrialFields::from_object(object);
        let uris = [
            (ArtifactType::Logs, fields.logs_uri.text()),
            (ArtifactType::Trajectory, fields.trajectory_uri.text()),
            (ArtifactType::Diff, fields.diff_uri.text()),
            (ArtifactType::Result, fields.result_uri.text()),
        ];
        Self {
            id: fields.id.text().unwrap_or_default(),
            task: fields.task_slug.text().unwrap_or_default(),
            status: fields.status.text().unwrap_or_default(),
            uris: all_files(object, uris),
        }
    }

    /// Returns the main address of a type.
    #[must_use]
    pub fn uri(&self, kind: ArtifactType) -> Option<&str> {
        let found = self.uris.iter().find(|(known, _)| *known == kind);
        found.map(|(_, uri)| uri.as_str())
    }
}

fn all_files(
    object: &RawObject,
    main_uris: [(ArtifactType, Option<String>); 4],
) -> Vec<(ArtifactType, String)> {
    let value: Value = repair::read(object.text());
    let listed = value["harbor"]["artifacts"].as_array();
    let mut uris = Vec::new();
    for (kind, uri) in main_uris {
        let of_kind = |file: &&Value| file["type"] == kind.name();
        let files = listed.into_iter().flatten().filter(of_kind);
        let all: Vec<String> = files
            .filter_map(|file| Some(file["uri"].as_str()?.to_owned()))
            .collect();
        match uri {
            Some(uri) if all.first() != Some(&uri) => uris.push((kind, uri)),
            _ => uris.extend(all.into_iter().map(|uri| (kind, uri))),
        }
    }
    uris
}
