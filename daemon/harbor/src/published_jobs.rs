//! The jobs as they are published: their objects, kept as text until something of a job changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use docks_proto::object::RawObject;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;

use crate::derive::job_view::{JobView, derive_job_view};
use crate::job_ids::{AssignedId, IdClaim, UuidHolders, assign_ids};
use crate::objects::{EvaluationObject, HarborDetails, RunObject, TrialObject};
use crate::snapshot::job_snapshot::JobSnapshot;
use crate::snapshot::scan::Snapshot;
use crate::utc::Utc;

/// One job as it is published.
#[derive(Debug)]
pub(crate) struct PublishedJob {
    /// The version of the snapshot from which it was derived.
    pub(crate) version: u64,
    /// Its id: its UUID, or its folder's name where the UUID is taken or unknown.
    pub(crate) id: String,
    /// The name of its folder.
    pub(crate) name: String,
    note: Option<String>,
    created: Option<Utc>,
    run: RawObject,
    evaluation: RawObject,
    trials: Option<Vec<RawObject>>,
}

impl PublishedJob {
    fn new(job: &JobSnapshot, id: String, note: Option<String>) -> Result<Self, serde_json::Error> {
        let view = derive_job_view(job);
        let harbor = HarborDetails::from_view(&view, note.as_deref());
        let evaluation = EvaluationObject::from_view(&view, &id, &harbor);
        Ok(Self {
            version: job.version,
            run: RawObject::from_serialize(&RunObject::from_view(&view, &id, &harbor))?,
            evaluation: RawObject::from_serialize(&evaluation)?,
            created: view.times.started,
            name: job.name.clone(),
            trials: None,
            id,
            note,
        })
    }

    /// Returns the object of a kind.
    pub(crate) fn object(&self, kind: RunKind) -> &RawObject {
        match kind {
            RunKind::Run => &self.run,
            RunKind::Evaluation => &self.evaluation,
        }
    }
}

/// All published jobs.
#[derive(Debug, Default)]
pub(crate) struct PublishedJobs {
    by_folder: BTreeMap<PathBuf, PublishedJob>,
    holders: UuidHolders,
}

impl PublishedJobs {
    /// Derives the jobs that changed in the snapshot again.
    pub(crate) fn update(
        &mut self,
        snapshot: &Snapshot,
        now: UnixMs,
    ) -> Result<(), serde_json::Error> {
        let is_published = |job: &JobSnapshot| job.is_job() && job.publishable_in(now).is_none();
        self.by_folder
            .retain(|folder, _| snapshot.jobs.get(folder).is_some_and(is_published));
        let jobs = snapshot.jobs.iter().filter(|(_, job)| is_published(job));
        let claims = jobs
            .map(|(folder, job)| IdClaim::new(folder, job))
            .collect();
        for AssignedId { folder, id, note } in assign_ids(claims, &mut self.holders) {
            let Some(job) = snapshot.jobs.get(&folder) else {
                continue;
            };
            let is_current = self.by_folder.get(&folder).is_some_and(|published| {
                published.version == job.version && published.id == id && published.note == note
            });
            if !is_current {
                let published = PublishedJob::new(job, id, note)?;
                self.by_folder.insert(folder, published);
            }
        }
        Ok(())
    }

    /// Returns the folder and the job with an id, or with a folder's name that no other job has.
    pub(crate) fn find(&self, id: &str) -> Option<(&PathBuf, &PublishedJob)> {
        let by_id = self.by_folder.iter().find(|(_, job)| job.id == id);
        by_id.or_else(|| {
            let mut named = self.by_folder.iter().filter(|(_, job)| job.name == id);
            named.next().filter(|_| named.next().is_none())
        })
    }

    /// Returns all jobs, by folder.
    pub(crate) fn by_folder(&self) -> &BTreeMap<PathBuf, PublishedJob> {
        &self.by_folder
    }

    /// Returns all jobs, newest first.
    pub(crate) fn newest_first(&self) -> Vec<&PublishedJob> {
        let mut all: Vec<&PublishedJob> = self.by_folder.values().collect();
        all.sort_by(|a, b| (b.created, &b.name).cmp(&(a.created, &a.name)));
        all
    }

    /// Returns the trials of a job: started ones, oldest first, then those to come.
    pub(crate) fn trials(
        &mut self,
        snapshot: &Snapshot,
        folder: &Path,
    ) -> Result<Option<&[RawObject]>, serde_json::Error> {
        let (Some(published), Some(job)) =
            (self.by_folder.get_mut(folder), snapshot.jobs.get(folder))
        else {
            return Ok(None);
        };
        if published.trials.is_none() {
            published.trials = Some(trial_objects(&derive_job_view(job), &published.id)?);
        }
        Ok(published.trials.as_deref())
    }
}

fn trial_objects(view: &JobView<'_>, run_id: &str) -> Result<Vec<RawObject>, serde_json::Error> {
    let started = view
        .trials
        .iter()
        .map(|trial| TrialObject::from_view(view, trial, run_id));
    let retrying = view
        .retrying
        .iter()
        .map(|retry| TrialObject::from_retry(view, retry, run_id));
    let unstarted = view.unstarted.iter().map(|(index, planned)| {
        TrialObject::from_plan(view, *index, &planned.task, &planned.agent, run_id)
    });
    started
        .chain(retrying)
        .chain(unstarted)
        .map(|trial| RawObject::from_serialize(&trial))
        .collect()
}
