//! Artifacts of trials: where they go, how they are fetched, how they are written.
//!
//! Owns everything between "these trials have these addresses" and files on
//! disk. Knows neither the daemon nor the Docks API, and prints nothing: the
//! command gives it trials and hears through [`Observer`] what happens.
//!
//! - [`layout`] decides names, [`sanitise`] makes them safe;
//! - [`target`] is the only place that creates files;
//! - [`source`] opens an address, [`download`] carries everything out.

pub(crate) mod download;
pub(crate) mod layout;
pub(crate) mod sanitise;
pub(crate) mod source;
pub(crate) mod target;

#[cfg(test)]
pub(crate) mod tests;

use std::path::PathBuf;

use docks_proto::object::{RawObject, TrialFields};

/// What a trial can leave behind, in the order in which it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ArtifactType {
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
    pub(crate) const ALL: [Self; 4] = [Self::Logs, Self::Trajectory, Self::Diff, Self::Result];

    /// Returns the name in options, file names and JSON.
    pub(crate) fn name(self) -> &'static str {
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
pub(crate) struct TrialArtifacts {
    /// Full id; empty when the remote gave none.
    pub(crate) id: String,
    /// Task; empty when the remote gave none.
    pub(crate) task: String,
    /// Addresses of those that exist.
    pub(crate) uris: Vec<(ArtifactType, String)>,
}

impl TrialArtifacts {
    /// Reads a trial as the remote sent it.
    pub(crate) fn of(object: &RawObject) -> Self {
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
pub(crate) struct ArtifactRequest {
    /// Full id of the trial.
    pub(crate) trial_id: String,
    /// Task of the trial, for messages.
    pub(crate) task: String,
    /// Which artifact.
    pub(crate) kind: ArtifactType,
    /// Where it lies.
    pub(crate) uri: String,
    /// Directory of the run and directory of the trial, one safe segment each.
    pub(crate) directories: [String; 2],
    /// File name, safe too.
    pub(crate) file_name: String,
}

/// A file that lies whole under its final name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finished {
    /// Where, as the user wrote the output directory.
    pub(crate) path: PathBuf,
    /// Its size.
    pub(crate) size_bytes: u64,
}

/// Hears what happens while files are fetched; `index` counts requests from 0.
pub(crate) trait Observer {
    /// A request is answered; the size is what the source expects, if it says one.
    fn began(&self, index: usize, request: &ArtifactRequest, size_bytes: Option<u64>);
    /// That many more bytes are written.
    fn advanced(&self, index: usize, bytes: u64);
    /// The file is there.
    fn finished(&self, index: usize, request: &ArtifactRequest, finished: &Finished);
    /// The file is not there, and nothing of it is left.
    fn failed(&self, index: usize, request: &ArtifactRequest, why: &download::ArtifactError);
}
