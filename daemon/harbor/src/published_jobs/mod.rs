//! The jobs as they are published: their objects, kept as text until something of a job changes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use docks_proto::object::RawObject;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;

use crate::derive::job_view::derive_job_view;
use crate::derive::trial_table::TrialTable;
use crate::job_ids::{AssignedId, IdClaim, UuidHolders, assign_ids};
use crate::known_jobs::KnownJob;
use crate::listed_trial::listed_trials;
use crate::live_trials::LiveTrials;
use crate::objects::{EvaluationObject, HarborDetails, RunObject};
use crate::snapshot::job_snapshot::JobSnapshot;
use crate::snapshot::scan::Snapshot;
use crate::utc::Utc;
use crate::validators::hash_of_job;

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
    /// Its trials as they were delivered, until it has finished.
    live_trials: Option<LiveTrials>,
    /// What is known of its trials, as long as it runs.
    table: Option<TrialTable>,
}

/// Whether a job's trials are likely to change soon.
fn is_running(job: &JobSnapshot) -> bool {
    !job.is_finished() && job.liveness.is_alive()
}

impl PublishedJob {
    fn new(
        job: &JobSnapshot,
        id: String,
        note: Option<String>,
        (table, mut live_trials): (Option<TrialTable>, Option<LiveTrials>),
    ) -> Result<Self, serde_json::Error> {
        let mut table = table.unwrap_or_default();
        let view = derive_job_view(job, &mut table);
        if let Some(trials) = &mut live_trials {
            trials.update(&view, &table, &id)?;
        }
        let harbor = HarborDetails::from_view(&view, note.as_deref());
        let evaluation = EvaluationObject::from_view(&view, &id, &harbor);
        Ok(Self {
            version: job.version,
            run: RawObject::from_serialize(&RunObject::from_view(&view, &id, &harbor))?,
            evaluation: RawObject::from_serialize(&evaluation)?,
            created: view.times.started,
            name: job.name.clone(),
            id,
            note,
            live_trials,
            table: is_running(job).then_some(table),
        })
    }

    fn from_known(known: KnownJob, job: &JobSnapshot) -> Self {
        Self {
            version: job.version,
            id: known.id,
            name: job.name.clone(),
            note: None,
            created: known.created,
            run: known.run,
            evaluation: known.evaluation,
            live_trials: None,
            table: None,
        }
    }

    /// Returns a hash of its objects.
    pub(crate) fn hash(&self) -> u64 {
        hash_of_job(&self.run, &self.evaluation)
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
    claims: BTreeMap<PathBuf, (u64, IdClaim)>,
}

impl PublishedJobs {
    /// Derives the jobs that changed in the snapshot again, except those that are held back.
    ///
    /// Returns the archived jobs that have to be read again before that.
    pub(crate) fn update(
        &mut self,
        snapshot: &Snapshot,
        held_back: &BTreeSet<PathBuf>,
        now: UnixMs,
    ) -> Result<Vec<PathBuf>, serde_json::Error> {
        let is_published = |folder: &PathBuf, job: &JobSnapshot| {
            job.is_job() && job.publishable_in(now).is_none() && !held_back.contains(folder)
        };
        self.by_folder.retain(|folder, _| {
            let job = snapshot.jobs.get(folder);
            job.is_some_and(|job| is_published(folder, job))
        });
        let jobs = snapshot.jobs.iter();
        let jobs = jobs.filter(|(folder, job)| is_published(folder, job));
        let mut earlier = std::mem::take(&mut self.claims);
        for (folder, job) in jobs {
            let known = earlier.remove(folder);
            let known = known.filter(|(version, _)| *version == job.version);
            let claim = known.unwrap_or_else(|| (job.version, IdClaim::new(folder, job)));
            self.claims.insert(folder.clone(), claim);
        }
        let claims = self.claims.values().map(|(_, claim)| claim.clone());
        let mut unread = Vec::new();
        for AssignedId { folder, id, note } in assign_ids(claims.collect(), &mut self.holders) {
            let Some(job) = snapshot.jobs.get(&folder) else {
                continue;
            };
            let is_current = self.by_folder.get(&folder).is_some_and(|published| {
                published.version == job.version && published.id == id && published.note == note
            });
            if !is_current && job.is_archived() {
                unread.push(folder);
            } else if !is_current {
                let earlier = self.by_folder.get_mut(&folder);
                let kept = earlier.map(|job| (job.table.take(), job.live_trials.take()));
                let published = PublishedJob::new(job, id, note, kept.unwrap_or_default())?;
                self.by_folder.insert(folder, published);
            }
        }
        Ok(unread)
    }

    /// Takes over a job as an earlier process delivered it.
    pub(crate) fn restore(&mut self, known: KnownJob, job: &JobSnapshot) {
        let folder = known.folder.clone();
        let published = PublishedJob::from_known(known, job);
        self.by_folder.insert(folder, published);
    }

    /// Forgets which folders have their UUID as id, since not all folders were known.
    pub(crate) fn forget_holders(&mut self) {
        self.holders = UuidHolders::new();
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
    ///
    /// `None` if there is no such job, or if its content is not kept.
    pub(crate) fn trials(
        &self,
        snapshot: &Snapshot,
        folder: &Path,
    ) -> Result<Option<Vec<RawObject>>, serde_json::Error> {
        let (Some(published), Some(job)) = (self.by_folder.get(folder), snapshot.jobs.get(folder))
        else {
            return Ok(None);
        };
        if job.is_archived() {
            return Ok(None);
        }
        let mut table = TrialTable::default();
        let view = derive_job_view(job, &mut table);
        let trials = listed_trials(&view, &table);
        let objects = trials.map(|trial| trial.to_object(&view, &published.id));
        objects.collect::<Result<_, _>>().map(Some)
    }

    /// Returns the trials of a job like [`PublishedJobs::trials`], of one that may change so that the next changes can be
    /// delivered by themselves.
    pub(crate) fn deliver_trials(
        &mut self,
        snapshot: &Snapshot,
        folder: &Path,
    ) -> Result<Option<Vec<RawObject>>, serde_json::Error> {
        let job = snapshot.jobs.get(folder).filter(|job| !job.is_finished());
        let (Some(job), Some(published)) = (job, self.by_folder.get_mut(folder)) else {
            return self.trials(snapshot, folder);
        };
        let mut table = TrialTable::default();
        let view = derive_job_view(job, &mut table);
        let (live, objects) = LiveTrials::begin(&view, &table, &published.id)?;
        published.live_trials = Some(live);
        Ok(Some(objects))
    }

    /// Returns what changed of a job's trials since they were delivered, as long as they are kept.
    pub(crate) fn live_trials_mut(&mut self, folder: &Path) -> Option<&mut LiveTrials> {
        self.by_folder.get_mut(folder)?.live_trials.as_mut()
    }

    /// Returns how many trials of a job changed since they were delivered; `None` if all are delivered next.
    pub(crate) fn changed_trials(&self, folder: &Path) -> Option<usize> {
        let trials = self.by_folder.get(folder)?.live_trials.as_ref()?;
        Some(trials.changed_count())
    }

    /// Forgets how the trials of a job were delivered, so that the next delivery is whole.
    pub(crate) fn forget_live_trials(&mut self, folder: &Path) {
        if let Some(job) = self.by_folder.get_mut(folder) {
            job.live_trials = None;
        }
    }
}

#[cfg(test)]
mod tests;
