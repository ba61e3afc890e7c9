//! Scanning the directories: all jobs, some of them, or what may have changed of some.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use docks_proto::time::UnixMs;

use crate::disk::cached_file::FileReader;
use crate::snapshot::job_part::JobPart;
use crate::snapshot::job_snapshot::{JobSnapshot, ScanDepth};
use crate::snapshot::jobs_directory::JobsDirectory;
use crate::snapshot::liveness::Liveness;
use crate::snapshot::processes::{LogHolder, Processes};

/// How often the process of a job is searched for again when the job changes during the search.
const MAX_ROUNDS: u32 = 3;

/// How long ago a job finished, at most, for its trials to be read once more after it.
const JUST_FINISHED: Duration = Duration::from_secs(10);

/// Trials of finished jobs that a scan of all jobs checks for later changes: some milliseconds.
const MAX_RECHECKED: usize = 1_000;

/// A directory that cannot be read now.
#[derive(Debug)]
pub(crate) struct UnreachableDirectory {
    /// Its path as configured.
    pub(crate) path: PathBuf,
    /// Why.
    pub(crate) why: io::Error,
}

/// What a search found.
#[derive(Debug)]
pub(crate) struct Found {
    /// Folders that may be jobs, and those of trials without a job.
    pub(crate) jobs: BTreeSet<PathBuf>,
    /// Folders of trials without a job.
    pub(crate) lone_trials: BTreeSet<PathBuf>,
    /// A directory that cannot be read now.
    unreachable: Option<UnreachableDirectory>,
}

/// All directories as of the last scan.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The directories.
    pub(crate) directories: Vec<JobsDirectory>,
    /// Jobs by folder. Those of an unreachable directory stay as they were.
    pub(crate) jobs: BTreeMap<PathBuf, JobSnapshot>,
    /// The system's processes.
    pub(crate) processes: Processes,
    /// Without other evidence, a job whose files did not change for this long has ended.
    quiet_limit: Duration,
    /// The versions at which jobs were proved to have no process.
    dead_at_version: BTreeMap<PathBuf, u64>,
    /// Jobs that changed during the last scan and have to be scanned again soon.
    pub(crate) unsettled: BTreeSet<PathBuf>,
    /// The job whose trials were checked last after it had finished.
    rechecked: Option<PathBuf>,
    /// Files read so far.
    pub(crate) files_read: u64,
}

impl Snapshot {
    /// Creates a snapshot without scanning.
    pub(crate) fn new(
        directories: Vec<JobsDirectory>,
        processes: Processes,
        quiet_limit: Duration,
    ) -> Self {
        Self {
            directories,
            jobs: BTreeMap::new(),
            processes,
            quiet_limit,
            dead_at_version: BTreeMap::new(),
            unsettled: BTreeSet::new(),
            rechecked: None,
            files_read: 0,
        }
    }

    /// Searches everything that is reachable for jobs.
    pub(crate) fn search(&mut self, now: UnixMs) -> Found {
        let mut unreachable = None;
        let mut found = BTreeSet::new();
        let mut lone_trials = BTreeSet::new();
        let mut reader = FileReader::new(now);
        for directory in &mut self.directories {
            match directory.search(&mut reader) {
                Ok(folders) => {
                    found.extend(folders.jobs.iter().cloned());
                    lone_trials.extend(folders.lone_trials.iter().cloned());
                }
                Err(why) => {
                    let path = directory.configured_path.clone();
                    unreachable.get_or_insert(UnreachableDirectory { path, why });
                }
            }
        }
        self.files_read += reader.files_read;
        found.extend(lone_trials.iter().cloned());
        Found {
            jobs: found,
            lone_trials,
            unreachable,
        }
    }

    /// Scans everything that is reachable; returns a directory that is not.
    pub(crate) fn scan(&mut self, now: UnixMs, depth: ScanDepth) -> Option<UnreachableDirectory> {
        let Found {
            jobs: found,
            lone_trials,
            unreachable,
        } = self.search(now);
        for folder in &found {
            let holds_lone_trials = lone_trials.contains(folder);
            if holds_lone_trials || self.jobs.contains_key(folder) {
                let job = self.job_mut(folder, now);
                job.set_holds_lone_trials(holds_lone_trials);
            }
        }
        let gone: Vec<PathBuf> = self
            .jobs
            .keys()
            .filter(|folder| !found.contains(*folder) && self.is_reachable(folder))
            .cloned()
            .collect();
        for folder in gone {
            self.forget(&folder);
        }
        let found: Vec<PathBuf> = found.into_iter().collect();
        self.scan_jobs(&found, now, depth);
        if depth == ScanDepth::SkipSettled {
            self.recheck_finished(&found, now);
        }
        unreachable
    }

    /// Checks the trials of some finished jobs for files that came or changed later, each time of the next ones.
    fn recheck_finished(&mut self, folders: &[PathBuf], now: UnixMs) {
        let mut reader = FileReader::new(now);
        let start = match &self.rechecked {
            Some(last) => folders.partition_point(|folder| folder <= last),
            None => 0,
        };
        let mut trials = 0;
        let (checked, next) = folders.split_at(start);
        for folder in next.iter().chain(checked) {
            let Some(job) = self.jobs.get(folder).filter(|job| job.is_finished()) else {
                continue;
            };
            // The largest ones wait for the scan of everything.
            if job.trial_count() > MAX_RECHECKED {
                continue;
            }
            trials += job.trial_count();
            if trials > MAX_RECHECKED {
                break;
            }
            self.scan_job(folder, &mut reader, ScanDepth::EveryTrial);
            self.rechecked = Some(folder.clone());
        }
        self.files_read += reader.files_read;
    }

    fn job_mut(&mut self, folder: &Path, now: UnixMs) -> &mut JobSnapshot {
        self.jobs
            .entry(folder.to_owned())
            .or_insert_with(|| JobSnapshot::new(folder.to_owned(), now))
    }

    /// Whether a job would be found if it existed.
    pub(crate) fn is_reachable(&self, folder: &Path) -> bool {
        let mut directories = self.directories.iter();
        let directory = directories.find(|directory| directory.contains(folder));
        // If no directory contains it, a link that now leads elsewhere took its directory away.
        directory.is_none_or(JobsDirectory::is_reachable)
    }

    /// Scans some jobs.
    pub(crate) fn scan_jobs(&mut self, folders: &[PathBuf], now: UnixMs, depth: ScanDepth) {
        let mut reader = FileReader::new(now);
        for folder in folders {
            self.scan_job(folder, &mut reader, depth);
        }
        self.find_processes(folders, &mut reader);
        self.files_read += reader.files_read;
    }

    /// Scans the parts of jobs that may have changed.
    pub(crate) fn scan_parts(&mut self, parts: &BTreeMap<PathBuf, JobPart>, now: UnixMs) {
        let mut reader = FileReader::new(now);
        for (folder, part) in parts {
            if !self.is_reachable(folder) {
                continue;
            }
            match part {
                JobPart::Folders(names) if self.jobs.contains_key(folder) => {
                    let was_finished = self.is_finished(folder);
                    self.set_root(&mut reader, folder);
                    let job = self.jobs.get_mut(folder);
                    let changed = job.and_then(|job| job.refresh_folders(&mut reader, names));
                    if changed.is_none() {
                        self.forget(folder);
                    } else if !was_finished && self.has_just_finished(folder, now) {
                        self.scan_job_once(folder, &mut reader, ScanDepth::EveryTrial);
                    }
                }
                _ => drop(self.scan_job(folder, &mut reader, ScanDepth::EveryTrial)),
            }
        }
        let folders: Vec<PathBuf> = parts.keys().cloned().collect();
        self.find_processes(&folders, &mut reader);
        self.files_read += reader.files_read;
    }

    /// Returns the directory of a job, which reading it must not leave.
    pub(crate) fn root_of<'a>(&'a self, folder: &'a Path) -> Option<&'a Path> {
        let mut directories = self.directories.iter();
        let directory = directories.find(|directory| directory.contains(folder));
        let root = directory.map(|directory| directory.path.as_path());
        root.or(folder.parent())
    }

    fn set_root(&self, reader: &mut FileReader, folder: &Path) {
        if let Some(root) = self.root_of(folder) {
            reader.set_root(root);
        }
    }

    /// Takes over a job that was read elsewhere; finds out whether it has a process.
    pub(crate) fn add_read(&mut self, folder: PathBuf, job: JobSnapshot, now: UnixMs) {
        self.jobs.insert(folder.clone(), job);
        self.find_processes(&[folder], &mut FileReader::new(now));
    }

    /// Reads an archived job again.
    pub(crate) fn read_again(&mut self, folder: &Path, now: UnixMs) {
        let mut reader = FileReader::new(now);
        self.set_root(&mut reader, folder);
        let job = self.jobs.get_mut(folder);
        if let Some(None) = job.map(|job| job.read_again(&mut reader)) {
            self.forget(folder);
        }
        self.files_read += reader.files_read;
    }

    fn forget(&mut self, folder: &Path) {
        self.jobs.remove(folder);
        self.dead_at_version.remove(folder);
    }

    /// Whether Harbor wrote that a job finished.
    pub(crate) fn is_finished(&self, folder: &Path) -> bool {
        self.jobs.get(folder).is_some_and(JobSnapshot::is_finished)
    }

    /// Whether a job finished only just now. It writes that after the results of its trials, so what
    /// was read of these before may be out of date.
    fn has_just_finished(&self, folder: &Path, now: UnixMs) -> bool {
        let job = self.jobs.get(folder).filter(|job| job.is_finished());
        let version = job.and_then(|job| job.result.version());
        version
            .is_some_and(|version| now.since(UnixMs(version.modified().millis())) < JUST_FINISHED)
    }

    /// Scans one job; returns whether it changed or is gone.
    fn scan_job(&mut self, folder: &Path, reader: &mut FileReader, depth: ScanDepth) -> bool {
        let was_finished = self.is_finished(folder);
        let mut changed = self.scan_job_once(folder, reader, depth);
        if !was_finished && self.has_just_finished(folder, reader.now) {
            changed |= self.scan_job_once(folder, reader, ScanDepth::EveryTrial);
        }
        changed
    }

    fn scan_job_once(&mut self, folder: &Path, reader: &mut FileReader, depth: ScanDepth) -> bool {
        self.set_root(reader, folder);
        let job = self.job_mut(folder, reader.now);
        let Some(changed) = job.refresh(reader, depth) else {
            self.forget(folder);
            return true;
        };
        changed
    }

    /// Finds out which unfinished jobs have a process.
    ///
    /// The files were read before the processes, so a process that is gone may have written its last
    /// result in between. A job is declared dead only if its files, read once more, did not change.
    fn find_processes(&mut self, folders: &[PathBuf], reader: &mut FileReader) {
        self.unsettled.retain(|folder| !folders.contains(folder));
        let mut undecided: Vec<PathBuf> = folders
            .iter()
            .filter(|folder| self.needs_process_search(folder))
            .cloned()
            .collect();
        for _ in 0..MAX_ROUNDS {
            if undecided.is_empty() {
                return;
            }
            let logs: BTreeMap<PathBuf, PathBuf> = undecided
                .iter()
                .filter_map(|folder| {
                    let log = self.jobs.get(folder)?.process_log()?;
                    Some((folder.clone(), log))
                })
                .collect();
            let wanted: Vec<PathBuf> = logs.values().cloned().collect();
            let holders = self.processes.find_holders(&wanted);
            undecided.retain(|folder| {
                let log = logs.get(folder);
                let holder = log.and_then(|log| holders.get(log)).copied();
                !self.apply_holder(folder, holder.unwrap_or(LogHolder::Unknown), reader)
            });
        }
        // They change faster than they can be scanned, so some process writes to them.
        for folder in &undecided {
            self.set_liveness(folder, Liveness::RecentActivity);
        }
        self.unsettled.extend(undecided);
    }

    /// Whether all processes must be searched for a job; if not, its liveness is set.
    fn needs_process_search(&mut self, folder: &Path) -> bool {
        let Some(job) = self.jobs.get(folder) else {
            return false;
        };
        if job.is_finished() || !job.is_job() {
            return false;
        }
        // Harbor creates its log first and holds it open, so without one there is no process.
        let Some(log) = job.process_log() else {
            self.set_liveness(folder, Liveness::NoProcess);
            return false;
        };
        if let Some(pid) = self.processes.recheck(&log) {
            self.set_liveness(folder, Liveness::Process(pid));
            return false;
        }
        // A new process first rewrites the job's files, which increases the version.
        self.dead_at_version.get(folder) != Some(&job.version)
    }

    /// Sets a job's liveness; returns false if its process has to be searched for again.
    fn apply_holder(&mut self, folder: &Path, holder: LogHolder, reader: &mut FileReader) -> bool {
        match holder {
            LogHolder::Process(pid) => self.set_liveness(folder, Liveness::Process(pid)),
            LogHolder::NotHeld => {
                if self.scan_job(folder, reader, ScanDepth::EveryTrial) {
                    return self.jobs.get(folder).is_none_or(JobSnapshot::is_finished);
                }
                self.set_liveness(folder, Liveness::NoProcess);
                let version = self.jobs.get(folder).map(|job| job.version);
                self.dead_at_version
                    .extend(version.map(|version| (folder.to_owned(), version)));
            }
            LogHolder::Unknown => {
                let liveness = self.liveness_from_activity(folder, reader.now);
                self.set_liveness(folder, liveness);
            }
        }
        true
    }

    fn liveness_from_activity(&self, folder: &Path, now: UnixMs) -> Liveness {
        let Some(job) = self.jobs.get(folder) else {
            return Liveness::NoProcess;
        };
        match job.last_activity(&job.times()) {
            Some(last) if now.since(UnixMs(last.millis())) > self.quiet_limit => {
                Liveness::Silent(self.quiet_limit)
            }
            _ => Liveness::RecentActivity,
        }
    }

    fn set_liveness(&mut self, folder: &Path, liveness: Liveness) {
        if let Some(job) = self.jobs.get_mut(folder) {
            job.set_liveness(liveness);
        }
    }
}
