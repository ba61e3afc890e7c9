//! Assigns each job a unique id.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::snapshot::job_snapshot::JobSnapshot;

/// What decides a job's id.
pub(crate) struct IdClaim {
    folder: PathBuf,
    name: String,
    uuid: Option<String>,
    has_original_name: bool,
    is_copy: bool,
}

/// The id of a job.
pub(crate) struct AssignedId {
    /// The job's folder.
    pub(crate) folder: PathBuf,
    /// Its id: its UUID, or its folder's name where the UUID is taken or unknown.
    pub(crate) id: String,
    /// Why the id is not the UUID, for people.
    pub(crate) note: Option<String>,
}

impl IdClaim {
    /// Creates the claim of the job in a folder.
    pub(crate) fn new(folder: &Path, job: &JobSnapshot) -> Self {
        Self {
            folder: folder.to_owned(),
            name: job.name.clone(),
            uuid: job
                .uuid()
                .filter(|id| docks_proto::id::validate(id).is_ok()),
            has_original_name: job.has_original_name(),
            is_copy: job.is_copy(job.times().updated),
        }
    }
}

/// Gives each job its UUID as id, once; copies of a folder get the folder's name.
///
/// The folder that still has the name under which its trials were created comes first, then one that
/// was not copied, then the first in the alphabet. So copying a folder never takes the id from the
/// original.
pub(crate) fn assign_ids(mut claims: Vec<IdClaim>) -> Vec<AssignedId> {
    let rank = |claim: &IdClaim| {
        (
            !claim.has_original_name,
            claim.is_copy,
            claim.folder.clone(),
        )
    };
    claims.sort_by_cached_key(rank);
    let mut taken: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut assigned = Vec::new();
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
                let same_directory = owner.parent() == claim.folder.parent();
                let owner = match owner.file_name().filter(|_| same_directory) {
                    Some(name) => Path::new(name).display().to_string(),
                    None => owner.display().to_string(),
                };
                let note = format!(
                    "same job id {uuid} as `{owner}`, so the folder's name is the id of this copy"
                );
                (claim.name, Some(note))
            }
            (None, _) => (claim.name, None),
        };
        // A folder may be named like another job's id.
        while taken.contains_key(&id) || (note.is_some() && uuids.contains(&id)) {
            id.insert(0, '~');
        }
        taken.insert(id.clone(), claim.folder.clone());
        assigned.push(AssignedId {
            folder: claim.folder,
            id,
            note,
        });
    }
    assigned
}
