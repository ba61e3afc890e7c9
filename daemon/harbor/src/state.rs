//! What is known of the directories between questions: what was seen, what was told, what is followed.

use std::path::PathBuf;
use std::sync::Arc;

use docks_proto::object::{RawObject, RunFields};
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;

use crate::Options;
use crate::changes::Live;
use crate::follow::Inbox;
use crate::published_jobs::Tellings;
use crate::snapshot::job_snapshot::Depth;
use crate::snapshot::jobs_directory::Root;
use crate::snapshot::processes::Processes;
use crate::snapshot::scan::{Index, OutOfReach};
use docksd_remote::RemoteError;

/// What is known between questions.
#[derive(Debug)]
pub(super) struct State {
    /// What was seen.
    pub(super) index: Index,
    /// What was told of it.
    pub(super) tellings: Tellings,
    /// What was handed out as news.
    pub(super) live: Live,
}

impl State {
    /// Starts without having looked.
    pub(super) fn new(dirs: &[PathBuf], options: &Options, inbox: &Arc<Inbox>) -> Self {
        let roots = dirs.iter().cloned().map(Root::new).collect();
        let processes = Processes::new(options.processes.clone());
        Self {
            index: Index::new(roots, processes, options.quiet_limit),
            tellings: Tellings::default(),
            live: Live::new(Arc::clone(inbox)),
        }
    }

    /// Looks at all jobs and tells them.
    ///
    /// # Errors
    ///
    /// When a directory is out of reach, though the jobs of the others were looked at and are told.
    pub(super) fn look(&mut self, now: UnixMs, depth: Depth) -> Result<(), RemoteError> {
        let out_of_reach = self.steadily(|index| index.look(now, depth))?;
        self.tell(now)?;
        self.live.looked_at_all(&self.index, &self.tellings);
        match out_of_reach {
            Some(OutOfReach { path, why }) => Err(outage(path, why)),
            None => Ok(()),
        }
    }

    /// Looks at directories that stay where they are. One that is moved away under the look shows
    /// some of its files and not the others, so what was seen is not told.
    pub(super) fn steadily<T>(
        &mut self,
        look: impl FnOnce(&mut Index) -> T,
    ) -> Result<T, RemoteError> {
        let looked = look(&mut self.index);
        match self.index.roots.iter().find(|root| !root.has_stayed()) {
            Some(root) => {
                // Whoever put another directory in its place will not tell a second time.
                self.live.look_again();
                let why = "it was moved or removed while it was looked at";
                Err(outage(root.given.clone(), why))
            }
            None => Ok(looked),
        }
    }

    /// Tells what was seen.
    pub(super) fn tell(&mut self, now: UnixMs) -> Result<(), RemoteError> {
        self.tellings.update(&self.index, now).map_err(unwritable)?;
        self.live.told(&self.tellings);
        Ok(())
    }

    /// Looks at the job with an id, and at all jobs when none has it.
    pub(super) fn look_for(&mut self, id: &str, now: UnixMs) -> Result<PathBuf, RemoteError> {
        let known = self.tellings.find(id).map(|(folder, _)| folder.clone());
        if let Some(folder) = known.filter(|folder| self.index.would_show(folder)) {
            self.steadily(|index| {
                index.look_at(std::slice::from_ref(&folder), now, Depth::Every);
            })?;
            self.tell(now)?;
            self.live.looked_at(&self.index, [&folder].into_iter());
            if self
                .tellings
                .find(id)
                .is_some_and(|(now, _)| *now == folder)
            {
                return Ok(folder);
            }
        }
        self.look(now, Depth::Every)?;
        match self.tellings.find(id) {
            Some((folder, _)) => Ok(folder.clone()),
            None => Err(self.not_found(id)),
        }
    }

    /// Says that there is no such run or trial.
    pub(super) fn not_found(&self, what: &str) -> RemoteError {
        RemoteError::Files {
            path: self.index.roots[0].dir.join(what),
            source: std::io::ErrorKind::NotFound.into(),
        }
    }

    /// Looks at a job and returns it.
    pub(super) fn run(
        &mut self,
        kind: RunKind,
        id: &str,
        now: UnixMs,
    ) -> Result<RawObject, RemoteError> {
        self.look_for(id, now)?;
        // A folder's name finds its job, too, but what is asked for here is a full id:
        // another object would be taken for an answer that makes no sense.
        let found = self.tellings.find(id);
        found
            .map(|(_, told)| told.object(kind).clone())
            .filter(|object| RunFields::from_object(object).id.text().as_deref() == Some(id))
            .ok_or_else(|| self.not_found(id))
    }

    /// Looks at a job and returns its trials.
    pub(super) fn trials(&mut self, run: &str, now: UnixMs) -> Result<Vec<RawObject>, RemoteError> {
        let folder = self.look_for(run, now)?;
        let told = self
            .tellings
            .trials(&self.index, &folder)
            .map_err(unwritable)?;
        let trials = told.map(<[_]>::to_vec);
        trials.ok_or_else(|| self.not_found(run))
    }
}

fn outage(path: PathBuf, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> RemoteError {
    RemoteError::Files {
        path,
        // Never "not found": that would say of every job that it is gone.
        source: std::io::Error::other(why),
    }
}

/// Says that an object could not be made.
pub(super) fn unwritable(e: serde_json::Error) -> RemoteError {
    RemoteError::InvalidResponse {
        why: format!("a job cannot be written as JSON: {e}"),
    }
}
