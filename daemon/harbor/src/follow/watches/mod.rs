//! Which folders are watched: few, since each watch takes memory and their number is limited.
//!
//! Watched are the directory, each job's folder (of finished jobs only some), and the folders of trials
//! that have not ended.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use notify::{RecursiveMode, Watcher};

use crate::disk::file_version::FileVersion;
use crate::snapshot::job_part::JobPart;
use crate::snapshot::watch_targets::WatchTargets;

/// Jobs without a process whose folders are watched, at most; changes of others are found by rescans.
const MAX_FINISHED_JOBS: usize = 4_096;

/// How much of what matters is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WatchCoverage {
    /// Everything.
    Complete,
    /// Not everything of a job that runs.
    Partial,
    /// Not even the directory.
    NoDirectory,
}

#[derive(Debug, Default)]
struct WatchedJob {
    is_running: bool,
    folders: BTreeMap<PathBuf, u64>,
    is_incomplete: bool,
    /// What was to be watched at the last update; `None` if something else is watched by now.
    targets: Option<WatchTargets>,
}

/// The watches of one directory.
#[derive(Debug)]
pub(super) struct Watches<W> {
    root: PathBuf,
    root_version: Option<FileVersion>,
    watcher: W,
    jobs: BTreeMap<PathBuf, WatchedJob>,
    /// Folders below the directory in which jobs may appear.
    containers: BTreeSet<PathBuf>,
}

impl<W: Watcher> Watches<W> {
    /// Starts without watches.
    pub(super) fn new(root: &Path, watcher: W) -> Self {
        Self {
            root: root.to_owned(),
            root_version: None,
            watcher,
            jobs: BTreeMap::new(),
            containers: BTreeSet::new(),
        }
    }

    /// Watches the folders in which jobs may appear, besides the directory; returns whether some were not watched
    /// until now. One that cannot be watched is left to rescans.
    pub(super) fn watch_containers(&mut self, folders: &BTreeSet<PathBuf>) -> bool {
        let gone: Vec<PathBuf> = self.containers.difference(folders).cloned().collect();
        for folder in gone {
            self.watcher.unwatch(&folder).ok();
            self.containers.remove(&folder);
        }
        let mut any_new = false;
        for folder in folders {
            if *folder != self.root
                && !self.containers.contains(folder)
                && self
                    .watcher
                    .watch(folder, RecursiveMode::NonRecursive)
                    .is_ok()
            {
                self.containers.insert(folder.clone());
                any_new = true;
            }
        }
        for job in self.jobs.values_mut() {
            job.targets = None;
        }
        any_new
    }

    /// Watches the directory itself, again if it was replaced.
    pub(super) fn watch_root(&mut self) -> notify::Result<()> {
        let current = FileVersion::for_directory(&self.root);
        match (&self.root_version, &current) {
            (Some(had), Some(has)) if had.is_same_inode(has) => return Ok(()),
            (Some(_), _) => self.unwatch_all(),
            (None, _) => {}
        }
        self.root_version = None;
        self.watcher
            .watch(&self.root, RecursiveMode::NonRecursive)?;
        self.root_version = current;
        Ok(())
    }

    fn unwatch_all(&mut self) {
        for job in std::mem::take(&mut self.jobs).into_values() {
            for folder in job.folders.into_keys() {
                // The watch is most likely gone with the folder.
                self.watcher.unwatch(&folder).ok();
            }
        }
        for folder in std::mem::take(&mut self.containers) {
            self.watcher.unwatch(&folder).ok();
        }
        self.watcher.unwatch(&self.root).ok();
    }

    /// Forgets folders that are gone and everything below them; the system has already removed their watches.
    pub(super) fn forget_lost(&mut self, lost: &[PathBuf]) {
        for path in lost {
            if *path == self.root {
                self.root_version = None;
            }
            self.containers.retain(|folder| !folder.starts_with(path));
            for job in self.jobs.values_mut() {
                let below: Vec<PathBuf> = job
                    .folders
                    .range::<PathBuf, _>(path.clone()..)
                    .map(|(folder, _)| folder)
                    .take_while(|folder| folder.starts_with(path))
                    .cloned()
                    .collect();
                for folder in below {
                    self.watcher.unwatch(&folder).ok();
                    job.folders.remove(&folder);
                    job.targets = None;
                }
            }
        }
    }

    /// Updates the watches of a job. Returns the part of it that was not watched until now.
    pub(super) fn update_job(
        &mut self,
        job_folder: &Path,
        targets: Option<WatchTargets>,
    ) -> Option<JobPart> {
        let mut job = self.jobs.remove(job_folder).unwrap_or_default();
        let Some(targets) = targets else {
            self.unwatch_job(job);
            return None;
        };
        // Mostly one trial has ended and another one begun, so only what differs is looked at.
        let earlier = job.targets.take();
        let earlier = earlier.filter(|_| !job.is_incomplete);
        let (old, wanted) = match &earlier {
            Some(earlier) => (
                earlier.folders_unlike(&targets, job_folder),
                targets.folders_unlike(earlier, job_folder),
            ),
            None => {
                let nothing = WatchTargets::default();
                let all = targets.folders_unlike(&nothing, job_folder);
                (job.folders.clone(), all)
            }
        };
        for folder in old.keys() {
            let watched = job.folders.get(folder);
            if watched.is_some() && watched != wanted.get(folder) {
                self.watcher.unwatch(folder).ok();
                job.folders.remove(folder);
            }
        }
        job.is_running = targets.is_running;
        job.is_incomplete = false;
        let mut added: Option<JobPart> = None;
        let mut is_all_watched = false;
        if targets.is_running || self.watched_without_process() < MAX_FINISHED_JOBS {
            is_all_watched = true;
            for (folder, inode) in wanted {
                // These are watched already, and must stay so.
                let is_container = folder == self.root || self.containers.contains(&folder);
                if is_container || job.folders.contains_key(&folder) {
                    continue;
                }
                match self.watch(&folder, targets.is_running) {
                    Ok(()) => {
                        let part = part_containing(job_folder, &folder);
                        match &mut added {
                            Some(known) => known.merge(part),
                            None => added = Some(part),
                        }
                        job.folders.insert(folder, inode);
                    }
                    Err(error) => {
                        job.is_incomplete |= is_watch_limit(&error);
                        is_all_watched = false;
                    }
                }
            }
        }
        job.targets = is_all_watched.then_some(targets);
        self.jobs.insert(job_folder.to_owned(), job);
        added
    }

    /// Watches one folder; at the limit, a job that runs takes the place of one that does not.
    fn watch(&mut self, folder: &Path, is_running: bool) -> notify::Result<()> {
        let watched = self.watcher.watch(folder, RecursiveMode::NonRecursive);
        match watched {
            Err(error) if is_running && is_watch_limit(&error) && self.free_watches() => {
                self.watcher.watch(folder, RecursiveMode::NonRecursive)
            }
            watched => watched,
        }
    }

    fn free_watches(&mut self) -> bool {
        let candidate = self
            .jobs
            .values_mut()
            .find(|job| !job.is_running && !job.folders.is_empty());
        let Some(job) = candidate else { return false };
        job.targets = None;
        for folder in std::mem::take(&mut job.folders).into_keys() {
            self.watcher.unwatch(&folder).ok();
        }
        true
    }

    fn unwatch_job(&mut self, job: WatchedJob) {
        for folder in job.folders.into_keys() {
            self.watcher.unwatch(&folder).ok();
        }
    }

    /// Removes the watches of jobs that no longer exist.
    pub(super) fn retain(&mut self, exists: impl Fn(&Path) -> bool) {
        let gone: BTreeSet<PathBuf> = self
            .jobs
            .keys()
            .filter(|name| !exists(name))
            .cloned()
            .collect();
        for name in gone {
            if let Some(job) = self.jobs.remove(&name) {
                self.unwatch_job(job);
            }
        }
    }

    /// Returns the number of watched folders.
    pub(super) fn count(&self) -> u64 {
        let root = u64::from(self.root_version.is_some()) + self.containers.len() as u64;
        let jobs = self.jobs.values().map(|job| job.folders.len() as u64);
        root + jobs.sum::<u64>()
    }

    /// Returns how much of what matters is watched.
    pub(super) fn coverage(&self) -> WatchCoverage {
        if self.root_version.is_none() {
            WatchCoverage::NoDirectory
        } else if self
            .jobs
            .values()
            .any(|job| job.is_running && job.is_incomplete)
        {
            WatchCoverage::Partial
        } else {
            WatchCoverage::Complete
        }
    }

    fn watched_without_process(&self) -> usize {
        self.jobs
            .values()
            .filter(|job| !job.is_running && !job.folders.is_empty())
            .count()
    }
}

/// Returns the part of a job that contains a folder.
fn part_containing(job_folder: &Path, folder: &Path) -> JobPart {
    let below = folder.strip_prefix(job_folder).ok();
    match below.and_then(|below| below.iter().next()) {
        Some(trial) => JobPart::Folders(BTreeSet::from([trial.to_owned()])),
        None => JobPart::Whole,
    }
}

fn is_watch_limit(error: &notify::Error) -> bool {
    matches!(error.kind, notify::ErrorKind::MaxFilesWatch)
}

#[cfg(test)]
mod tests;
