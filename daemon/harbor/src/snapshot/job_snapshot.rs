//! The snapshot of one job's folder, kept between scans so that only what changed is read again.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use docks_proto::time::UnixMs;

use crate::disk::cached_file::{CachedFile, FileReader, FileState};
use crate::disk::file_version::{FileVersion, FolderIdentity, is_missing};
use crate::disk::folders::{display_name, is_hidden, list_folders};
use crate::format::job::{JobConfig, JobLock, JobResult};
use crate::format::trial::TrialResult;
use crate::format::written_time::WrittenTime;
use crate::snapshot::job_times::{JobTimes, TimeEvidence};
use crate::snapshot::liveness::{Liveness, SentSignal};
use crate::snapshot::trial_snapshot::TrialSnapshot;
use crate::snapshot::watch_targets::WatchTargets;
use crate::utc::Utc;

/// Files of which any one makes a folder a job.
const JOB_FILES: [&str; 4] = ["job.log", "config.json", "lock.json", "result.json"];
/// How long a new job is held back until it has a UUID; Harbor takes a tenth of a second.
const UUID_WAIT: Duration = Duration::from_millis(1_500);
/// How often a folder that replaced another one is read again within one scan.
const MAX_REPLACEMENTS: u32 = 3;
/// A file that is this much newer than the time written in it was copied, so its age says nothing.
const COPIED_US: i64 = 120_000_000;

/// A job's folder as of the last scan.
#[derive(Debug)]
pub(crate) struct JobSnapshot {
    /// Its path.
    pub(crate) dir: PathBuf,
    /// Its name, for people and as fallback id.
    pub(crate) name: String,
    /// Its `result.json`.
    pub(crate) result: CachedFile<JobResult>,
    /// Its `config.json`.
    pub(crate) config: CachedFile<JobConfig>,
    /// Its `lock.json`.
    pub(crate) lock: CachedFile<JobLock>,
    /// Its `job.log`.
    pub(crate) log: Option<FileVersion>,
    /// Its trials, by folder name.
    pub(crate) trials: BTreeMap<OsString, TrialSnapshot>,
    /// Trials that ended and whose folder is not here, as the job's result states them, by name.
    pub(crate) absent_trials: BTreeMap<String, TrialSnapshot>,
    /// Its process as of the last scan; finished jobs are not checked.
    pub(crate) liveness: Liveness,
    /// Increases with everything that can change what is published about the job.
    pub(crate) version: u64,
    /// When it was first seen.
    pub(crate) first_seen: UnixMs,
    /// The signal that we sent to its process.
    pub(crate) sent_signal: Option<SentSignal>,
    dir_version: Option<FileVersion>,
    /// Folders that contain nothing of a trial, with their inodes. Harbor creates the folder of a trial
    /// before the files that make it one.
    empty_folders: BTreeMap<OsString, u64>,
    /// Whether the job and all of its trials are finished and were read.
    settled: bool,
}

/// From the first start to the last end of some trials.
#[derive(Default)]
struct TrialSpan {
    first: Option<Utc>,
    last: Option<Utc>,
}

impl TrialSpan {
    fn add(&mut self, trial: &TrialResult) {
        let earliest = |a: Option<Utc>, b: Option<Utc>| a.into_iter().chain(b).min();
        self.first = earliest(self.first, trial.started);
        self.last = self.last.max(trial.finished);
    }
}

/// The result of checking a job's folder.
enum FolderCheck {
    /// It cannot be read now, which says nothing about the job.
    Unreadable,
    /// It exists.
    Present {
        /// Whether the folder or the job's own files changed.
        changed: bool,
    },
}

/// How thorough a scan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScanDepth {
    /// Skips the trials of finished jobs whose own files did not change.
    SkipSettled,
    /// Checks every trial.
    EveryTrial,
}

impl JobSnapshot {
    /// Creates a snapshot of a folder that was not read yet.
    pub(crate) fn new(dir: PathBuf, now: UnixMs) -> Self {
        Self {
            name: display_name(dir.file_name().unwrap_or_default()),
            dir,
            result: CachedFile::default(),
            config: CachedFile::default(),
            lock: CachedFile::default(),
            log: None,
            trials: BTreeMap::new(),
            absent_trials: BTreeMap::new(),
            liveness: Liveness::RecentActivity,
            version: 0,
            first_seen: now,
            sent_signal: None,
            dir_version: None,
            empty_folders: BTreeMap::new(),
            settled: false,
        }
    }

    /// Whether the folder is a job's.
    pub(crate) fn is_job(&self) -> bool {
        let any = self.log.is_some()
            || self.config.state() != FileState::Absent
            || self.lock.state() != FileState::Absent
            || self.result.state() != FileState::Absent;
        let lone_trial = self.config.content().is_some_and(|config| config.is_trial);
        any && !lone_trial
    }

    /// Whether Harbor wrote that the job finished.
    pub(crate) fn is_finished(&self) -> bool {
        self.result.content().is_some_and(|r| r.finished.is_some())
    }

    /// Returns how long the job must not be published yet: a new job has no UUID for a moment, and would be
    /// published under another id first.
    pub(crate) fn publishable_in(&self, now: UnixMs) -> Option<Duration> {
        let is_new = self.liveness.is_alive()
            && self.result.state() == FileState::Absent
            && self.uuid().is_none();
        let passed = now.since(self.first_seen);
        UUID_WAIT
            .checked_sub(passed)
            .filter(|left| is_new && !left.is_zero())
    }

    /// Returns the path of the log that the job's process holds open.
    pub(crate) fn log_path(&self) -> PathBuf {
        self.dir.join("job.log")
    }

    /// Reads what changed. Returns whether anything did, and `None` if the folder is gone.
    ///
    /// A folder that is moved away during the scan is gone, however much of it was read; one that replaced it
    /// is read instead.
    pub(crate) fn refresh(&mut self, reader: &mut FileReader, depth: ScanDepth) -> Option<bool> {
        let mut changed = self.refresh_once(reader, depth)?;
        for _ in 0..MAX_REPLACEMENTS {
            match FileVersion::for_directory(&self.dir) {
                Some(now)
                    if self
                        .dir_version
                        .is_some_and(|then| then.is_same_inode(&now)) =>
                {
                    break;
                }
                None if !is_missing(&self.dir) => break,
                _ => changed |= self.refresh_once(reader, depth)?,
            }
        }
        Some(changed)
    }

    fn refresh_once(&mut self, reader: &mut FileReader, depth: ScanDepth) -> Option<bool> {
        let mut changed = match self.refresh_own(reader)? {
            FolderCheck::Unreadable => return Some(false),
            FolderCheck::Present { changed } => changed,
        };
        if !self.is_job() {
            self.trials.clear();
            self.empty_folders.clear();
            return Some(changed);
        }
        let skip_trials =
            depth == ScanDepth::SkipSettled && !changed && self.is_finished() && self.settled;
        if !skip_trials {
            changed |= self.refresh_trials(reader);
        }
        if changed {
            self.list_absent_trials();
        }
        self.version += u64::from(changed);
        Some(changed)
    }

    /// Reads what changed in the job's own files and in some of its folders. Returns the same as
    /// [`JobSnapshot::refresh`].
    pub(crate) fn refresh_folders(
        &mut self,
        reader: &mut FileReader,
        names: &BTreeSet<OsString>,
    ) -> Option<bool> {
        let (earlier, was_job) = (self.dir_version, self.is_job());
        let mut changed = match self.refresh_own(reader)? {
            FolderCheck::Unreadable => return Some(false),
            FolderCheck::Present { changed } => changed,
        };
        let replaced = earlier
            .zip(self.dir_version)
            .is_none_or(|(a, b)| !a.is_same_inode(&b));
        if self.is_job() && (replaced || !was_job) {
            changed |= self.refresh_trials(reader);
        } else if self.is_job() {
            for name in names.iter().filter(|name| !is_hidden(name)) {
                changed |= self.refresh_folder(name, reader);
            }
            self.settled =
                self.is_finished() && self.trials.values().all(TrialSnapshot::is_settled);
        }
        if changed {
            self.list_absent_trials();
        }
        self.version += u64::from(changed);
        Some(changed)
    }

    /// Sets what is known about the job's process.
    pub(crate) fn set_liveness(&mut self, liveness: Liveness) {
        if self.liveness == liveness {
            return;
        }
        self.liveness = liveness;
        // A new process was not sent a signal.
        self.sent_signal = self
            .sent_signal
            .filter(|sent| liveness.pid() == Some(sent.pid));
        self.list_absent_trials();
        self.version += 1;
    }

    /// Lists the trials that the job's result names and that have no folder. While the job runs, those are retried.
    fn list_absent_trials(&mut self) {
        self.absent_trials.clear();
        let Some(result) = self.result.content() else {
            return;
        };
        if self.liveness.is_alive() && !self.is_finished() {
            return;
        }
        let stated = result.counts.n_total_trials.unwrap_or(u64::MAX);
        let missing = stated.saturating_sub(self.trials.len() as u64);
        let missing = usize::try_from(missing).unwrap_or(usize::MAX);
        if missing == 0 {
            return;
        }
        let agents = self.config.content().map(|config| config.agents.as_slice());
        // A folder may have been renamed.
        let original = self.trials.values();
        let original = original.filter_map(|trial| trial.config()?.trial_name.as_deref());
        let original: BTreeSet<&str> = original.collect();
        let absent = result
            .named_trials()
            .filter(|name| !self.trials.contains_key(OsStr::new(name)) && !original.contains(name))
            .take(missing)
            .map(|name| {
                let stated = result.stated_trial(name, agents.unwrap_or_default());
                (name.to_owned(), TrialSnapshot::absent(name, stated))
            });
        self.absent_trials = absent.collect();
    }

    fn refresh_folder(&mut self, name: &OsString, reader: &mut FileReader) -> bool {
        let dir = self.dir.join(name);
        let Some(dir_version) = FileVersion::for_directory(&dir) else {
            if !is_missing(&dir) {
                return false;
            }
            self.empty_folders.remove(name);
            return self.trials.remove(name).is_some();
        };
        let before = self.trials.remove(name);
        self.empty_folders.remove(name);
        self.add_folder(before, name.clone(), dir_version.inode(), &dir, reader)
    }

    /// Reads a folder and adds it to the trials if it is one; returns whether anything changed.
    fn add_folder(
        &mut self,
        before: Option<TrialSnapshot>,
        name: OsString,
        inode: u64,
        dir: &Path,
        reader: &mut FileReader,
    ) -> bool {
        let (trial, changed) = TrialSnapshot::refresh_or_create(before, &name, inode, dir, reader);
        if trial.is_trial(dir) {
            self.trials.insert(name, trial);
        } else {
            self.empty_folders.insert(name, inode);
        }
        changed
    }

    /// Checks the folder and reads the job's own files; `None` if the folder is gone.
    fn refresh_own(&mut self, reader: &mut FileReader) -> Option<FolderCheck> {
        let Some(dir_version) = FileVersion::for_directory(&self.dir) else {
            return (!is_missing(&self.dir)).then_some(FolderCheck::Unreadable);
        };
        let dir_changed = self.dir_version != Some(dir_version);
        if self
            .dir_version
            .is_some_and(|old| !old.is_same_inode(&dir_version))
        {
            *self = Self {
                version: self.version + 1,
                ..Self::new(self.dir.clone(), reader.now)
            };
        }
        self.dir_version = Some(dir_version);
        Some(FolderCheck::Present {
            changed: dir_changed | self.refresh_own_files(reader),
        })
    }

    fn refresh_own_files(&mut self, reader: &mut FileReader) -> bool {
        let [log, config, lock, result] = JOB_FILES.map(|name| self.dir.join(name));
        let mut changed = self.config.refresh(&config, reader, JobConfig::parse);
        changed |= self.lock.refresh(&lock, reader, JobLock::parse);
        changed |= self.result.refresh(&result, reader, JobResult::parse);
        // Harbor creates its log before the others, so it must not seem to be missing beside them.
        let log = FileVersion::for_file(&log);
        changed |= self.log.is_some() != log.is_some();
        self.log = log;
        changed
    }

    fn refresh_trials(&mut self, reader: &mut FileReader) -> bool {
        // If the folder cannot be listed for a moment, nothing is lost.
        let Ok(found) = list_folders(&self.dir) else {
            return false;
        };
        let mut changed = false;
        let mut before = std::mem::take(&mut self.trials);
        self.empty_folders.clear();
        for (name, inode) in found {
            let dir = self.dir.join(&name);
            let earlier = before.remove(&name);
            changed |= self.add_folder(earlier, name, inode, &dir, reader);
        }
        self.settled = self.is_finished() && self.trials.values().all(TrialSnapshot::is_settled);
        changed | !before.is_empty()
    }

    /// Returns the folders in which a change matters.
    pub(crate) fn watch_targets(&self) -> WatchTargets {
        let is_running = self.is_job() && !self.is_finished() && self.liveness.is_alive();
        let own = self
            .dir_version
            .map(|dir_version| (self.dir.clone(), dir_version.inode()));
        let mut folders: BTreeMap<PathBuf, u64> = own.into_iter().collect();
        if is_running {
            for (name, trial) in self.trials.iter().filter(|(_, trial)| !trial.is_settled()) {
                let dir = self.dir.join(name);
                for folder in &trial.files.awaited_folders {
                    folders.insert(dir.join(folder), trial.inode());
                }
                folders.insert(dir, trial.inode());
            }
            for (name, inode) in &self.empty_folders {
                folders.insert(self.dir.join(name), *inode);
            }
        }
        WatchTargets {
            is_running,
            folders,
        }
    }

    /// Returns when the job last wrote something.
    pub(crate) fn last_activity(&self, times: &JobTimes) -> Option<Utc> {
        let written = self.result.version().map(|s| s.modified());
        let last_trial = || {
            self.trials
                .values()
                .filter_map(|t| t.result.content()?.finished)
                .max()
        };
        let stated = times.updated.or_else(last_trial).or(times.started);
        let copied =
            matches!((written, stated), (Some(w), Some(s)) if w.0.saturating_sub(s.0) > COPIED_US);
        if copied {
            return stated;
        }
        let own = [
            written,
            self.log.map(|s| s.modified()),
            self.config.version().map(|s| s.modified()),
            self.dir_version.map(|s| s.modified()),
        ];
        let trials = self.trials.values().map(|t| t.files.newest_change);
        own.into_iter().chain(trials).flatten().max().or(stated)
    }

    /// Whether the folder was copied after Harbor wrote it, so that the times of its files mean nothing.
    pub(crate) fn is_copy(&self, times: &JobTimes) -> bool {
        let (written, stated) = match self.result.version() {
            Some(version) => {
                let last_trial = || {
                    self.trials
                        .values()
                        .filter_map(|t| t.result.content()?.finished)
                        .max()
                };
                let stated = times.updated.or(times.finished);
                (Some(version), stated.or_else(last_trial).or(times.started))
            }
            // It is written at the start.
            None => (self.config.version(), times.started),
        };
        let written = written.map(|version| version.modified());
        matches!((written, stated), (Some(w), Some(s)) if w.distance_us(s) > COPIED_US)
    }

    /// Whether the job was put together from others by hand: Harbor always writes when it started, and its trials name
    /// their job.
    pub(crate) fn is_merged(&self) -> bool {
        let Some(result) = self.result.content() else {
            return false;
        };
        let mut jobs = self
            .trials
            .values()
            .filter_map(|t| t.config()?.job_id.as_ref());
        result.started.is_none() || jobs.any(|job| result.id.as_ref().is_some_and(|id| id != job))
    }

    /// Returns when the job started, was last updated and finished.
    pub(crate) fn times(&self) -> JobTimes {
        let result = self.result.content();
        let own = self.trials.values().filter_map(|t| t.result.content());
        let embedded = result.into_iter().flat_map(|r| r.embedded.values());
        let (mut utc, mut local) = (TrialSpan::default(), TrialSpan::default());
        for trial in own.chain(embedded) {
            let span = if trial.has_local_times {
                &mut local
            } else {
                &mut utc
            };
            span.add(trial);
        }
        let job_name = || self.config.content()?.job_name.as_deref();
        let named = WrittenTime::parse_name(&self.name);
        let modified = self
            .result
            .version()
            .or(self.log)
            .or(self.config.version())
            .map(|version| version.modified());
        TimeEvidence {
            started: result.and_then(|r| r.started),
            updated: result.and_then(|r| r.updated),
            finished: result.and_then(|r| r.finished),
            named: named.or_else(|| job_name().and_then(WrittenTime::parse_name)),
            lock_created: self.lock.content().and_then(|lock| lock.created),
            first_trial: utc.first,
            last_trial: utc.last,
            first_local_trial: local.first,
            configured: self.config.version().map(|version| version.modified()),
            modified,
        }
        .resolve()
    }

    /// Returns the job's UUID, from its result or the configuration of a trial.
    pub(crate) fn uuid(&self) -> Option<String> {
        let stated = self.result.content().and_then(|r| r.id.clone());
        stated.or_else(|| {
            self.trials
                .values()
                .find_map(|trial| trial.config()?.job_id.clone())
        })
    }

    /// Returns which folder it is, whatever its name.
    pub(crate) fn folder_identity(&self) -> Option<FolderIdentity> {
        self.dir_version.map(|version| version.identity())
    }

    /// Whether the folder still has the name under which the job was started.
    pub(crate) fn has_original_name(&self) -> bool {
        let mut names = self
            .trials
            .values()
            .filter_map(|t| t.config()?.job_folder.as_ref());
        names.next().is_none_or(|name| *name == self.name)
    }
}
