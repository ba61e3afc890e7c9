//! Which jobs differ from what was last delivered, found by scanning what events report.

use std::path::{Path, PathBuf};
use std::time::Duration;

use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use docksd_remote::{Changes, CompleteRun, DeliveredTrials, RemoteError, Validator};

use crate::disk::file_version::is_missing;
use crate::hash::hash_texts;
use crate::snapshot::job_part::JobPart;
use crate::snapshot::job_snapshot::{JobSnapshot, ScanDepth};
use crate::snapshot::jobs_directory::JobsDirectory;
use crate::state::{State, not_serializable};
use crate::validators::{hash_objects, page};

/// Largest number of jobs that are delivered together.
const MAX_JOBS: usize = 16;
/// Largest number of trials that are delivered together, unless one job has more.
const MAX_TRIALS: usize = 4_000;
/// When a job that changed during the scan is scanned again: its files are no longer recent then.
const RESCAN_AFTER: Duration = Duration::from_millis(120);

/// The trials of a job that is delivered.
struct TrialsDelivery {
    trials: DeliveredTrials,
    /// The hash of the whole list.
    hash: u64,
    /// Its validator.
    validator: Validator,
}

impl State {
    /// Starts to follow the directories.
    pub(crate) fn start_following(&mut self) {
        for directory in &mut self.snapshot.directories {
            directory.locate().ok();
        }
        self.tracker.start_watching(&self.snapshot);
    }

    /// Scans what events reported, and returns what differs from what was delivered.
    pub(crate) fn take_changes(&mut self, now: UnixMs) -> Result<Changes, RemoteError> {
        let mut pending = self.tracker.queue.take();
        if !self.first_reading.is_done() {
            // What events report meanwhile is looked at when all was read.
            self.first_reading.stashed.merge(pending);
            return self.deliver_changes(now);
        }
        for unsettled in &self.snapshot.unsettled {
            pending.jobs.insert(unsettled.clone(), JobPart::Whole);
        }
        let directories = &self.snapshot.directories;
        if pending.everything || !directories.iter().all(JobsDirectory::is_unchanged) {
            let result = self.scan(now, ScanDepth::EveryTrial);
            let mut directories = self.snapshot.directories.iter();
            if !directories.any(JobsDirectory::is_reachable) {
                result?;
            }
        } else {
            self.scan_unmoved(|snapshot| snapshot.scan_parts(&pending.jobs, now))?;
            self.publish(now)?;
            self.tracker.after_scan(&self.snapshot, pending.jobs.keys());
        }
        self.schedule_wake_up(now);
        self.deliver_changes(now)
    }

    /// Returns what is published and differs from what was delivered.
    fn deliver_changes(&mut self, now: UnixMs) -> Result<Changes, RemoteError> {
        let mut undelivered: Vec<PathBuf> = self
            .published
            .by_folder()
            .iter()
            .filter(|(folder, job)| self.tracker.is_undelivered(folder, job.version))
            .map(|(folder, _)| folder.clone())
            .collect();
        // Jobs that change all the time must not keep the others waiting.
        let next = self.tracker.next_in_turn(&undelivered);
        undelivered.rotate_left(next);
        let mut trials = 0;
        let jobs = undelivered.iter().take(MAX_JOBS).take_while(|folder| {
            let is_first = trials == 0;
            let job = self.snapshot.jobs.get(*folder);
            let changed = self.published.changed_trials(folder);
            trials += changed.unwrap_or_else(|| job.map_or(0, JobSnapshot::trial_count));
            is_first || trials <= MAX_TRIALS
        });
        let now_count = jobs.count();
        let later = undelivered.split_off(now_count);
        if !later.is_empty() {
            self.tracker.queue.mark_undelivered();
        }
        let mut changes = Changes {
            runs: Vec::new(),
            gone: Vec::new(),
        };
        if self.first_reading.is_done() {
            changes.gone = self.take_gone_ids(&later);
        }
        for folder in undelivered {
            changes.runs.extend(self.deliver(&folder, now)?);
            self.archive(&folder, now);
        }
        Ok(changes)
    }

    /// Returns a job as it is published, unless only its version differs from what was delivered.
    fn deliver(&mut self, folder: &Path, now: UnixMs) -> Result<Option<CompleteRun>, RemoteError> {
        let delivery = match self.take_trial_changes(folder) {
            Some(changes) => Ok(Some(changes)),
            None => self.take_whole_trials(folder, now),
        };
        let delivery = match delivery {
            Ok(delivery) => delivery,
            // The mirror keeps what it has until the job changes again.
            Err(error) => {
                tracing::debug!(%error, "could not read a job again");
                let version = self.published.by_folder().get(folder);
                self.tracker
                    .record_known(folder, version.map_or(0, |job| job.version));
                return Ok(None);
            }
        };
        let (Some(delivery), Some(job)) = (delivery, self.published.by_folder().get(folder)) else {
            return Ok(None);
        };
        let [run, evaluation] = RunKind::ALL.map(|kind| job.object(kind));
        let texts = [run.text(), evaluation.text()].map(str::as_bytes);
        let hash = hash_texts([texts[0], texts[1], &delivery.hash.to_le_bytes()].into_iter());
        let differs = self.tracker.record_delivery(folder, job.version, hash);
        Ok(differs.then(|| CompleteRun {
            id: job.id.clone(),
            run: run.clone(),
            evaluation: evaluation.clone(),
            validator: delivery.validator,
            trials: delivery.trials,
        }))
    }

    /// Takes what changed of a job's trials since they were delivered; `None` if they must be delivered whole.
    fn take_trial_changes(&mut self, folder: &Path) -> Option<TrialsDelivery> {
        let hash = self.published.live_trials_mut(folder)?.hash();
        let validator = self.trials_validator(folder, || hash);
        let trials = self.published.live_trials_mut(folder)?;
        let changes = trials.take_changes(&validator);
        if self.snapshot.is_finished(folder) {
            self.published.forget_live_trials(folder);
        }
        Some(TrialsDelivery {
            trials: DeliveredTrials::Changes(changes?),
            hash,
            validator,
        })
    }

    /// Takes all trials of a job; `None` if it is gone.
    fn take_whole_trials(
        &mut self,
        folder: &Path,
        now: UnixMs,
    ) -> Result<Option<TrialsDelivery>, RemoteError> {
        self.read_archived(folder, now)?;
        let trials = self.published.deliver_trials(&self.snapshot, folder);
        Ok(trials.map_err(not_serializable)?.map(|trials| {
            // Those of a job that may change are hashed already.
            let live = self.published.live_trials_mut(folder);
            let hash = live.map_or_else(|| hash_objects(&trials), |live| live.hash());
            TrialsDelivery {
                validator: self.trials_validator(folder, || hash),
                trials: DeliveredTrials::Whole(page(trials)),
                hash,
            }
        }))
    }

    /// Makes the next delivery of a job whole.
    pub(crate) fn deliver_whole(&mut self, id: &str) {
        let Some((folder, _)) = self.published.find(id) else {
            return;
        };
        let folder = folder.clone();
        self.published.forget_live_trials(&folder);
        self.tracker.forget_delivery(&folder);
    }

    /// Returns the ids that no job has any more. A folder that still exists is scanned first, and a job that has
    /// another id now is delivered first.
    fn take_gone_ids(&mut self, undelivered: &[PathBuf]) -> Vec<String> {
        let snapshot = &self.snapshot;
        let queue = std::sync::Arc::clone(&self.tracker.queue);
        self.tracker.take_gone_ids(|folder| {
            if undelivered.iter().any(|later| later == folder) {
                return false;
            }
            // A job that is still known has another id now.
            let is_gone = snapshot.jobs.contains_key(folder)
                || (snapshot.is_reachable(folder) && is_missing(folder));
            if !is_gone {
                queue.record_job(folder, JobPart::Whole);
            }
            is_gone
        })
    }

    /// Ends the next wait in time for jobs that are held back until they have a UUID, and for those that
    /// changed during the scan.
    fn schedule_wake_up(&self, now: UnixMs) {
        let jobs = self.snapshot.jobs.values().filter(|job| job.is_job());
        let publishable = jobs.filter_map(|job| job.publishable_in(now)).min();
        let unsettled = !self.snapshot.unsettled.is_empty();
        let rescan = unsettled.then_some(RESCAN_AFTER);
        let after = publishable.into_iter().chain(rescan).min();
        self.tracker.queue.wake_after(after);
    }
}
