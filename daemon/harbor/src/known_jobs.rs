//! Jobs as an earlier process delivered them.

use std::path::PathBuf;

use docks_proto::object::RawObject;
use docksd_remote::DeliveredRun;

use crate::format::json;
use crate::format::written_time::WrittenTime;
use crate::snapshot::archive::Archive;
use crate::utc::Utc;
use crate::validators::{hash_of_job, read_files_validator};

/// A finished job as an earlier process delivered it.
#[derive(Debug)]
pub(crate) struct KnownJob {
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// Its id.
    pub(crate) id: String,
    /// Its UUID.
    pub(crate) uuid: Option<String>,
    /// When it started.
    pub(crate) created: Option<Utc>,
    /// As a run.
    pub(crate) run: RawObject,
    /// As an evaluation run.
    pub(crate) evaluation: RawObject,
    /// What is kept of it.
    pub(crate) archive: Archive,
}

impl KnownJob {
    /// Takes what was delivered; `None` if the job had not finished, or if its trials are of another time than the job.
    pub(crate) fn from_delivered(delivered: DeliveredRun) -> Option<Self> {
        let DeliveredRun {
            id,
            run,
            evaluation,
            trials_validator,
        } = delivered;
        let (hash, mut archive) = read_files_validator(&trials_validator)?;
        if hash != hash_of_job(&run, &evaluation) {
            return None;
        }
        let top = json::parse(evaluation.text())?.object();
        let uuid = top.object("harbor").text("job_id");
        archive.uuid.clone_from(&uuid);
        let created = top.text("created_at");
        Some(Self {
            folder: PathBuf::from(top.text("remote_ref")?),
            created: created.and_then(|text| WrittenTime::parse_utc(&text)),
            id,
            uuid,
            run,
            evaluation,
            archive,
        })
    }
}
