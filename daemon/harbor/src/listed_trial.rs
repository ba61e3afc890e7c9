//! A trial in the list of a job: one that started, one that waits for a retry, or one that is planned.

use std::borrow::Cow;

use docks_proto::object::RawObject;

use crate::derive::job_view::JobView;
use crate::derive::trial_table::{ListedRow, TrialTable};
use crate::derive::waiting_retries::WaitingRetry;
use crate::format::job::PlannedTrial;
use crate::objects::TrialObject;

/// A trial in the list of a job.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ListedTrial<'a> {
    /// It started.
    Started(ListedRow<'a>),
    /// It waits for a retry.
    Retrying(&'a WaitingRetry<'a>),
    /// It is planned, at this index.
    Planned(usize, &'a PlannedTrial),
}

/// What the object of a trial was made from, besides what all trials of the job have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TrialBasis {
    /// The version of its own files.
    Content(u64),
    /// Its place in the plan.
    Plan(usize),
}

/// Lists the trials of a job: started ones, oldest first, then those to come. The table is the one with which the job was
/// derived.
pub(crate) fn listed_trials<'a>(
    view: &'a JobView<'a>,
    table: &'a TrialTable,
) -> impl Iterator<Item = ListedTrial<'a>> {
    let started = table.rows().map(ListedTrial::Started);
    let retrying = view.retrying.iter().map(ListedTrial::Retrying);
    let planned = view.unstarted.iter();
    let planned = planned.map(|(index, planned)| ListedTrial::Planned(*index, planned));
    started.chain(retrying).chain(planned)
}

impl<'a> ListedTrial<'a> {
    /// Returns its id.
    pub(crate) fn id(&self) -> Cow<'a, str> {
        match self {
            Self::Started(trial) => Cow::Borrowed(trial.name()),
            Self::Retrying(retry) => Cow::Borrowed(retry.name),
            Self::Planned(index, _) => Cow::Owned(TrialObject::planned_id(*index)),
        }
    }

    /// Returns what of its own its object is made from; `None` if the object depends on more than that and on what all
    /// trials of the job have in common.
    pub(crate) fn basis(&self) -> Option<TrialBasis> {
        match self {
            Self::Started(trial) => trial.row.content.map(TrialBasis::Content),
            Self::Retrying(_) => None,
            Self::Planned(index, _) => Some(TrialBasis::Plan(*index)),
        }
    }

    /// Whether it has not ended, in a job of this state.
    pub(crate) fn is_active(&self, view: &JobView<'_>) -> bool {
        match self {
            Self::Started(trial) => {
                let kind = trial.row.facts.kind;
                !kind.has_ended() && !kind.is_lost
            }
            Self::Retrying(_) => true,
            Self::Planned(..) => !view.snapshot.is_finished(),
        }
    }

    /// Builds its object.
    pub(crate) fn to_object(
        self,
        view: &'a JobView<'a>,
        run_id: &'a str,
    ) -> Result<RawObject, serde_json::Error> {
        match self {
            Self::Started(trial) => {
                let trial = trial.view(view.snapshot, view.context);
                RawObject::from_serialize(&TrialObject::from_view(view, &trial, run_id))
            }
            Self::Retrying(retry) => {
                RawObject::from_serialize(&TrialObject::from_retry(view, retry, run_id))
            }
            Self::Planned(index, planned) => {
                let (task, agent) = (&planned.task, &planned.agent);
                let object = TrialObject::from_plan(view, index, task, agent, run_id);
                RawObject::from_serialize(&object)
            }
        }
    }
}
