//! What is kept between requests: the last snapshot, what was published, and what was delivered.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use docks_proto::object::RawObject;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use docksd_remote::{Fetched, Notice, Page, RemoteError, Validator};

use crate::change_tracker::ChangeTracker;
use crate::first_reading::FirstReading;
use crate::follow::ChangeQueue;
use crate::options::Options;
use crate::published_jobs::PublishedJobs;
use crate::snapshot::job_snapshot::{JobSnapshot, ScanDepth};
use crate::snapshot::jobs_directory::JobsDirectory;
use crate::snapshot::left_out::describe_server_data;
use crate::snapshot::processes::Processes;
use crate::snapshot::scan::{Snapshot, UnreachableDirectory};
use crate::validators::{self, fetched, hash_objects, page};

/// What is kept between requests.
#[derive(Debug)]
pub(crate) struct State {
    /// The directories as of the last scan.
    pub(crate) snapshot: Snapshot,
    /// The jobs as they are published.
    pub(crate) published: PublishedJobs,
    /// What was delivered as changes.
    pub(crate) tracker: ChangeTracker,
    /// The first reading of all jobs.
    pub(crate) first_reading: FirstReading,
    /// Whether the caller waits for changes from the start.
    pub(crate) is_followed: bool,
}

impl State {
    /// Creates a state without scanning.
    pub(crate) fn new(dirs: &[PathBuf], options: &Options, queue: &Arc<ChangeQueue>) -> Self {
        let directories = dirs.iter().cloned().map(JobsDirectory::new).collect();
        let processes = Processes::new(options.processes.clone());
        Self {
            snapshot: Snapshot::new(directories, processes, options.quiet_limit),
            published: PublishedJobs::default(),
            tracker: ChangeTracker::new(Arc::clone(queue)),
            first_reading: FirstReading::default(),
            is_followed: false,
        }
    }

    /// Scans and publishes all jobs.
    ///
    /// # Errors
    ///
    /// When a directory cannot be reached; the jobs of the others are scanned and published all the same.
    pub(crate) fn scan(&mut self, now: UnixMs, depth: ScanDepth) -> Result<(), RemoteError> {
        let unreachable = self.scan_unmoved(|snapshot| snapshot.scan(now, depth))?;
        self.publish(now)?;
        self.tracker.after_full_scan(&self.snapshot);
        self.tracker.queue.set_notice(self.describe_search());
        match unreachable {
            Some(UnreachableDirectory { path, why }) => Err(outage(path, why)),
            None => Ok(()),
        }
    }

    /// Describes what the search for jobs left out, and what it looked at in directories without any.
    fn describe_search(&self) -> Option<Notice> {
        let directories = &self.snapshot.directories;
        let has_jobs = |directory: &&JobsDirectory| {
            let mut jobs = self.snapshot.jobs.values().filter(|job| job.is_job());
            jobs.any(|job| directory.contains(&job.dir))
        };
        let reachable = directories
            .iter()
            .filter(|directory| directory.is_reachable());
        let mut texts = Vec::new();
        for directory in reachable {
            let left_out = &directory.found.left_out;
            let server_data = describe_server_data(&directory.path);
            let is_server_data = server_data.is_some();
            texts.extend(server_data);
            if !is_server_data && !has_jobs(&directory) {
                texts.push(left_out.describe_search(&directory.path));
            }
            let left_out = left_out.describe();
            texts.extend(left_out.map(|text| format!("{}: {text}", directory.path.display())));
        }
        (!texts.is_empty()).then(|| Notice {
            text: texts.join("; "),
            explains_emptiness: !directories.iter().any(|directory| has_jobs(&directory)),
        })
    }

    /// Scans, and fails if a directory was moved meanwhile: some of its files were then read and others
    /// not, so the scan must not be published.
    pub(crate) fn scan_unmoved<T>(
        &mut self,
        scan: impl FnOnce(&mut Snapshot) -> T,
    ) -> Result<T, RemoteError> {
        let result = scan(&mut self.snapshot);
        let mut directories = self.snapshot.directories.iter();
        match directories.find(|directory| !directory.is_unmoved()) {
            Some(moved) => {
                // There will not be another event about the replaced directory.
                self.tracker.request_rescan();
                let why = "it was moved or removed while it was read";
                Err(outage(moved.configured_path.clone(), why))
            }
            None => Ok(result),
        }
    }

    /// Publishes what was scanned.
    pub(crate) fn publish(&mut self, now: UnixMs) -> Result<(), RemoteError> {
        self.update_published(now)?;
        self.tracker.after_publishing(&self.published);
        Ok(())
    }

    /// Derives what changed, and reads archived jobs again that are published otherwise now, as after a copy appeared.
    pub(crate) fn update_published(&mut self, now: UnixMs) -> Result<(), RemoteError> {
        for _ in 0..2 {
            let held_back = self.first_reading.held_back();
            let unread = self.published.update(&self.snapshot, held_back, now);
            let unread = unread.map_err(not_serializable)?;
            if unread.is_empty() {
                break;
            }
            for folder in unread {
                self.snapshot.read_again(&folder, now);
            }
        }
        Ok(())
    }

    /// Scans the job with an id, or all jobs if none has it; returns the job's folder.
    pub(crate) fn find_job(&mut self, id: &str, now: UnixMs) -> Result<PathBuf, RemoteError> {
        let known = self.published.find(id).map(|(folder, _)| folder.clone());
        if let Some(folder) = known.filter(|folder| self.snapshot.is_reachable(folder)) {
            self.scan_unmoved(|snapshot| {
                snapshot.scan_jobs(std::slice::from_ref(&folder), now, ScanDepth::EveryTrial);
            })?;
            self.publish(now)?;
            self.tracker
                .after_scan(&self.snapshot, [&folder].into_iter());
            let current = self.published.find(id);
            if current.is_some_and(|(current, _)| *current == folder) {
                return Ok(folder);
            }
        }
        self.scan(now, ScanDepth::EveryTrial)?;
        match self.published.find(id) {
            Some((folder, _)) => Ok(folder.clone()),
            None => Err(self.not_found(id)),
        }
    }

    /// Returns the error for a run or trial that does not exist.
    pub(crate) fn not_found(&self, what: &str) -> RemoteError {
        let directory = self.snapshot.directories.first();
        RemoteError::Files {
            path: directory.map_or_else(|| what.into(), |directory| directory.path.join(what)),
            source: std::io::ErrorKind::NotFound.into(),
        }
    }

    /// Scans a job and returns it.
    pub(crate) fn run(
        &mut self,
        kind: RunKind,
        id: &str,
        now: UnixMs,
    ) -> Result<RawObject, RemoteError> {
        self.find_job(id, now)?;
        // A folder's name finds its job, too: it may have been the job's id until it had a UUID.
        let found = self.published.find(id);
        found
            .map(|(_, job)| job.object(kind).clone())
            .ok_or_else(|| self.not_found(id))
    }

    /// Scans a job and returns its trials, unless `known` is their validator.
    pub(crate) fn trials(
        &mut self,
        run: &str,
        known: Option<&Validator>,
        now: UnixMs,
    ) -> Result<Fetched<Page>, RemoteError> {
        let folder = self.find_job(run, now)?;
        let by_files = self.files_validator(&folder);
        if by_files.is_some() && by_files.as_ref() == known {
            return Ok(Fetched::NotModified);
        }
        let trials = self.trial_objects(&folder, now)?;
        let trials = trials.ok_or_else(|| self.not_found(run))?;
        let validator = self.trials_validator(&folder, || hash_objects(&trials));
        Ok(fetched(validator, known, || page(trials)))
    }

    /// Returns the trials of a job; `None` if it is gone. Reads an archived job again.
    ///
    /// # Errors
    ///
    /// When some of its files cannot be read now.
    pub(crate) fn trial_objects(
        &mut self,
        folder: &Path,
        now: UnixMs,
    ) -> Result<Option<Vec<RawObject>>, RemoteError> {
        self.read_archived(folder, now)?;
        let trials = self.published.trials(&self.snapshot, folder);
        trials.map_err(not_serializable)
    }

    /// Reads an archived job again, and publishes it.
    ///
    /// # Errors
    ///
    /// When some of its files cannot be read now.
    pub(crate) fn read_archived(&mut self, folder: &Path, now: UnixMs) -> Result<(), RemoteError> {
        let is_archived = |snapshot: &Snapshot| {
            let job = snapshot.jobs.get(folder);
            job.is_some_and(JobSnapshot::is_archived)
        };
        if !is_archived(&self.snapshot) {
            return Ok(());
        }
        self.snapshot.read_again(folder, now);
        self.publish(now)?;
        if is_archived(&self.snapshot) {
            let why = "some of its files cannot be read now";
            return Err(outage(folder.to_owned(), why));
        }
        Ok(())
    }

    /// Returns the validator of a job's trials: of the files that they were read from once it has finished, else of
    /// their hash.
    pub(crate) fn trials_validator(&self, folder: &Path, hash: impl FnOnce() -> u64) -> Validator {
        let validator = self.files_validator(folder);
        validator.unwrap_or_else(|| validators::validator(hash()))
    }

    /// Returns the validator that says from which files the trials of a finished job were read.
    fn files_validator(&self, folder: &Path) -> Option<Validator> {
        let archive = self.snapshot.jobs.get(folder)?.to_archive()?;
        let published = self.published.by_folder().get(folder)?;
        Some(validators::files_validator(&archive, published.hash()))
    }

    /// Keeps only a fingerprint of a finished job that was delivered.
    pub(crate) fn archive(&mut self, folder: &Path, now: UnixMs) {
        self.first_reading.record_delivered(folder);
        let published = self.published.by_folder().get(folder);
        if let Some(job) = self.snapshot.jobs.get_mut(folder)
            && published.is_some_and(|published| published.version == job.version)
        {
            job.archive(now);
        }
    }
}

fn outage(path: PathBuf, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> RemoteError {
    RemoteError::Files {
        path,
        // Never "not found", which would mean that every job in it is gone.
        source: std::io::Error::other(why),
    }
}

/// Returns the error for an object that cannot be written as JSON.
pub(crate) fn not_serializable(error: serde_json::Error) -> RemoteError {
    RemoteError::InvalidResponse {
        why: format!("a job cannot be written as JSON: {error}"),
    }
}
