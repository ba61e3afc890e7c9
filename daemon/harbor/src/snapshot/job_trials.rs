//! The trials of a job's snapshot: which of them are read again, and which of their folders are watched.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::disk::cached_file::FileReader;
use crate::disk::file_version::{FileVersion, is_missing};
use crate::disk::folders::list_folders;
use crate::snapshot::job_snapshot::{EmptyFolder, JobSnapshot, ScanDepth};
use crate::snapshot::trial_snapshot::TrialSnapshot;
use crate::snapshot::watch_targets::{WatchTargets, WatchedPart};

impl JobSnapshot {
    /// Reads one folder; returns whether anything changed.
    pub(super) fn refresh_folder(&mut self, name: &OsString, reader: &mut FileReader) -> bool {
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
        if trial.is_trial(dir) && (!self.holds_lone_trials || trial.is_named()) {
            self.trials.insert(name, trial);
        } else {
            let fingerprint = trial.fingerprint();
            self.empty_folders
                .insert(name, EmptyFolder { inode, fingerprint });
        }
        changed
    }

    /// Reads the trials; returns whether anything changed.
    pub(super) fn refresh_trials(&mut self, reader: &mut FileReader, depth: ScanDepth) -> bool {
        if depth == ScanDepth::EveryTrial {
            self.read_at = reader.now;
        }
        // If the folder cannot be listed for a moment, nothing is lost.
        let Ok(found) = list_folders(&self.dir) else {
            return false;
        };
        let (to_read, gone) = match depth {
            ScanDepth::EveryTrial => {
                let gone = self.trials_unlike(&found, |_, _, _| true).1;
                (found, gone)
            }
            ScanDepth::SkipSettled => {
                self.trials_unlike(&found, |job, trial, inode| !job.is_as_read(trial, inode))
            }
        };
        let mut changed = !gone.is_empty();
        for name in gone {
            self.trials.remove(&name);
        }
        self.empty_folders.clear();
        for (name, inode) in to_read {
            let dir = self.dir.join(&name);
            let earlier = self.trials.remove(&name);
            changed |= self.add_folder(earlier, name, inode, &dir, reader);
        }
        self.settled = self.is_finished() && self.trials.are_settled();
        changed
    }

    /// Returns which folders must be read, by what a comparison says of trials that are known, and which trials have no
    /// folder any more. Both lists of names are sorted, so each is gone through once.
    fn trials_unlike(
        &self,
        found: &[(OsString, u64)],
        must_be_read: impl Fn(&Self, &TrialSnapshot, u64) -> bool,
    ) -> (Vec<(OsString, u64)>, Vec<OsString>) {
        let (mut to_read, mut gone) = (Vec::new(), Vec::new());
        let mut known = self.trials.by_name().iter().peekable();
        for (name, inode) in found {
            while let Some((missing, _)) = known.next_if(|(known, _)| *known < name) {
                gone.push(missing.clone());
            }
            let trial = known.next_if(|(known, _)| *known == name);
            if trial.is_none_or(|(_, trial)| must_be_read(self, trial, *inode)) {
                to_read.push((name.clone(), *inode));
            }
        }
        gone.extend(known.map(|(missing, _)| missing.clone()));
        (to_read, gone)
    }

    /// Whether a trial is what was read of it, as far as that can be told without reading it: it has ended, or the folders
    /// of one that runs contain what they contained.
    fn is_as_read(&self, trial: &TrialSnapshot, inode: u64) -> bool {
        // Without a process, the growth of logs shows that a job is alive.
        let is_process_known = self.liveness.pid().is_some();
        trial.has_ended_in(inode)
            || (is_process_known && trial.runs_as_read(inode, &self.dir.join(trial.folder_name())))
    }

    /// Returns the folders in which a change matters.
    pub(crate) fn watch_targets(&self) -> WatchTargets {
        let is_running = self.is_job() && !self.is_finished() && self.liveness.is_alive();
        let mut targets = match self.dir_version {
            Some(version) => WatchTargets::of_job(is_running, &self.dir, version.inode()),
            None => WatchTargets {
                is_running,
                ..WatchTargets::default()
            },
        };
        if is_running {
            let trials = self.trials.unsettled().map(|(name, trial)| {
                let dir = PathBuf::from(name);
                let mut folders = vec![dir.clone()];
                folders.extend(trial.files.awaited_folders.iter().map(|f| dir.join(f)));
                let inode = trial.inode();
                (name.to_owned(), WatchedPart { inode, folders })
            });
            targets.parts.extend(trials);
            let empty = self.empty_folders.iter().map(|(name, folder)| {
                let part = WatchedPart {
                    inode: folder.inode,
                    folders: vec![name.into()],
                };
                (name.clone(), part)
            });
            targets.parts.extend(empty);
        }
        targets
    }
}
