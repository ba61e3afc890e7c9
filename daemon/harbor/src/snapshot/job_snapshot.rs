//! The snapshot of one job's folder, kept between scans so that only what changed is read again.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use docks_proto::time::UnixMs;

use crate::disk::cached_file::{CachedFile, FileReader, FileState};
use crate::disk::file_version::{FileVersion, is_missing};
use crate::disk::folders::{display_name, is_hidden};
use crate::format::job::{JobConfig, JobLock, JobResult};
use crate::snapshot::archive::Archive;
use crate::snapshot::liveness::{Liveness, SentSignal};
use crate::snapshot::trial_folders::TrialFolders;
use crate::snapshot::trial_snapshot::TrialSnapshot;

/// Files of which any one makes a folder a job.
pub(crate) const JOB_FILES: [&str; 4] = ["job.log", "config.json", "lock.json", "result.json"];
/// How long a new job is held back until it has a UUID; Harbor takes a tenth of a second.
const UUID_WAIT: Duration = Duration::from_millis(1_500);
/// How often a folder that replaced another one is read again within one scan.
const MAX_REPLACEMENTS: u32 = 3;
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
    pub(crate) trials: TrialFolders,
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
    /// Whether this is a folder of trials without a job, which are shown as one.
    pub(crate) holds_lone_trials: bool,
    /// The folder at the last scan.
    pub(super) dir_version: Option<FileVersion>,
    /// Folders that contain nothing of a trial, with their inodes. Harbor creates the folder of a trial
    /// before the files that make it one.
    pub(super) empty_folders: BTreeMap<OsString, EmptyFolder>,
    /// Whether the job and all of its trials are finished and were read.
    pub(super) settled: bool,
    /// When its trials were last read or looked at.
    pub(super) read_at: UnixMs,
    /// When a scan last found a change; `None` if it did not since the first one.
    pub(super) changed_at: Option<UnixMs>,
    /// What is kept of a finished job instead of its content.
    pub(super) archive: Option<Archive>,
}

/// A folder that contains nothing of a trial.
#[derive(Debug, Clone, Copy)]
pub(super) struct EmptyFolder {
    pub(super) inode: u64,
    pub(super) fingerprint: Option<u64>,
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
    /// Skips the trials of finished jobs whose own files did not change, and in others the trials that have ended.
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
            trials: TrialFolders::default(),
            absent_trials: BTreeMap::new(),
            liveness: Liveness::RecentActivity,
            version: 0,
            first_seen: now,
            sent_signal: None,
            holds_lone_trials: false,
            dir_version: None,
            empty_folders: BTreeMap::new(),
            settled: false,
            read_at: now,
            changed_at: None,
            archive: None,
        }
    }

    /// Whether the folder is a job's.
    pub(crate) fn is_job(&self) -> bool {
        if self.log.is_some() || self.holds_lone_trials || self.is_archived() {
            return true;
        }
        // Other programs have files of these names, too. A pointer says nothing, but is unlikely to be of another one.
        let config = match self.config.content() {
            Some(config) if config.is_trial => return false,
            Some(config) => config.is_harbors,
            None => self.config.state() == FileState::LfsPointer,
        };
        let result = match self.result.content() {
            Some(result) => result.is_harbors,
            None => self.result.state() == FileState::LfsPointer,
        };
        let lock = self.lock.content();
        config || result || lock.is_some_and(|lock| !lock.plan.is_empty())
    }

    /// Sets whether it is a folder of trials without a job, which are shown as one.
    pub(crate) fn set_holds_lone_trials(&mut self, holds_lone_trials: bool) {
        if self.holds_lone_trials != holds_lone_trials {
            *self = Self {
                version: self.version + 1,
                holds_lone_trials,
                ..Self::new(self.dir.clone(), self.first_seen)
            };
        }
    }

    /// Whether Harbor wrote that the job finished.
    pub(crate) fn is_finished(&self) -> bool {
        self.is_archived() || self.result.content().is_some_and(|r| r.finished.is_some())
    }

    /// Whether the job and all of its trials are finished and were read.
    pub(super) fn is_settled(&self) -> bool {
        self.settled
    }

    /// Iterates over its folders by name, with what stands for the versions of their files.
    pub(super) fn folder_fingerprints(&self) -> impl Iterator<Item = (&OsStr, Option<u64>)> {
        let trials = self.trials.by_name().iter();
        let trials = trials.map(|(name, trial)| (name.as_os_str(), trial.fingerprint()));
        let others = self.empty_folders.iter();
        let others = others.map(|(name, folder)| (name.as_os_str(), folder.fingerprint));
        let mut all: Vec<_> = trials.chain(others).collect();
        all.sort_unstable_by_key(|(name, _)| *name);
        all.into_iter()
    }

    /// Forgets everything but the versions of its own files.
    pub(super) fn forget_content(&mut self) {
        self.result.forget_content();
        self.config.forget_content();
        self.lock.forget_content();
        self.trials = TrialFolders::default();
        self.absent_trials = BTreeMap::new();
        self.empty_folders = BTreeMap::new();
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

    /// Returns the path of the job's log.
    pub(crate) fn log_path(&self) -> PathBuf {
        self.dir.join("job.log")
    }

    /// Returns the log that the job's process holds open, if it has one: the job's, or that of a lone trial.
    pub(crate) fn process_log(&self) -> Option<PathBuf> {
        if !self.holds_lone_trials {
            return self.log.map(|_| self.log_path());
        }
        let mut running = self.trials.by_name().iter();
        let (name, _) = running.find(|(_, trial)| trial.result.state() == FileState::Absent)?;
        Some(self.dir.join(name).join("trial.log"))
            .filter(|log| FileVersion::for_file(log).is_some())
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
        if let Some(fingerprint) = self.archive.as_ref().map(|archive| archive.fingerprint) {
            return self.refresh_archived(fingerprint, reader, depth);
        }
        let is_first = self.version == 0;
        let mut changed = match self.refresh_own(reader)? {
            FolderCheck::Unreadable => return Some(false),
            FolderCheck::Present { changed } => changed,
        };
        if !self.is_job() {
            self.trials = TrialFolders::default();
            self.empty_folders.clear();
            return Some(changed);
        }
        let skip_trials =
            depth == ScanDepth::SkipSettled && !changed && self.is_finished() && self.settled;
        if !skip_trials {
            changed |= self.refresh_trials(reader, depth);
        }
        self.record_change(changed, reader.now);
        self.changed_at = self.changed_at.filter(|_| !is_first);
        Some(changed)
    }

    fn record_change(&mut self, changed: bool, now: UnixMs) {
        if changed {
            self.list_absent_trials();
            self.version += 1;
            self.changed_at = Some(now);
        }
    }

    /// Reads what changed in the job's own files and in some of its folders. Returns the same as
    /// [`JobSnapshot::refresh`].
    pub(crate) fn refresh_folders(
        &mut self,
        reader: &mut FileReader,
        names: &BTreeSet<OsString>,
    ) -> Option<bool> {
        if self.is_archived() {
            return self.refresh(reader, ScanDepth::EveryTrial);
        }
        let (earlier, was_job) = (self.dir_version, self.is_job());
        let mut changed = match self.refresh_own(reader)? {
            FolderCheck::Unreadable => return Some(false),
            FolderCheck::Present { changed } => changed,
        };
        let replaced = earlier
            .zip(self.dir_version)
            .is_none_or(|(a, b)| !a.is_same_inode(&b));
        if self.is_job() && (replaced || !was_job) {
            changed |= self.refresh_trials(reader, ScanDepth::EveryTrial);
        } else if self.is_job() {
            for name in names.iter().filter(|name| !is_hidden(name)) {
                changed |= self.refresh_folder(name, reader);
            }
            self.settled = self.is_finished() && self.trials.are_settled();
        }
        self.record_change(changed, reader.now);
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
        let original = self.trials.by_name().values();
        let original = original.filter_map(|trial| trial.config()?.trial_name.as_deref());
        let original: BTreeSet<&str> = original.collect();
        let absent = result
            .named_trials()
            .filter(|name| {
                !self.trials.by_name().contains_key(OsStr::new(name)) && !original.contains(name)
            })
            .take(missing)
            .map(|name| {
                let stated = result.stated_trial(name, agents.unwrap_or_default());
                (name.to_owned(), TrialSnapshot::absent(name, stated))
            });
        self.absent_trials = absent.collect();
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
                holds_lone_trials: self.holds_lone_trials,
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
}
