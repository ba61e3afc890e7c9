//! The kinds of objects that have statuses.

use serde::{Deserialize, Serialize};

use crate::routes::RunKind;

/// The kind of object that an event or a history is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectKind {
    /// A plain run.
    Run,
    /// An evaluation run.
    Evaluation,
    /// A trial of an evaluation run.
    Trial,
}

impl ObjectKind {
    /// All kinds.
    pub const ALL: [ObjectKind; 3] = [ObjectKind::Run, ObjectKind::Evaluation, ObjectKind::Trial];

    /// Returns the name used in JSON and in query strings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ObjectKind::Run => RunKind::Run.name(),
            ObjectKind::Evaluation => RunKind::Evaluation.name(),
            ObjectKind::Trial => "trial",
        }
    }

    /// Returns the kind with a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl From<RunKind> for ObjectKind {
    fn from(kind: RunKind) -> Self {
        match kind {
            RunKind::Run => ObjectKind::Run,
            RunKind::Evaluation => ObjectKind::Evaluation,
        }
    }
}
