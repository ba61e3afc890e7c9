//! Assigns each job a unique id.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::disk::file_version::FolderIdentity;
use crate::snapshot::job_snapshot::JobSnapshot;

/// Folders created within this time of each other, in nanoseconds, may have come in any order: as parts of one
/// copy or checkout.
const SAME_TIME_NS: i128 = 2_000_000_000;

/// What decides a job's id.
#[derive(Debug, Clone)]
pub(crate) struct IdClaim {
    folder: PathBuf,
    name: String,
    uuid: Option<String>,
    has_original_name: bool,
    is_copy: bool,
    identity: Option<FolderIdentity>,
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
    fn created_ns(&self) -> Option<i128> {
        self.identity.and_then(|identity| identity.created_ns)
    }

    /// Creates the claim of the job in a folder.
    pub(crate) fn new(folder: &Path, job: &JobSnapshot) -> Self {
        Self {
            folder: folder.to_owned(),
            name: job.name.clone(),
            uuid: job
                .uuid()
                .filter(|id| docks_proto::id::validate(id).is_ok()),
            has_original_name: job.has_original_name(),
            is_copy: job.is_copy(&job.times()),
            identity: job.folder_identity(),
        }
    }
}

/// The folders that have their UUID as id, by UUID. A folder keeps its identity when it is renamed.
pub(crate) type UuidHolders = BTreeMap<String, FolderIdentity>;

/// Gives each job its UUID as id, once; copies of a folder get the folder's name.
///
/// The folder that had the id keeps it, whatever its name is now. If that is not known, since docksd did not run,
/// the one that was created first comes first: renaming a folder does not make it younger, while a copy is a new
/// one. Of those created together, as by copying a whole directory, the one that still has the name under which
/// its trials were created comes first, then one that was not copied, then the first in the alphabet.
pub(crate) fn assign_ids(mut claims: Vec<IdClaim>, holders: &mut UuidHolders) -> Vec<AssignedId> {
    let mut first_created: BTreeMap<&str, i128> = BTreeMap::new();
    for claim in &claims {
        if let (Some(uuid), Some(at)) = (&claim.uuid, claim.created_ns()) {
            let first = first_created.entry(uuid).or_insert(at);
            *first = at.min(*first);
        }
    }
    let first_created: BTreeMap<String, i128> = first_created
        .into_iter()
        .map(|(uuid, at)| (uuid.to_owned(), at))
        .collect();
    let rank = |claim: &IdClaim| {
        let uuid = claim.uuid.as_deref().unwrap_or_default();
        let is_holder = claim.identity.is_some() && claim.identity == holders.get(uuid).copied();
        let first = first_created.get(uuid).copied();
        let created = claim.created_ns().zip(first);
        let is_younger = created.is_some_and(|(at, first)| at - first > SAME_TIME_NS);
        (
            !is_holder,
            is_younger,
            !claim.has_original_name,
            claim.is_copy,
            claim.created_ns(),
            claim.folder.clone(),
        )
    };
    claims.sort_by_cached_key(rank);
    *holders = BTreeMap::new();
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
            (Some(uuid), None) => {
                holders.extend(claim.identity.map(|identity| (uuid.clone(), identity)));
                (uuid, None)
            }
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
