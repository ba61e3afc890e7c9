//! What was told of each job, kept as text until something of it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use docks_proto::object::RawObject;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;

use crate::derive::job_view::{self, JobView};
use crate::format::times::Utc;
use crate::objects::{Evaluation, Harbor, Run, Trial};
use crate::snapshot::job_snapshot::JobSeen;
use crate::snapshot::scan::Index;

/// One job as it was told.
#[derive(Debug)]
pub(crate) struct Told {
    /// Version of what was seen that it rests on.
    pub(crate) version: u64,
    /// Its id: UUID, or folder name where that is taken or unknown.
    pub(crate) id: String,
    /// Its folder's name.
    pub(crate) folder: String,
    note: Option<String>,
    created: Option<Utc>,
    run: RawObject,
    evaluation: RawObject,
    trials: Option<Vec<RawObject>>,
}

impl Told {
    /// Returns the object of a kind.
    pub(crate) fn object(&self, kind: RunKind) -> &RawObject {
        match kind {
            RunKind::Run => &self.run,
            RunKind::Evaluation => &self.evaluation,
        }
    }
}

/// All jobs as they were told.
#[derive(Debug, Default)]
pub(crate) struct Tellings(BTreeMap<PathBuf, Told>);

/// What decides a job's id.
struct Claim {
    folder: PathBuf,
    name: String,
    uuid: Option<String>,
    in_own_folder: bool,
    copied: bool,
}

impl Claim {
    fn of(folder: &Path, job: &JobSeen) -> Self {
        Self {
            folder: folder.to_owned(),
            name: job.folder.clone(),
            uuid: job_view::uuid(job).filter(|id| docks_proto::id::validate(id).is_ok()),
            in_own_folder: job_view::in_own_folder(job),
            copied: job.copied(job_view::times(job).updated),
        }
    }
}

impl Tellings {
    /// Brings all up to date with what was seen.
    pub(crate) fn update(&mut self, index: &Index, now: UnixMs) -> Result<(), serde_json::Error> {
        let is_told = |job: &JobSeen| job.is_job() && job.settles_in(now).is_none();
        self.0
            .retain(|folder, _| index.jobs.get(folder).is_some_and(is_told));
        let jobs = index.jobs.iter().filter(|(_, job)| is_told(job));
        let claims = jobs.map(|(folder, job)| Claim::of(folder, job)).collect();
        for (folder, (id, note)) in assign(claims) {
            let Some(job) = index.jobs.get(&folder) else {
                continue;
            };
            let fresh = self.0.get(&folder).is_some_and(|told| {
                told.version == job.version && told.id == id && told.note == note
            });
            if !fresh {
                let told = tell(job, id, note)?;
                self.0.insert(folder, told);
            }
        }
        Ok(())
    }

    /// Returns the folder and telling of an id; a folder's name works too.
    pub(crate) fn find(&self, id: &str) -> Option<(&PathBuf, &Told)> {
        let by_id = self.0.iter().find(|(_, told)| told.id == id);
        by_id.or_else(|| self.0.iter().find(|(_, told)| told.folder == id))
    }

    /// Returns what was told, by folder.
    pub(crate) fn all(&self) -> &BTreeMap<PathBuf, Told> {
        &self.0
    }

    /// Returns all jobs, newest first.
    pub(crate) fn newest_first(&self) -> Vec<&Told> {
        let mut all: Vec<&Told> = self.0.values().collect();
        all.sort_by(|a, b| (b.created, &b.folder).cmp(&(a.created, &a.folder)));
        all
    }

    /// Returns the trials of a job, oldest first, then those to come.
    pub(crate) fn trials(
        &mut self,
        index: &Index,
        folder: &Path,
    ) -> Result<Option<&[RawObject]>, serde_json::Error> {
        let (Some(told), Some(job)) = (self.0.get_mut(folder), index.jobs.get(folder)) else {
            return Ok(None);
        };
        if told.trials.is_none() {
            told.trials = Some(tell_trials(&job_view::derive(job), &told.id)?);
        }
        Ok(told.trials.as_deref())
    }
}

/// Gives every job its UUID as id, once; copies of a folder get their own name.
///
/// The folder that still has the name its trials were made under comes first, then one that
/// nobody copied, then the alphabet, so that copying a folder never takes the id from the original.
fn assign(mut claims: Vec<Claim>) -> Vec<(PathBuf, (String, Option<String>))> {
    let rank = |claim: &Claim| (!claim.in_own_folder, claim.copied, claim.folder.clone());
    claims.sort_by_cached_key(rank);
    let mut taken: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut given = Vec::new();
    let uuids: BTreeSet<String> = claims.iter().filter_map(|c| c.uuid.clone()).collect();
    for claim in claims {
        let owner = claim
            .uuid
            .as_ref()
            .and_then(|uuid| taken.get(uuid))
            .cloned();
        let (mut id, note) = match (claim.uuid, owner) {
            (Some(uuid), None) => (uuid, None),
            (Some(uuid), Some(owner)) => {
                let beside = owner.parent() == claim.folder.parent();
                let owner = match owner.file_name().filter(|_| beside) {
                    Some(name) => Path::new(name).display().to_string(),
                    None => owner.display().to_string(),
                };
                let note =
                    format!("same job id {uuid} as `{owner}`; the folder's name is the id here");
                (claim.name, Some(note))
            }
            (None, _) => (claim.name, None),
        };
        // A folder may be named like another job's id.
        while taken.contains_key(&id) || (note.is_some() && uuids.contains(&id)) {
            id.insert(0, '~');
        }
        taken.insert(id.clone(), claim.folder.clone());
        given.push((claim.folder, (id, note)));
    }
    given
}

fn tell(job: &JobSeen, id: String, note: Option<String>) -> Result<Told, serde_json::Error> {
    let view = job_view::derive(job);
    let harbor = Harbor::of(&view, note.as_deref());
    Ok(Told {
        version: job.version,
        run: RawObject::from_serialize(&Run::of(&view, &id, &harbor))?,
        evaluation: RawObject::from_serialize(&Evaluation::of(&view, &id, &harbor))?,
        created: view.times.started,
        folder: job.folder.clone(),
        trials: None,
        id,
        note,
    })
}

fn tell_trials(view: &JobView<'_>, run_id: &str) -> Result<Vec<RawObject>, serde_json::Error> {
    let begun = view
        .trials
        .iter()
        .map(|trial| Trial::of(view, trial, run_id));
    let again = view
        .retrying
        .iter()
        .map(|trial| Trial::retrying(view, trial, run_id));
    let to_come = view.unstarted.iter().map(|(place, planned)| {
        Trial::planned(view, *place, &planned.task, &planned.agent, run_id)
    });
    begun
        .chain(again)
        .chain(to_come)
        .map(|trial| RawObject::from_serialize(&trial))
        .collect()
}
