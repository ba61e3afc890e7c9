//! A trial in the list of a job: one that started, one that waits for a retry, or one that is planned.

use std::borrow::Cow;

use docks_proto::object::RawObject;

use crate::derive::job_view::{JobView, TrialView};
use crate::derive::waiting_retries::WaitingRetry;
use crate::format::job::PlannedTrial;
use crate::objects::TrialObject;

/// A trial in the list of a job.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ListedTrial<'a> {
    /// It started.
    Started(&'a TrialView<'a>),
    /// It waits for a retry.
    Retrying(&'a WaitingRetry<'a>),
    /// It is planned, at this index.
    Planned(usize, &'a PlannedTrial),
}

/// Lists the trials of a job: started ones, oldest first, then those to come.
pub(crate) fn listed_trials<'a>(view: &'a JobView<'a>) -> impl Iterator<Item = ListedTrial<'a>> {
    let started = view.trials.iter().map(ListedTrial::Started);
    let retrying = view.retrying.iter().map(ListedTrial::Retrying);
    let planned = view.unstarted.iter();
    let planned = planned.map(|(index, planned)| ListedTrial::Planned(*index, planned));
    started.chain(retrying).chain(planned)
}

impl<'a> ListedTrial<'a> {
    /// Returns its id.
    pub(crate) fn id(&self) -> Cow<'a, str> {
        match self {
            Self::Started(trial) => Cow::Borrowed(trial.id),
            Self::Retrying(retry) => Cow::Borrowed(retry.name),
            Self::Planned(index, _) => Cow::Owned(TrialObject::planned_id(*index)),
        }
    }

    /// Returns a number that changes with everything of its own that its object is made from; `None` if the object
    /// depends on more than that and on what all trials of the job have in common.
    pub(crate) fn basis(&self) -> Option<u64> {
        match self {
            Self::Started(trial) => {
                let snapshot = trial.snapshot;
                let has_own_result = snapshot.result.content().is_some() && !snapshot.is_absent;
                has_own_result.then(|| snapshot.content_version())
            }
            Self::Retrying(_) => None,
            Self::Planned(index, _) => Some(*index as u64),
        }
    }

    /// Whether it has not ended, in a job of this state.
    pub(crate) fn is_active(&self, view: &JobView<'_>) -> bool {
        match self {
            Self::Started(trial) => !trial.state.has_ended() && !trial.state.is_lost(),
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
        let object = match self {
            Self::Started(trial) => TrialObject::from_view(view, trial, run_id),
            Self::Retrying(retry) => TrialObject::from_retry(view, retry, run_id),
            Self::Planned(index, planned) => {
                TrialObject::from_plan(view, index, &planned.task, &planned.agent, run_id)
            }
        };
        RawObject::from_serialize(&object)
    }
}
