//! The pieces of work that the engine starts.

use docks_proto::paging::PageRequest;
use docks_proto::routes::{Action, ProcessStop, RunKind};
use docks_proto::time::UnixMs;

use super::budget::RequestClass;
use super::clock::Now;
use super::fetch_key::FetchKey;
use super::list_poll::{ListPoll, PolledParts};
use docksd_remote::ActionTarget;

/// One piece of work.
#[derive(Debug, Clone)]
pub enum Task {
    /// Polls a list.
    PollList(ListPoll),
    /// Fetches one page of a sweep; the first one starts it.
    SweepPage {
        /// Which list.
        kind: RunKind,
        /// Number of the sweep, once it has started.
        sweep: Option<u64>,
        /// Which page.
        page: PageRequest,
    },
    /// Looks in the mirror for runs that the sweep did not see.
    FindUnseen {
        /// Which list.
        kind: RunKind,
        /// Number of the sweep.
        sweep: u64,
    },
    /// Fetches a run that the sweep did not see; a 404 proves that it is gone.
    CheckUnseen {
        /// Which list.
        kind: RunKind,
        /// Id of the run.
        id: String,
    },
    /// Records the end of a sweep.
    FinishSweep {
        /// Which list.
        kind: RunKind,
        /// When the list was last confirmed.
        confirmed: UnixMs,
        /// Whether the whole list is in the mirror.
        complete: bool,
        /// When the sweep began, if it has confirmed every row of the list.
        whole_since: Option<UnixMs>,
    },
    /// Fetches one run.
    FetchRun {
        /// Which list it belongs to.
        kind: RunKind,
        /// Its id.
        id: String,
    },
    /// Fetches the trials of a run.
    FetchTrials {
        /// Id of the run.
        run: String,
        /// Whether an empty list is believed although the mirror has trials.
        believes_empty: bool,
    },
    /// Fetches one trial.
    FetchTrial {
        /// Id of its run.
        run: String,
        /// Its id.
        trial: String,
    },
    /// Takes the changes that the remote reports.
    TakeChanges,
    /// Carries out an action.
    Act {
        /// Which action.
        action: Action,
        /// Id of the run.
        id: String,
        /// What it is done to.
        target: ActionTarget,
    },
    /// Stores what was learned about the remote.
    StoreCapabilities {
        /// The note to store.
        note: String,
    },
}

impl Task {
    /// Returns the key under which requests of this task are shared.
    #[must_use]
    pub fn key(&self) -> Option<FetchKey> {
        Some(match self {
            Task::PollList(poll) => match poll.parts {
                PolledParts::All(_) => FetchKey::List(poll.kind),
                PolledParts::One(_) => FetchKey::ListPart(poll.kind),
                PolledParts::Whole(_) => FetchKey::WholeList(poll.kind),
            },
            Task::SweepPage { kind, .. }
            | Task::FindUnseen { kind, .. }
            | Task::CheckUnseen { kind, .. }
            | Task::FinishSweep { kind, .. } => FetchKey::Sweep(*kind),
            Task::FetchRun { kind, id } => FetchKey::Run(*kind, id.clone()),
            Task::FetchTrials { run, .. } => FetchKey::Trials(run.clone()),
            Task::FetchTrial { run, trial } => FetchKey::Trial {
                run: run.clone(),
                trial: trial.clone(),
            },
            Task::TakeChanges | Task::Act { .. } | Task::StoreCapabilities { .. } => return None,
        })
    }

    /// Returns the number of requests that the task makes.
    #[must_use]
    pub fn requests(&self) -> usize {
        match self {
            Task::PollList(poll) => poll.parts.expected_requests(),
            Task::FindUnseen { .. } | Task::FinishSweep { .. } | Task::StoreCapabilities { .. } => {
                0
            }
            _ => 1,
        }
    }

    /// Returns a description for users.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Task::PollList(poll) => format!("list of {}s", noun(poll.kind)),
            Task::SweepPage { kind, page, .. } if page.offset > 0 => {
                format!("all {}s, from {}", noun(*kind), page.offset)
            }
            Task::SweepPage { kind, .. }
            | Task::FindUnseen { kind, .. }
            | Task::FinishSweep { kind, .. } => format!("all {}s", noun(*kind)),
            Task::CheckUnseen { kind, id, .. } | Task::FetchRun { kind, id } => {
                format!("{} {id}", noun(*kind))
            }
            Task::FetchTrials { run, .. } => format!("trials of {run}"),
            Task::FetchTrial { run, trial } => format!("trial {trial} of {run}"),
            Task::TakeChanges => "reported changes".to_owned(),
            Task::Act { action, id, target } => match target {
                ActionTarget::Run => format!("{} {id}", action.segment()),
                ActionTarget::Process(ProcessStop { kill: true, .. }) => format!("kill {id}"),
                ActionTarget::Process(_) => format!("{} {id}", action.segment()),
                ActionTarget::Trial(trial) => format!("{} {trial} of {id}", action.segment()),
            },
            Task::StoreCapabilities { .. } => "capabilities of the remote".to_owned(),
        }
    }
}

/// Returns what users call a run of this kind.
#[must_use]
pub fn noun(kind: RunKind) -> &'static str {
    match kind {
        RunKind::Run => "run",
        RunKind::Evaluation => "evaluation run",
    }
}

/// A task that was started.
#[derive(Debug, Clone)]
pub struct Step {
    /// Number that identifies the step.
    pub number: u64,
    /// What to do.
    pub task: Task,
    /// Which part of the budget pays for it.
    pub class: RequestClass,
    /// When it was started.
    pub began: Now,
}
