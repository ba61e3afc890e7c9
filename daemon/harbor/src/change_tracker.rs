//! Which published jobs differ from what was delivered, and the watchers that notice changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use docks_proto::time::UnixMs;

use crate::follow::{ChangeQueue, DirectoryWatchers};
use crate::published_jobs::PublishedJobs;
use crate::snapshot::job_snapshot::ScanDepth;
use crate::snapshot::scan::Snapshot;

/// How often every trial of finished jobs is checked, too.
const FULL_SCAN_PERIOD: Duration = Duration::from_secs(300);

/// A job as it was delivered.
#[derive(Debug, Clone, Copy)]
struct Delivered {
    /// The version of the snapshot.
    version: u64,
    /// A hash of its objects.
    hash: u64,
}

/// What was delivered, and how changes are noticed.
#[derive(Debug)]
pub(crate) struct ChangeTracker {
    /// Changes that wait for a scan.
    pub(crate) queue: Arc<ChangeQueue>,
    watchers: Option<DirectoryWatchers>,
    delivered: BTreeMap<PathBuf, Delivered>,
    last_delivered: Option<PathBuf>,
    last_full_scan: Option<UnixMs>,
    folders_by_id: BTreeMap<String, PathBuf>,
    vanished_ids: BTreeMap<String, PathBuf>,
}

impl ChangeTracker {
    /// Creates a tracker without watchers.
    pub(crate) fn new(queue: Arc<ChangeQueue>) -> Self {
        Self {
            queue,
            watchers: None,
            delivered: BTreeMap::new(),
            last_delivered: None,
            last_full_scan: None,
            folders_by_id: BTreeMap::new(),
            vanished_ids: BTreeMap::new(),
        }
    }

    /// Returns the depth of the next scan of all jobs.
    pub(crate) fn next_depth(&mut self, now: UnixMs) -> ScanDepth {
        match self.last_full_scan {
            Some(at) if now.since(at) < FULL_SCAN_PERIOD => ScanDepth::SkipSettled,
            _ => {
                self.last_full_scan = Some(now);
                ScanDepth::EveryTrial
            }
        }
    }

    /// Starts to watch the directories that are reachable; others are watched once a scan finds them.
    pub(crate) fn start_watching(&mut self, snapshot: &Snapshot) {
        let queue = Arc::clone(&self.queue);
        let watchers = self
            .watchers
            .get_or_insert_with(|| DirectoryWatchers::new(queue));
        watchers.start(snapshot);
    }

    /// Requests a scan of everything.
    pub(crate) fn request_rescan(&self) {
        self.queue.record_everything();
    }

    /// Updates the tracker after a scan of all jobs.
    pub(crate) fn after_full_scan(&mut self, snapshot: &Snapshot) {
        if let Some(watchers) = &mut self.watchers {
            watchers.retain(|folder| snapshot.jobs.contains_key(folder));
            watchers.start(snapshot);
        }
        self.after_scan(snapshot, snapshot.jobs.keys());
    }

    /// Watches the folders of jobs that will be read next, so that no change after it is missed.
    pub(crate) fn before_first_reading<'a>(&mut self, folders: impl Iterator<Item = &'a PathBuf>) {
        let folders: Vec<&PathBuf> = folders.collect();
        if let Some(watchers) = &mut self.watchers {
            watchers.watch_unread(&folders);
        }
        // Nothing was read before these.
        self.queue.take();
    }

    /// Records that the first scan of all jobs has begun.
    pub(crate) fn begin_full_scan(&mut self, now: UnixMs) {
        self.last_full_scan = Some(now);
    }

    /// Records that the caller has a job from an earlier process.
    pub(crate) fn record_known(&mut self, folder: &Path, version: u64) {
        let delivered = Delivered { version, hash: 0 };
        self.delivered.insert(folder.to_owned(), delivered);
    }

    /// Updates the watches after a scan of some jobs.
    pub(crate) fn after_scan<'a>(
        &mut self,
        snapshot: &Snapshot,
        folders: impl Iterator<Item = &'a PathBuf>,
    ) {
        if let Some(watchers) = &mut self.watchers {
            watchers.update(snapshot, folders);
        }
    }

    /// Compares what is published now with what was delivered; a difference ends the wait for changes.
    pub(crate) fn after_publishing(&mut self, published: &PublishedJobs) {
        let current = published.by_folder();
        let folders_by_id: BTreeMap<String, PathBuf> = current
            .iter()
            .map(|(folder, job)| (job.id.clone(), folder.clone()))
            .collect();
        for (id, folder) in std::mem::replace(&mut self.folders_by_id, folders_by_id) {
            if !self.folders_by_id.contains_key(&id) {
                self.vanished_ids.insert(id, folder);
            }
        }
        self.vanished_ids
            .retain(|id, _| !self.folders_by_id.contains_key(id));
        self.delivered
            .retain(|folder, _| current.contains_key(folder));
        let any_undelivered = || {
            let mut jobs = current.iter();
            jobs.any(|(folder, job)| self.is_undelivered(folder, job.version))
        };
        if !self.vanished_ids.is_empty() || any_undelivered() {
            self.queue.mark_undelivered();
        }
    }

    /// Whether this version of a job was not delivered yet.
    pub(crate) fn is_undelivered(&self, folder: &Path, version: u64) -> bool {
        self.delivered
            .get(folder)
            .is_none_or(|delivered| delivered.version != version)
    }

    /// Records a delivery; returns whether the job's objects differ from the ones delivered before.
    pub(crate) fn record_delivery(&mut self, folder: &Path, version: u64, hash: u64) -> bool {
        let delivered = Delivered { version, hash };
        let before = self.delivered.insert(folder.to_owned(), delivered);
        self.last_delivered = Some(folder.to_owned());
        before.is_none_or(|before| before.hash != hash)
    }

    /// Returns which of some jobs, sorted by folder, is the first after the one that was delivered last; 0 if none is.
    pub(crate) fn next_in_turn(&self, folders: &[PathBuf]) -> usize {
        let last = self.last_delivered.as_ref();
        let next = last.map_or(0, |last| folders.partition_point(|folder| folder <= last));
        if next < folders.len() { next } else { 0 }
    }

    /// Forgets that a job was delivered, and ends the wait for changes.
    pub(crate) fn forget_delivery(&mut self, folder: &Path) {
        self.delivered.remove(folder);
        self.queue.mark_undelivered();
    }

    /// Removes and returns the vanished ids for which `is_gone` holds of the folder.
    pub(crate) fn take_gone_ids(&mut self, mut is_gone: impl FnMut(&Path) -> bool) -> Vec<String> {
        let mut gone = Vec::new();
        self.vanished_ids.retain(|id, folder| {
            if is_gone(folder) {
                gone.push(id.clone());
                return false;
            }
            true
        });
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_job_waits_for_others_that_change_all_the_time() {
        let mut tracker = ChangeTracker::new(Arc::default());
        let folders: Vec<PathBuf> = ["a", "b", "c", "d"].map(PathBuf::from).into();
        let mut delivered = Vec::new();
        for version in 0..6 {
            // All of them changed again, and there is room for one.
            let next = &folders[tracker.next_in_turn(&folders)];
            tracker.record_delivery(next, version, version);
            delivered.push(next.to_str().unwrap());
        }
        assert_eq!(delivered, ["a", "b", "c", "d", "a", "b"]);
        assert_eq!(tracker.next_in_turn(&folders[..1]), 0);
        assert_eq!(tracker.next_in_turn(&[]), 0);
    }
}
