//! Changes that events reported, kept until they are scanned.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use docksd_remote::{ChangeDetection, Notice, Reading};

use crate::snapshot::job_part::JobPart;

/// What has to be scanned or delivered.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct PendingChanges {
    /// Changed parts of jobs, by folder.
    pub(crate) jobs: BTreeMap<PathBuf, JobPart>,
    /// Whether events were lost, so that anything may have changed.
    pub(crate) everything: bool,
    /// Whether a job that was already scanned differs from what was delivered.
    undelivered: bool,
}

impl PendingChanges {
    /// Adds others.
    pub(crate) fn merge(&mut self, other: Self) {
        for (job, part) in other.jobs {
            match self.jobs.get_mut(&job) {
                Some(known) => known.merge(part),
                None => drop(self.jobs.insert(job, part)),
            }
        }
        self.everything |= other.everything;
        self.undelivered |= other.undelivered;
    }

    fn is_empty(&self) -> bool {
        self.jobs.is_empty() && !self.everything && !self.undelivered
    }
}

#[derive(Debug, Default)]
struct QueueContent {
    pending: PendingChanges,
    lost_watches: Vec<PathBuf>,
    change_detection: ChangeDetection,
    notice: Option<Notice>,
    reading: Option<Reading>,
    wake_at: Option<Instant>,
}

/// Connects the system's events, which arrive on a thread of their own, with the scans.
#[derive(Debug, Default)]
pub(crate) struct ChangeQueue {
    content: Mutex<QueueContent>,
    changed: Notify,
}

impl ChangeQueue {
    fn content(&self) -> MutexGuard<'_, QueueContent> {
        // It is only changed by single calls, so it is consistent even after a panic elsewhere.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that a job may have changed.
    pub(crate) fn record_job(&self, job: &Path, part: JobPart) {
        self.record(PendingChanges {
            jobs: BTreeMap::from([(job.to_owned(), part)]),
            ..PendingChanges::default()
        });
    }

    /// Records changes.
    pub(crate) fn record(&self, changes: PendingChanges) {
        self.content().pending.merge(changes);
        self.changed.notify_one();
    }

    /// Records that anything may have changed.
    pub(crate) fn record_everything(&self) {
        self.content().pending.everything = true;
        self.changed.notify_one();
    }

    /// Records that a scanned job differs from what was delivered.
    pub(crate) fn mark_undelivered(&self) {
        self.content().pending.undelivered = true;
        self.changed.notify_one();
    }

    /// Ends the next wait after this time, if nothing else does.
    pub(crate) fn wake_after(&self, wait: Option<Duration>) {
        self.content().wake_at = wait.map(|wait| Instant::now() + wait);
    }

    /// Records that a folder was removed or moved, and its watch with it.
    pub(crate) fn record_lost_watch(&self, folder: &Path) {
        self.content().lost_watches.push(folder.to_owned());
    }

    /// Waits until something has to be scanned or delivered.
    pub(crate) async fn wait_until_pending(&self) {
        loop {
            let wake_at = {
                let mut content = self.content();
                if content.wake_at.is_some_and(|at| at <= Instant::now()) {
                    content.wake_at = None;
                    content.pending.undelivered = true;
                }
                if !content.pending.is_empty() {
                    return;
                }
                content.wake_at
            };
            let changed = self.changed.notified();
            match wake_at {
                Some(at) => drop(tokio::time::timeout_at(at, changed).await),
                None => changed.await,
            }
        }
    }

    /// Removes and returns what has to be scanned.
    pub(crate) fn take(&self) -> PendingChanges {
        std::mem::take(&mut self.content().pending)
    }

    /// Removes and returns the folders whose watches are lost.
    pub(crate) fn take_lost_watches(&self) -> Vec<PathBuf> {
        std::mem::take(&mut self.content().lost_watches)
    }

    /// Returns how changes are noticed.
    pub(crate) fn change_detection(&self) -> ChangeDetection {
        self.content().change_detection.clone()
    }

    /// Returns what users should know about what was found.
    pub(crate) fn notice(&self) -> Option<Notice> {
        self.content().notice.clone()
    }

    /// Returns how far the first reading of all jobs is, while it runs.
    pub(crate) fn reading(&self) -> Option<Reading> {
        self.content().reading
    }

    /// Sets how far the first reading of all jobs is.
    pub(crate) fn set_reading(&self, reading: Option<Reading>) {
        self.content().reading = reading;
    }

    /// Sets what users should know about what was found.
    pub(crate) fn set_notice(&self, notice: Option<Notice>) {
        self.content().notice = notice;
    }

    /// Sets how changes are noticed.
    pub(crate) fn set_change_detection(&self, change_detection: ChangeDetection) {
        self.content().change_detection = change_detection;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ffi::OsString;

    use super::*;

    fn folders(names: &[&str]) -> JobPart {
        let names: BTreeSet<OsString> = names.iter().map(OsString::from).collect();
        JobPart::Folders(names)
    }

    #[tokio::test]
    async fn changes_of_a_job_are_merged_until_they_are_taken() {
        let queue = ChangeQueue::default();
        queue.record_job(Path::new("a"), folders(&["x"]));
        queue.record_job(Path::new("a"), folders(&["y"]));
        queue.record_job(Path::new("b"), folders(&["z"]));
        queue.record_job(Path::new("b"), JobPart::Whole);
        queue.wait_until_pending().await;
        let pending = queue.take();
        assert_eq!(pending.jobs[Path::new("a")], folders(&["x", "y"]));
        assert_eq!(pending.jobs[Path::new("b")], JobPart::Whole);
        assert!(queue.take().is_empty());
    }
}
