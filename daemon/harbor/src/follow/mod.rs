//! Following directories by file events, so that a change is noticed when it happens.
//!
//! Events only say what to scan; what is published always comes from a scan of the files. Changes for
//! which there is no event (a limit is reached, another machine wrote to the file system, a queue is
//! full) are found by rescans, which run regardless.

mod change_queue;
mod event_filter;
mod watches;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use docksd_remote::ChangeDetection;
use notify::{Event, RecommendedWatcher};

use crate::disk::file_version::FileVersion;
use crate::disk::shared_file_system::is_on_shared_file_system;
use crate::snapshot::jobs_directory::JobsDirectory;
use crate::snapshot::scan::Snapshot;
use crate::snapshot::watch_targets::{Containers, WatchTargets};
pub(crate) use change_queue::{ChangeQueue, PendingChanges};
use watches::{WatchCoverage, Watches};

/// The watchers of all directories.
#[derive(Debug)]
pub(crate) struct DirectoryWatchers {
    queue: Arc<ChangeQueue>,
    by_directory: BTreeMap<PathBuf, Result<DirectoryWatcher, String>>,
}

impl DirectoryWatchers {
    /// Creates no watchers yet.
    pub(crate) fn new(queue: Arc<ChangeQueue>) -> Self {
        Self {
            queue,
            by_directory: BTreeMap::new(),
        }
    }

    /// Starts watchers of the reachable directories that have none.
    pub(crate) fn start(&mut self, snapshot: &Snapshot) {
        let directories = &snapshot.directories;
        let is_configured = |path: &PathBuf| directories.iter().any(|known| known.path == *path);
        self.by_directory.retain(|path, _| is_configured(path));
        for directory in directories.iter().filter(|known| known.is_reachable()) {
            let before = self.by_directory.remove(&directory.path);
            let watcher = match before {
                Some(Ok(watcher)) => Ok(watcher),
                other => self.start_one(directory, snapshot, other.and_then(Result::err)),
            };
            self.by_directory.insert(directory.path.clone(), watcher);
        }
        self.report(snapshot);
    }

    fn start_one(
        &self,
        directory: &JobsDirectory,
        snapshot: &Snapshot,
        earlier_failure: Option<String>,
    ) -> Result<DirectoryWatcher, String> {
        match DirectoryWatcher::start(&directory.path, &self.queue) {
            Ok(mut watcher) => {
                let jobs = snapshot.jobs.keys();
                let jobs = jobs.filter(|folder| directory.contains(folder));
                watcher.update(directory, snapshot, jobs, &[]);
                // Anything may have changed before the watches were in place.
                self.queue.record_everything();
                Ok(watcher)
            }
            Err(why) => {
                let dir = directory.path.display();
                if earlier_failure.as_ref() != Some(&why) {
                    tracing::warn!(%dir, why, "cannot follow {dir}; it is rescanned instead");
                }
                Err(why)
            }
        }
    }

    /// Updates the watches of jobs that were just scanned.
    pub(crate) fn update<'a>(
        &mut self,
        snapshot: &Snapshot,
        folders: impl Iterator<Item = &'a PathBuf>,
    ) {
        let folders: Vec<&PathBuf> = folders.collect();
        let lost = self.queue.take_lost_watches();
        for directory in &snapshot.directories {
            if let Some(Ok(watcher)) = self.by_directory.get_mut(&directory.path) {
                let folders = folders.iter().copied();
                let folders = folders.filter(|folder| directory.contains(folder));
                watcher.update(directory, snapshot, folders, &lost);
            }
        }
        self.report(snapshot);
    }

    /// Watches the folders of jobs before they are read.
    pub(crate) fn watch_unread(&mut self, folders: &[&PathBuf]) {
        for (path, watcher) in &mut self.by_directory {
            let Ok(watcher) = watcher else { continue };
            for folder in folders.iter().filter(|folder| folder.starts_with(path)) {
                let version = FileVersion::for_directory(folder);
                let inode = version.map(|version| version.inode());
                let targets = inode.map(|inode| WatchTargets::of_job(false, folder, inode));
                watcher.watches.update_job(folder, targets);
            }
        }
    }

    /// Removes the watches of jobs that no longer exist.
    pub(crate) fn retain(&mut self, exists: impl Fn(&Path) -> bool) {
        for watcher in self.by_directory.values_mut().flatten() {
            watcher.watches.retain(&exists);
        }
    }

    /// Reports how changes are noticed.
    fn report(&self, snapshot: &Snapshot) {
        let mut folders = 0;
        for directory in &snapshot.directories {
            let rescans = |reason: String| {
                self.queue
                    .set_change_detection(ChangeDetection::Rescans { reason });
            };
            if !directory.is_reachable() {
                let path = directory.configured_path.display();
                return rescans(format!("{path} cannot be reached"));
            }
            match self.by_directory.get(&directory.path).map(Result::as_ref) {
                Some(Ok(watcher)) => match watcher.missing_coverage() {
                    None => folders += watcher.watches.count(),
                    Some(why) => return rescans(why),
                },
                Some(Err(why)) => return rescans(why.clone()),
                None => return,
            }
        }
        self.queue
            .set_change_detection(ChangeDetection::Events { folders });
    }
}

/// The watcher of one directory.
#[derive(Debug)]
struct DirectoryWatcher {
    queue: Arc<ChangeQueue>,
    /// Shared with the thread on which events arrive.
    containers: Arc<RwLock<Containers>>,
    watches: Watches<RecommendedWatcher>,
    /// Of which search the containers are.
    found_version: Option<u64>,
}

impl DirectoryWatcher {
    /// Starts watching; `Err` says for people why that is not possible.
    fn start(dir: &Path, queue: &Arc<ChangeQueue>) -> Result<Self, String> {
        if is_on_shared_file_system(dir) {
            return Err("the directory is on a network or shared file system".to_owned());
        }
        let (root, target) = (dir.to_owned(), Arc::clone(queue));
        let containers: Arc<RwLock<Containers>> = Arc::default();
        let known = Arc::clone(&containers);
        let on_event = move |received: notify::Result<Event>| match received {
            Ok(event) => {
                let known = known.read().unwrap_or_else(PoisonError::into_inner);
                event_filter::record_event(&root, &known, &event, &target);
            }
            Err(_) => target.record_everything(),
        };
        let watcher =
            notify::recommended_watcher(on_event).map_err(|error| describe_failure(&error))?;
        let mut watches = Watches::new(dir, watcher);
        watches
            .watch_root()
            .map_err(|error| describe_failure(&error))?;
        Ok(Self {
            queue: Arc::clone(queue),
            containers,
            watches,
            found_version: None,
        })
    }

    /// Updates the watches of jobs; those of `lost` folders are already gone.
    ///
    /// What was not watched until now may have changed since it was scanned, and is scanned again.
    fn update<'a>(
        &mut self,
        directory: &JobsDirectory,
        snapshot: &Snapshot,
        folders: impl Iterator<Item = &'a PathBuf>,
        lost: &[PathBuf],
    ) {
        self.watches.forget_lost(lost);
        if directory.found.version != self.found_version || !lost.is_empty() {
            self.found_version = directory.found.version;
            let containers = directory.containers();
            if self.watches.watch_containers(&containers.folders) {
                // A job may have been created before its folder was watched.
                self.queue.record_everything();
            }
            *self
                .containers
                .write()
                .unwrap_or_else(PoisonError::into_inner) = containers;
        }
        if let Err(error) = self.watches.watch_root() {
            tracing::debug!(%error, "could not watch a jobs directory");
        }
        for folder in folders {
            let targets = snapshot.jobs.get(folder).map(|job| job.watch_targets());
            if let Some(part) = self.watches.update_job(folder, targets) {
                self.queue.record_job(folder, part);
            }
        }
    }

    /// Returns why events do not report every change.
    fn missing_coverage(&self) -> Option<String> {
        match self.watches.coverage() {
            WatchCoverage::Complete => None,
            WatchCoverage::Partial => Some(format!(
                "the system's limit of watched folders is reached at {} \
                 (fs.inotify.max_user_watches)",
                self.watches.count()
            )),
            WatchCoverage::NoDirectory => Some("the directory itself cannot be watched".to_owned()),
        }
    }
}

/// Describes for people why the system does not report file events.
fn describe_failure(error: &notify::Error) -> String {
    match &error.kind {
        notify::ErrorKind::MaxFilesWatch => {
            "the system's limit of watched folders is reached (fs.inotify.max_user_watches)"
                .to_owned()
        }
        // EMFILE: too many programs use inotify.
        notify::ErrorKind::Io(io) if io.raw_os_error() == Some(24) => {
            "the system's limit of watchers is reached (fs.inotify.max_user_instances)".to_owned()
        }
        _ => format!("the system does not report file events: {error}"),
    }
}
