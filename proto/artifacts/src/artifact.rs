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
    /// Sessions that the agent's own program recorded, and prompts and answers of its episodes.
    Session,
    /// Recordings of a terminal or a screen.
    Recording,
    /// Images and sounds.
    Media,
    /// What else the agent left.
    Agent,
    /// What else the verifier left.
    Verifier,
    /// What was collected from the environment.
    Output,
    /// Configurations and locks.
    Config,
    /// Anything else, also of types that only a newer release knows.
    Other,
}

impl ArtifactType {
    /// All types.
    pub const ALL: [Self; 12] = [
        Self::Logs,
        Self::Trajectory,
        Self::Diff,
        Self::Result,
        Self::Session,
        Self::Recording,
        Self::Media,
        Self::Agent,
        Self::Verifier,
        Self::Output,
        Self::Config,
        Self::Other,
    ];

    /// The types for which each trial of the Docks API has a field, and which are meant where no type is named.
    pub const MAIN: [Self; 4] = [Self::Logs, Self::Trajectory, Self::Diff, Self::Result];

    /// Returns the name used in options, file names and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Trajectory => "trajectory",
            Self::Diff => "diff",
            Self::Result => "result",
            Self::Session => "session",
            Self::Recording => "recording",
            Self::Media => "media",
            Self::Agent => "agent",
            Self::Verifier => "verifier",
            Self::Output => "output",
            Self::Config => "config",
            Self::Other => "other",
        }
    }

    /// Parses a name as [`ArtifactType::name`] returns it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether it is one of [`ArtifactType::MAIN`].
    #[must_use]
    pub fn is_main(self) -> bool {
        Self::MAIN.contains(&self)
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
    /// Names of the directories, one safe path segment each: the run's, the trial's, and those in which files
    /// that keep their paths are.
    pub directories: Vec<String>,
    /// File name, a safe path segment.
    pub file_name: String,
}

impl ArtifactRequest {
    /// Returns the path below the run's directory.
    #[must_use]
    pub fn path_in_run(&self) -> String {
        self.path_from(1)
    }

    /// Returns the path below the trial's directory.
    #[must_use]
    pub fn path_in_trial(&self) -> String {
        self.path_from(2)
    }

    fn path_from(&self, first: usize) -> String {
        let mut names = self.directories.get(first..).unwrap_or_default().to_vec();
        names.push(self.file_name.clone());
        names.join("/")
    }
}
