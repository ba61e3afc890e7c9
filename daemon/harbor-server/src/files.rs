//! The files of a trial, as the server lists them once an attempt has ended, and until then as they are on disk if the
//! server runs on this machine; of a job, its plan.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use docks_proto::file_list::{FileList, ListedFile};
use docks_proto::id::path_segment;
use docks_proto::server_files::ServerFiles;
use docks_proto::settings::is_on_loopback;
use docksd_harbor::{FileOwner, file_type, list_files};
use docksd_remote::RemoteError;
use serde::Deserialize;
use tracing::debug;

use crate::job::download_address;
use crate::queries::{self, PlanRow};
use crate::{Server, not_found};

/// Files of one attempt that are listed; an agent can leave any number.
const MAX_FILES: usize = 20_000;
/// Said of a trial that runs, if its folder cannot be read here.
const NOT_YET: &str = "the server lists its files once it has ended";
/// The name of a job's plan.
const PLAN: &str = "lock.json";

#[derive(Deserialize)]
struct RolloutAnswer {
    rollout: RolloutFiles,
}

/// An attempt, as far as its files need it.
#[derive(Deserialize)]
pub(crate) struct RolloutFiles {
    /// Its id.
    pub(crate) id: String,
    job_id: String,
    name: String,
    state: String,
    /// All attempts of the trial, newest first.
    #[serde(default)]
    retry_ids: Vec<String>,
    /// Addresses by path; folders end with a slash.
    #[serde(default)]
    artifacts: BTreeMap<String, String>,
}

impl Server {
    /// Lists the files of a job or of the newest attempt of a trial.
    pub(crate) async fn files(
        &self,
        job: &str,
        trial: Option<&str>,
    ) -> Result<FileList, RemoteError> {
        let Some(trial) = trial else {
            let plan = self.plan(job).await?;
            let plan = plan.map(|uri| self.listed(PLAN, &uri));
            return Ok(FileList {
                files: plan.into_iter().collect(),
                ..FileList::default()
            });
        };
        let attempt = self.newest_attempt(trial).await?;
        let has_ended = matches!(attempt.state.as_str(), "finished" | "cancelled");
        if !has_ended {
            return Ok(self.running_files(&attempt).await);
        }
        let is_file = |path: &str| {
            let is_plain = |part: &str| !matches!(part, "" | "." | "..");
            path.split('/').all(is_plain)
        };
        let files = attempt.artifacts.iter().filter(|(path, _)| is_file(path));
        let mut list = FileList {
            files: files
                .take(MAX_FILES)
                .map(|(path, uri)| self.listed(path, uri))
                .collect(),
            ..FileList::default()
        };
        if attempt.artifacts.len() > MAX_FILES {
            let cut = format!("the list ends after {MAX_FILES} files");
            list.left_out.push(cut);
        }
        Ok(list)
    }

    /// Describes a file at the server's download route; its size is not known before it is downloaded.
    fn listed(&self, path: &str, uri: &str) -> ListedFile {
        ListedFile {
            path: path.to_owned(),
            r#type: file_type(path).to_owned(),
            size_bytes: None,
            modified_at: None,
            uri: download_address(self.client.base(), uri),
        }
    }

    /// Returns the newest attempt of a trial, given by the id of any of them.
    pub(crate) async fn newest_attempt(&self, trial: &str) -> Result<RolloutFiles, RemoteError> {
        let first = self.attempt(trial).await?;
        match first.retry_ids.first() {
            Some(newest) if *newest != first.id => self.attempt(newest).await,
            _ => Ok(first),
        }
    }

    async fn attempt(&self, id: &str) -> Result<RolloutFiles, RemoteError> {
        let segment = path_segment(id).map_err(|_| not_found(id))?;
        let path = format!("/rollouts/{segment}");
        let answer: RolloutAnswer = self.client.get(path).await?;
        Ok(answer.rollout)
    }

    /// Returns the address of a job's plan, as the server writes it.
    async fn plan(&self, job: &str) -> Result<Option<String>, RemoteError> {
        let rows: Vec<PlanRow> = self
            .client
            .query(&[queries::plan(job)], |[plan]| plan.rows())
            .await?;
        Ok(rows.into_iter().next().and_then(|row| row.lock_uri))
    }

    /// Lists what is in the folder of an attempt that has not ended.
    async fn running_files(&self, attempt: &RolloutFiles) -> FileList {
        let listed = match self.local_folder(attempt).await {
            Ok(Some((files, folder))) => {
                let roots = [files.rollouts().to_owned()];
                list_files(&roots, &folder, FileOwner::Trial)
            }
            Ok(None) => Err(io::ErrorKind::NotFound.into()),
            Err(error) => Err(io::Error::other(error)),
        };
        match listed {
            Ok(found) => FileList {
                files: found.files,
                left_out: found.left_out,
                ..FileList::default()
            },
            Err(error) => {
                debug!(attempt = attempt.id, error = %error, "could not read the folder of a running trial");
                FileList {
                    left_out: vec![NOT_YET.to_owned()],
                    ..FileList::default()
                }
            }
        }
    }

    /// Finds the folder of an attempt, if the server runs on this machine as this user.
    async fn local_folder(
        &self,
        attempt: &RolloutFiles,
    ) -> Result<Option<(ServerFiles, PathBuf)>, RemoteError> {
        if !is_on_loopback(self.client.base()) {
            return Ok(None);
        }
        let Some(plan) = self.plan(&attempt.job_id).await? else {
            return Ok(None);
        };
        let Ok(files) = ServerFiles::of_plan(&plan) else {
            return Ok(None);
        };
        let folder = files.trial(&attempt.id, &attempt.name);
        Ok(folder
            .filter(|folder| folder.is_dir())
            .map(|folder| (files, folder)))
    }
}
