//! What one change of a status is.

use docks_proto::event::{ObjectKind, ObjectState};
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;

use crate::Provenance;

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A run of a kind.
    Run(RunKind),
    /// A trial.
    Trial,
}

impl Subject {
    /// Returns the word stored in the column `kind`.
    pub(crate) fn name(self) -> &'static str {
        ObjectKind::from(self).name()
    }

    /// Reads the word stored in the column `kind`.
    pub(crate) fn from_name(name: &str) -> Self {
        RunKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .map_or(Subject::Trial, Subject::Run)
    }
}

impl From<Subject> for ObjectKind {
    fn from(subject: Subject) -> Self {
        match subject {
            Subject::Run(kind) => kind.into(),
            Subject::Trial => ObjectKind::Trial,
        }
    }
}

/// One observed change of a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusEvent {
    /// Sequence number; later events have higher ones, and no number is used twice.
    pub seq: u64,
    /// What changed.
    pub subject: Subject,
    /// Id of the run, or of the run that the trial belongs to.
    pub run: String,
    /// Id of the trial; `None` for a run.
    pub trial: Option<String>,
    /// Status before; `None` when the object was seen for the first time.
    pub from: Option<String>,
    /// Status after.
    pub to: String,
    /// When it changed by the object's own account, else when that was observed.
    pub at: UnixMs,
    /// When the request that showed the change began.
    pub observed: UnixMs,
    /// How the change was learned.
    pub provenance: Provenance,
}

/// An event with its object.
#[derive(Debug, Clone, PartialEq)]
pub struct EventWithObject {
    /// The event.
    pub event: StatusEvent,
    /// The object as it is now, but with the status of the event.
    pub object: ObjectState,
}
