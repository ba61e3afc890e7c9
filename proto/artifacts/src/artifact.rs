//! Types of artifacts, and the request for one of them.

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
