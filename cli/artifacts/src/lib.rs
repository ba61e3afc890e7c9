//! Artifacts of trials: where they go, how they are fetched, how they are written.
//!
//! Owns everything between "these trials have these addresses" and files on
//! disk. Knows neither the daemon nor the Docks API, and prints nothing: the
//! command gives it trials and hears through [`Observer`] what happens.
//!
//! - [`layout`] decides names, [`sanitise`] makes them safe;
//! - [`target`] is the only place that creates files;
//! - [`source`] opens an address, [`download`] carries everything out.

pub mod download;
pub mod layout;
pub mod sanitise;
pub mod source;
pub mod target;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use docks_proto::object::{RawObject, TrialFields};

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
    pub fn name(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Trajectory => "trajectory",
            Self::Diff => "diff",
            Self::Result => "result",
        }
    }
}

/// A trial as far as its artifacts go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialArtifacts {
    /// Full id; empty when the remote gave none.
    pub id: String,
    /// Task; empty when the remote gave none.
    pub task: String,
    /// Addresses of those that exist.
    pub uris: Vec<(ArtifactType, String)>,
}

impl TrialArtifacts {
    /// Reads a trial as the remote sent it.
    pub fn of(object: &RawObject) -> Self {
        let fields = TrialFields::of(object);
        let uris = [
            (ArtifactType::Logs, fields.logs_uri.text()),
            (ArtifactType::Trajectory, fields.trajectory_uri.text()),
            (ArtifactType::Diff, fields.diff_uri.text()),
            (ArtifactType::Result, fields.result_uri.text()),
        ];
        Self {
            id: fields.id.text().unwrap_or_default(),
            task: fields.task_slug.text().unwrap_or_default(),
            uris: uris
                .into_iter()
                .filter_map(|(kind, uri)| Some((kind, uri?)))
                .collect(),
        }
    }
}

/// One file to fetch, and its place below the output directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactRequest {
    /// Full id of the trial.
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

/// A file that lies whole under its final name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Where, as the user wrote the output directory.
    pub path: PathBuf,
    /// Its size.
    pub size_bytes: u64,
}

/// Hears what happens while files are fetched; `index` counts requests from 0.
pub trait Observer {
    /// A request is answered; the size is what the source expects, if it says one.
    fn began(&self, index: usize, request: &ArtifactRequest, size_bytes: Option<u64>);
    /// That many more bytes are written.
    fn advanced(&self, index: usize, bytes: u64);
    /// The file is there.
    fn finished(&self, index: usize, request: &ArtifactRequest, finished: &Finished);
    /// The file is not there, and nothing of it is left.
    fn failed(&self, index: usize, request: &ArtifactRequest, why: &download::ArtifactError);
}
