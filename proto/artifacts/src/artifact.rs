//! Types of artifacts, and the request for one of them.

/// A type of artifact, in the order in which artifacts are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ArtifactType {
    /// Execution logs of the agent.
    Logs,
    /// Steps of the agent.
    Trajectory,
    /// Changes made by the agent, as a diff.
    Diff,
    /// Results and metrics.
    Result,
}

impl ArtifactType {
    /// All types.
    pub const ALL: [Self; 4] = [Self::Logs, Self::Trajectory, Self::Diff, Self::Result];

    /// Returns the name used in options, file names and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Trajectory => "trajectory",
            Self::Diff => "diff",
            Self::Result => "result",
        }
    }

    /// Parses a name as [`ArtifactType::name`] returns it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// One file to download, and its path below the output directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactRequest {
    /// Full id of the trial; empty for a file of the run.
    pub trial_id: String,
    /// Task of the trial, for messages.
    pub task: String,
    /// Type of the artifact.
    pub kind: ArtifactType,
    /// Address of the artifact.
    pub uri: String,
    /// Names of the run's and the trial's directory, one safe path segment each.
    pub directories: [String; 2],
    /// File name, a safe path segment.
    pub file_name: String,
}
