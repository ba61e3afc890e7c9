//! What the engine asks for, what it does, and what came of it.

use std::sync::Arc;
use std::time::Duration;

use docks_proto::object::RawObject;
use docks_proto::paging::{PageRequest, PageSummary, may_refuse_limit};
use docks_proto::routes::{Action, RunKind};
use docks_proto::time::UnixMs;

use docksd_mirror::{MirrorError, Resource};
use docksd_remote::{FaultClass, RemoteError, Validator};

use super::budget::Class;
use super::clock::Now;

/// Something of the remote that one request at a time is made for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FetchKey {
    /// The head of a list, and all of it that is active.
    List(RunKind),
    /// A later part of a list.
    Window(RunKind),
    /// The full walk through a list.
    Sweep(RunKind),
    /// One run.
    Run(RunKind, String),
    /// The trials of an evaluation run.
    Trials(String),
    /// One trial.
    Trial {
        /// Its run.
        run: String,
        /// Its id.
        trial: String,
    },
}

impl From<Resource> for FetchKey {
    fn from(resource: Resource) -> Self {
        match resource {
            Resource::List(kind) => FetchKey::List(kind),
            Resource::Run(kind, id) => FetchKey::Run(kind, id),
            Resource::Trials(run) => FetchKey::Trials(run),
        }
    }
}

/// Why a refresh or an action brought no answer; cheap to hand to all who waited.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SyncError {
    /// The remote gave none.
    #[error(transparent)]
    Remote(Arc<RemoteError>),
    /// The mirror could not be read or written.
    #[error(transparent)]
    Mirror(Arc<MirrorError>),
    /// The engine ended first.
    #[error("the sync engine has stopped")]
    Stopped,
}

impl From<RemoteError> for SyncError {
    fn from(error: RemoteError) -> Self {
        Self::Remote(Arc::new(error))
    }
}

impl From<MirrorError> for SyncError {
    fn from(error: MirrorError) -> Self {
        Self::Mirror(Arc::new(error))
    }
}

impl SyncError {
    /// Returns what the failure means, when it is the remote's.
    #[must_use]
    pub fn class(&self) -> Option<FaultClass> {
        match self {
            Self::Remote(error) => Some(error.class()),
            _ => None,
        }
    }

    /// Returns whether the remote may have refused a page because of its `limit`.
    #[must_use]
    pub fn may_refuse_limit(&self) -> bool {
        matches!(self, Self::Remote(error)
            if matches!(**error, RemoteError::Status { status, .. } if may_refuse_limit(status)))
    }

    /// Returns when the remote wants to be asked again, uncapped.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Remote(error) => error.retry_after(),
            _ => None,
        }
    }

    /// Writes the error and all its causes on one line.
    #[must_use]
    pub fn chain(&self) -> String {
        docks_proto::error::error_chain(self)
    }
}

/// The last whole answer to a head request, kept so that a 304 can be taken at its word.
#[derive(Debug, Clone)]
pub struct Head {
    /// The question.
    pub page: PageRequest,
    /// The answer's validator.
    pub validator: Validator,
    /// Its objects.
    pub objects: Arc<Vec<RawObject>>,
}

/// One piece of work.
#[derive(Debug, Clone)]
pub enum Task {
    /// Fetches pages of a list that are polled.
    Head {
        /// Which list.
        kind: RunKind,
        /// Which pages.
        pages: Vec<PageRequest>,
        /// Last answer to the same question.
        last: Option<Head>,
        /// Whether the pages stand for the list, with this `whole`; else they are a later part.
        confirms: Option<bool>,
        /// Whether an empty answer is to be asked again before it is believed.
        doubts_empty: bool,
    },
    /// Fetches one page of a sweep, which begins with the first.
    SweepPage {
        /// Which list.
        kind: RunKind,
        /// The sweep; none before its first page.
        sweep: Option<u64>,
        /// Which page.
        page: PageRequest,
    },
    /// Asks the mirror what a sweep did not see.
    Unseen {
        /// Which list.
        kind: RunKind,
        /// The sweep.
        sweep: u64,
    },
    /// Asks for a run that a sweep did not see; a 404 is the proof that it is gone.
    Prove {
        /// Which list.
        kind: RunKind,
        /// Its id.
        id: String,
        /// The sweep.
        sweep: u64,
    },
    /// Notes the end of a sweep.
    SweepEnd {
        /// Which list.
        kind: RunKind,
        /// When the list was last confirmed.
        confirmed: UnixMs,
        /// Whether all of it is in the mirror.
        whole: bool,
    },
    /// Fetches one run.
    Run {
        /// Of which family.
        kind: RunKind,
        /// Its id.
        id: String,
    },
    /// Fetches the trials of a run.
    Trials {
        /// The run.
        run: String,
        /// Whether an empty answer is believed though the mirror has trials.
        believes_empty: bool,
    },
    /// Fetches one trial.
    Trial {
        /// Its run.
        run: String,
        /// Its id.
        trial: String,
    },
    /// Takes what the remote tells by itself.
    TakeChanges,
    /// Carries out an action.
    Act {
        /// Which.
        action: Action,
        /// On which run.
        id: String,
        /// Whether the run is killed, without cleaning up.
        kill: bool,
    },
    /// Stores what was learned of the remote.
    Note {
        /// The text.
        capabilities: String,
    },
}

impl Task {
    /// Returns the flight that this task is.
    #[must_use]
    pub fn want(&self) -> Option<FetchKey> {
        Some(match self {
            Task::Head {
                kind,
                confirms: Some(_),
                ..
            } => FetchKey::List(*kind),
            Task::Head { kind, .. } => FetchKey::Window(*kind),
            Task::SweepPage { kind, .. } | Task::Unseen { kind, .. } => FetchKey::Sweep(*kind),
            Task::SweepEnd { kind, .. } | Task::Prove { kind, .. } => FetchKey::Sweep(*kind),
            Task::Run { kind, id } => FetchKey::Run(*kind, id.clone()),
            Task::Trials { run, .. } => FetchKey::Trials(run.clone()),
            Task::Trial { run, trial } => FetchKey::Trial {
                run: run.clone(),
                trial: trial.clone(),
            },
            Task::TakeChanges | Task::Act { .. } | Task::Note { .. } => return None,
        })
    }

    /// Returns how many requests it will make.
    #[must_use]
    pub fn requests(&self) -> usize {
        match self {
            Task::Head { pages, .. } => pages.len(),
            Task::Unseen { .. } | Task::SweepEnd { .. } | Task::Note { .. } => 0,
            _ => 1,
        }
    }

    /// Says what it does, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Task::Head { kind, .. } => format!("list of {}s", words(*kind)),
            Task::SweepPage { kind, page, .. } if page.offset > 0 => {
                format!("all {}s, from {}", words(*kind), page.offset)
            }
            Task::SweepPage { kind, .. } | Task::Unseen { kind, .. } => {
                format!("all {}s", words(*kind))
            }
            Task::SweepEnd { kind, .. } => format!("all {}s", words(*kind)),
            Task::Prove { kind, id, .. } | Task::Run { kind, id } => {
                format!("{} {id}", words(*kind))
            }
            Task::Trials { run, .. } => format!("trials of {run}"),
            Task::Trial { run, trial } => format!("trial {trial} of {run}"),
            Task::TakeChanges => "news".to_owned(),
            Task::Act {
                action,
                id,
                kill: false,
            } => format!("{} {id}", action.segment()),
            Task::Act { id, .. } => format!("kill {id}"),
            Task::Note { .. } => "notes".to_owned(),
        }
    }
}

/// Returns what people call a run of this kind.
#[must_use]
pub fn words(kind: RunKind) -> &'static str {
    match kind {
        RunKind::Run => "run",
        RunKind::Evaluation => "evaluation run",
    }
}

/// A task that has begun.
#[derive(Debug, Clone)]
pub struct Step {
    /// Distinguishes steps.
    pub number: u64,
    /// What to do.
    pub task: Task,
    /// For whom.
    pub class: Class,
    /// When it began.
    pub began: Now,
}

/// What a task found.
#[derive(Debug)]
pub enum Answer {
    /// Pages of a list.
    Head {
        /// Facts of each page.
        pages: Vec<PageSummary>,
        /// The answer to keep for the next 304.
        keep: Option<Head>,
        /// It was empty and is not believed yet.
        doubtful: bool,
    },
    /// A page of a sweep.
    Page {
        /// The sweep.
        sweep: u64,
        /// Facts of the page.
        page: PageSummary,
    },
    /// Rows that a sweep did not see.
    Unseen(Vec<String>),
    /// Whether a run is gone.
    Proved {
        /// It is.
        gone: bool,
    },
    /// An object or the trials of a run were stored or confirmed.
    Stored {
        /// They were an unbelievable empty list.
        doubtful: bool,
        /// Some of the trials have not ended.
        open: bool,
    },
    /// Runs that are other than before, and how many are gone.
    Changes {
        /// Their ids.
        runs: Vec<String>,
    },
    /// The run after an action.
    Acted(RawObject),
    /// Nothing to say.
    Done,
}

/// How a task ended.
#[derive(Debug)]
pub struct Outcome {
    /// The answer.
    pub answer: Result<Answer, SyncError>,
    /// Requests made.
    pub requests: u64,
    /// Of them answered 304.
    pub not_modified: u64,
    /// Whether the mirror has other content now.
    pub changed: bool,
    /// Whether the mirror holds, as live, what the remote says is not there.
    pub contradicts: bool,
}

impl Outcome {
    /// Stands for a task that ended in a panic: a defect, left alone like a broken answer.
    #[must_use]
    pub fn panicked() -> Self {
        let why = "reading it ended in a panic".to_owned();
        Self {
            answer: Err(RemoteError::InvalidResponse { why }.into()),
            requests: 1,
            not_modified: 0,
            changed: false,
            contradicts: false,
        }
    }
}
