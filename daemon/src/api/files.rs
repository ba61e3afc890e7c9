//! The files of a trial, and the own files of a run.
//!
//! Those of a jobs directory are read from disk for each request; of any other remote the objects name them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use docks_artifacts::TrialArtifacts;
use docks_proto::file_list::FileList;
use docks_proto::object::RawObject;
use docks_proto::path_encoding::decode_path;
use docks_proto::repair;
use docks_proto::routes::RunKind;
use docks_proto::settings::Target;
use docksd_harbor::{FileOwner, list_files};
use docksd_mirror::StoredObject;
use serde_json::Value;

use super::error::ApiError;
use super::extract::PathIds;
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
    let folder = owner_folder(&run.text, None);
    let list = with_files(&service, &remote, list, &run, folder).await?;
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
    let folder = owner_folder(&run.text, Some(&trial.text));
    let list = with_files(&service, &remote, list, &trial, folder).await?;
    Ok(respond::object(to_json(&list), &freshness))
}

fn to_json(list: &FileList) -> String {
    serde_json::to_string(list).expect("strings and numbers can be serialised as JSON")
}

/// Fills a list with the files of an object.
async fn with_files(
    service: &Service,
    remote: &MirroredRemote,
    mut list: FileList,
    object: &StoredObject,
    folder: Option<OwnerFolder>,
) -> Result<FileList, ApiError> {
    let known = RawObject::parse(&object.text).ok().flatten();
    let known = known.map(|object| TrialArtifacts::from_object(&object).files);
    let known = known.unwrap_or_default();
    let Target::HarborJobs { dirs } = &remote.id.target else {
        list.files = known;
        return Ok(list);
    };
    let Some(OwnerFolder { owner, path }) = folder else {
        return Ok(list);
    };
    let dirs = dirs.clone();
    let call = move || list_files(&dirs, &path, owner);
    let name = format!("the files of {}", remote.database.display());
    let found = service.registry.run_blocking(&name, call).await?;
    let found = found.map_err(|source| ApiError::Folder {
        what: format!("`{}`", list.id),
        source,
    })?;
    (list.files, list.left_out) = (found.files, found.left_out);
    // A file has the type under which its object lists it, since that looks into some files.
    for file in &mut list.files {
        if let Some(same) = known.iter().find(|same| same.path == file.path) {
            file.r#type.clone_from(&same.r#type);
        }
    }
    Ok(list)
}
