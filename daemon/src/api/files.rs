//! The files of a trial, and the own files of a run.
//!
//! They are looked up for each request: those of a jobs directory on disk, those of a hub or a `harbor serve` by asking
//! it. A Docks API that is no hub has those that the objects name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use docks_artifacts::TrialArtifacts;
use docks_proto::file_list::{FileList, ListedFile};
use docks_proto::freshness::CachePolicy;
use docks_proto::object::RawObject;
use docks_proto::path_encoding::decode_path;
use docks_proto::repair;
use docks_proto::routes::RunKind;
use docks_proto::settings::Target;
use docksd_harbor::{FileOwner, list_files};
use docksd_mirror::StoredObject;
use docksd_sync::SyncError;
use serde_json::Value;

use super::error::ApiError;
use super::extract::PathIds;
use super::revalidate::FreshnessRequirement;
use super::trial::{existing_run, existing_trial};
use super::{Service, respond, run};
use crate::registry::MirroredRemote;

/// The folder that contains the files of a trial or a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnerFolder {
    /// Whose it is.
    pub(crate) owner: FileOwner,
    /// Its path.
    pub(crate) path: PathBuf,
}

/// Returns the folder of a job or, with the object of a trial, of that trial; `None` if it has none yet.
///
/// The objects are those of a jobs directory, so their names and paths are those of existing folders.
pub(crate) fn owner_folder(run: &str, trial: Option<&str>) -> Option<OwnerFolder> {
    let run: Value = repair::read(run);
    let uri = run["harbor"]["job_uri"].as_str()?;
    let job = decode_path(uri.strip_prefix("file://")?);
    let Some(trial) = trial else {
        return Some(OwnerFolder {
            owner: FileOwner::Job,
            path: job,
        });
    };
    let trial: Value = repair::read(trial);
    let name = Path::new(trial["name"].as_str()?);
    // One name, which leads neither up nor to another place.
    (name.file_name() == Some(name.as_os_str())).then(|| OwnerFolder {
        owner: FileOwner::Trial,
        path: job.join(name),
    })
}

/// `GET /tenants/{tenant}/harbor/runs/{id}/files`
pub(super) async fn of_run(
    State(service): State<Arc<Service>>,
    PathIds((tenant, run_name)): PathIds<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let remote = service.open_for_reading(&headers, Some(&tenant)).await?;
    let requirement = service.freshness_requirement(&headers);
    let kind = RunKind::Evaluation;
    let (run, freshness) = run::existing(&remote, kind, &run_name, requirement).await?;
    let list = FileList {
        id: run.id.clone(),
        ..FileList::default()
    };
    let owner = Owner {
        run: &run,
        trial: None,
    };
    let list = with_files(&service, &remote, list, &owner, requirement).await?;
    Ok(respond::object(to_json(&list), &freshness))
}

/// `GET /tenants/{tenant}/harbor/runs/{id}/trials/{trial}/files`
pub(super) async fn of_trial(
    State(service): State<Arc<Service>>,
    PathIds((tenant, run_name, name)): PathIds<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let remote = service.open_for_reading(&headers, Some(&tenant)).await?;
    let requirement = service.freshness_requirement(&headers);
    let run = existing_run(&remote, &run_name, requirement).await?;
    let (trial, freshness) = existing_trial(&remote, &run, &name, requirement).await?;
    let list = FileList {
        id: trial.id.clone(),
        run_id: Some(run.id.clone()),
        ..FileList::default()
    };
    let owner = Owner {
        run: &run,
        trial: Some(&trial),
    };
    let list = with_files(&service, &remote, list, &owner, requirement).await?;
    Ok(respond::object(to_json(&list), &freshness))
}

fn to_json(list: &FileList) -> String {
    serde_json::to_string(list).expect("strings and numbers can be serialised as JSON")
}

/// Whose files are listed.
struct Owner<'a> {
    run: &'a StoredObject,
    /// The trial; `None` for the run's own files.
    trial: Option<&'a StoredObject>,
}

impl Owner<'_> {
    /// Returns the files that its object names.
    fn named_files(&self) -> Vec<ListedFile> {
        let object = RawObject::parse(&self.trial.unwrap_or(self.run).text);
        let named = object.ok().flatten();
        let named = named.map(|object| TrialArtifacts::from_object(&object).files);
        named.unwrap_or_default()
    }

    /// Whether it belongs to a Harbor job, so that a Docks API which has it is a hub.
    fn is_of_harbor(&self) -> bool {
        repair::read::<Value>(&self.run.text)["harbor"].is_object()
    }
}

/// Fills a list with the files of an object.
async fn with_files(
    service: &Service,
    remote: &MirroredRemote,
    mut list: FileList,
    owner: &Owner<'_>,
    requirement: FreshnessRequirement,
) -> Result<FileList, ApiError> {
    let named = owner.named_files();
    let found = match &remote.id.target {
        Target::HarborJobs { dirs } => on_disk(service, remote, dirs.clone(), owner).await?,
        Target::DocksApi { .. } if !owner.is_of_harbor() => None,
        Target::DocksApi { .. } | Target::HarborServer { .. } => match requirement.policy {
            CachePolicy::OnlyIfCached => None,
            _ => ask_remote(remote, owner).await?,
        },
    };
    let Some(found) = found else {
        list.files = named;
        return Ok(list);
    };
    (list.files, list.left_out) = (found.files, found.left_out);
    // A file has the type under which its object lists it, since that looks into some files.
    for file in &mut list.files {
        if let Some(same) = named.iter().find(|same| same.path == file.path) {
            file.r#type.clone_from(&same.r#type);
        }
    }
    Ok(list)
}

/// Lists what is in the folder of a job or a trial.
async fn on_disk(
    service: &Service,
    remote: &MirroredRemote,
    dirs: Vec<PathBuf>,
    owner: &Owner<'_>,
) -> Result<Option<FileList>, ApiError> {
    let trial = owner.trial.map(|trial| &*trial.text);
    let Some(OwnerFolder { owner: kind, path }) = owner_folder(&owner.run.text, trial) else {
        return Ok(Some(FileList::default()));
    };
    let call = move || list_files(&dirs, &path, kind);
    let name = format!("the files of {}", remote.database.display());
    let found = service.registry.run_blocking(&name, call).await?;
    let found = found.map_err(|source| ApiError::Folder {
        what: format!("`{}`", owner.trial.unwrap_or(owner.run).id),
        source,
    })?;
    Ok(Some(FileList {
        files: found.files,
        left_out: found.left_out,
        ..FileList::default()
    }))
}

async fn ask_remote(
    remote: &MirroredRemote,
    owner: &Owner<'_>,
) -> Result<Option<FileList>, ApiError> {
    let trial = owner.trial.map(|trial| trial.id.as_str());
    let asked = remote.files(&owner.run.id, trial).await;
    asked.map_err(|error| ApiError::Sync(SyncError::from(error)))
}
