//! Artifacts of trials: where they go, how they are fetched, kept and written.
//!
//! Owns everything between "these trials have these addresses" and files on
//! disk. Knows neither the daemon nor the Docks API, and prints nothing: whoever
//! calls gives it trials and hears through [`Observer`] what happens.
//!
//! - [`layout`] decides names, [`sanitise`] makes them safe, [`pattern`] picks some;
//! - [`output_directory`] and `partial` are the only places that create files in an output directory;
//! - [`source`] opens an address, [`cache`] keeps what was fetched, [`download`] carries out,
//!   [`remote_tail`] follows.

pub mod cache;
pub mod digest;
pub mod download;
pub mod layout;
pub mod output_directory;
mod partial;
pub mod pattern;
pub mod remote_tail;
pub mod sanitise;
pub mod size;
pub mod source;
pub mod version;

use std::path::PathBuf;

use docks_proto::object::{RawObject, TrialFields};
use serde_json::Value;

use digest::Sha256;

/// What a trial can leave behind, in the order in which it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ArtifactType {
    /// Execution logs of the agent.
    Logs,
    /// The agent's steps.
    Trajectory,
    /// Changes that the agent made, as a diff.
    Diff,
    /// Results and metrics.
    Result,
}

impl ArtifactType {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Logs, Self::Trajectory, Self::Diff, Self::Result];

    /// Returns the name in options, file names and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Trajectory => "trajectory",
            Self::Diff => "diff",
            Self::Result => "result",
        }
    }

    /// Reads such a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A trial as far as its artifacts go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialArtifacts {
    /// Full id; empty when the remote gave none.
    pub id: String,
    /// Task; empty when the remote gave none.
    pub task: String,
    /// Status as the remote wrote it; empty when it gave none.
    pub status: String,
    /// Addresses of those that exist; the first of a type is its principal one.
    pub uris: Vec<(ArtifactType, String)>,
}

impl TrialArtifacts {
    /// Reads a trial as the remote sent it, or a run, which can have files, too.
    ///
    /// A jobs directory lists all files of each type, `harbor.artifacts`. Such a list counts while
    /// it begins with the address in the field: whoever passes a trial on may have changed that.
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

    /// Returns the principal address of a type.
    #[must_use]
    pub fn uri(&self, kind: ArtifactType) -> Option<&str> {
        let found = self.uris.iter().find(|(known, _)| *known == kind);
        found.map(|(_, uri)| uri.as_str())
    }
}

fn all_files(
    object: &RawObject,
    principal: [(ArtifactType, Option<String>); 4],
) -> Vec<(ArtifactType, String)> {
    let whole: Value = serde_json::from_str(object.text()).unwrap_or_default();
    let listed = whole["harbor"]["artifacts"].as_array();
    let mut uris = Vec::new();
    for (kind, uri) in principal {
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

/// One file to fetch, and its place below the output directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactRequest {
    /// Full id of the trial; empty for a file of the run itself.
    pub trial_id: String,
    /// Task of the trial, for messages.
    pub task: String,
    /// Which artifact.
    pub kind: ArtifactType,
    /// Where it lies.
    pub uri: String,
    /// Directory of the run and directory of the trial, one safe segment each.
    pub directories: [String; 2],
    /// File name, safe too.
    pub file_name: String,
}

/// How a file came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileOrigin {
    /// From its source.
    Fetched,
    /// From the cache.
    Cached,
    /// It was there already, identical.
    Unchanged,
}

/// A file that lies whole under its final name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedFile {
    /// Where, as the user wrote the output directory.
    pub path: PathBuf,
    /// Its size.
    pub size_bytes: u64,
    /// Its content.
    pub sha256: Sha256,
    /// How it came to be there.
    pub origin: FileOrigin,
}

/// Hears what happens while files are fetched; `index` counts requests from 0.
pub trait Observer: Sync {
    /// A request is answered: the size in all, if the source says one, and what of it is there.
    fn began(
        &self,
        index: usize,
        request: &ArtifactRequest,
        size_bytes: Option<u64>,
        offset_bytes: u64,
    );
    /// That many more bytes are written.
    fn advanced(&self, index: usize, bytes: u64);
    /// The file is there.
    fn finished(&self, index: usize, request: &ArtifactRequest, finished: &FinishedFile);
    /// The file is not there.
    fn failed(&self, index: usize, request: &ArtifactRequest, why: &download::ArtifactError);
}

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct SilentObserver;

impl Observer for SilentObserver {
    fn began(&self, _: usize, _: &ArtifactRequest, _: Option<u64>, _: u64) {}
    fn advanced(&self, _: usize, _: u64) {}
    fn finished(&self, _: usize, _: &ArtifactRequest, _: &FinishedFile) {}
    fn failed(&self, _: usize, _: &ArtifactRequest, _: &download::ArtifactError) {}
}
