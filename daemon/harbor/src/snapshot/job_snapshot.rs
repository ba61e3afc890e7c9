//! What was seen of one job's folder, kept between looks so that only what changed is read.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use docks_proto::time::UnixMs;

use crate::disk::cached_file::{Cached, Reader, Stamp, Standing, is_gone};
use crate::follow::Wanted;
use crate::format::job::{JobConfig, JobLock, JobResult};
use crate::format::times::Utc;
use crate::format::trial::{TrialConfig, TrialResult};
use crate::snapshot::processes::Life;
use crate::snapshot::trial_files::{self, TrialFiles};

/// Files of which any one makes a folder a job.
const JOB_FILES: [&str; 4] = ["job.log", "config.json", "lock.json", "result.json"];
/// Files of which any one makes a folder a trial.
const TRIAL_FILES: [&str; 4] = ["result.json", "config.json", "lock.json", "trial.log"];
/// How long a job may take until it has a UUID; Harbor takes a tenth of a second.
const BEGINNING: Duration = Duration::from_millis(1_500);
/// How often a folder that took another's place is looked at in one look.
const MOVES: u32 = 3;
/// A file that is this much newer than the time it holds was copied, so its age says nothing.
const COPIED_US: i64 = 120_000_000;

/// A job's folder.
#[derive(Debug)]
pub(crate) struct JobSeen {
    /// Where it lies.
    pub(crate) dir: PathBuf,
    /// Its name, for people and as fallback id.
    pub(crate) folder: String,
    pub(crate) result: Cached<JobResult>,
    pub(crate) config: Cached<JobConfig>,
    pub(crate) lock: Cached<JobLock>,
    pub(crate) log: Option<Stamp>,
    /// Trials by folder name.
    pub(crate) trials: BTreeMap<OsString, TrialSeen>,
    /// Its process, as of the last look; not asked of finished jobs.
    pub(crate) life: Life,
    /// Grows with everything that can change what is told of the job.
    pub(crate) version: u64,
    /// When it was first looked at.
    pub(crate) first_look: UnixMs,
    /// Signal that we sent to its process, with the process.
    pub(crate) asked_to_stop: Option<Asked>,
    place: Option<Stamp>,
    settled: bool,
}

/// A trial's folder.
#[derive(Debug, Default)]
pub(crate) struct TrialSeen {
    /// Its name.
    pub(crate) name: String,
    pub(crate) result: Cached<TrialResult>,
    pub(crate) config: Cached<TrialConfig>,
    pub(crate) files: TrialFiles,
    /// When its configuration was written, its start while there is no result.
    pub(crate) configured: Option<Utc>,
    files_of: Option<Stamp>,
    inode: u64,
}

/// What became of a job's folder.
enum Place {
    /// It cannot be looked at now, which says nothing of it.
    Unreadable,
    /// It is there.
    There {
        /// Whether it or its own files changed.
        changed: bool,
    },
}

/// A signal that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    /// To this process.
    pub(crate) pid: u32,
    /// Its name.
    pub(crate) signal: &'static str,
}

/// How thorough a look is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Finished jobs whose own files did not change are taken to be as before.
    Settled,
    /// Every trial is looked at.
    Every,
}

/// Returns a name for people and JSON; one that is no UTF-8 or no id gets a hash instead.
pub(crate) fn name_of(name: &std::ffi::OsStr) -> String {
    match name.to_str() {
        Some(text) if docks_proto::id::validate(text).is_ok() => text.to_owned(),
        _ => format!("~{:016x}", crate::hash(std::iter::once(name.as_bytes()))),
    }
}

/// Tells whether Harbor or the system keeps other things under such a name.
pub(crate) fn is_hidden(name: &std::ffi::OsStr) -> bool {
    matches!(name.as_bytes().first(), None | Some(b'.' | b'_'))
}

/// Lists real folders below `dir`, with their inodes.
pub(crate) fn folders(dir: &Path) -> std::io::Result<Vec<(OsString, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        // The type of a link is "link", so links out of the directory end here.
        if !is_hidden(&name) && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push((name, entry.ino()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

impl JobSeen {
    /// Starts without having looked.
    pub(crate) fn new(dir: PathBuf, now: UnixMs) -> Self {
        Self {
            folder: name_of(dir.file_name().unwrap_or_default()),
            dir,
            result: Cached::default(),
            config: Cached::default(),
            lock: Cached::default(),
            log: None,
            trials: BTreeMap::new(),
            life: Life::RecentSigns,
            version: 0,
            first_look: now,
            asked_to_stop: None,
            place: None,
            settled: false,
        }
    }

    /// Tells whether the folder is a job's.
    pub(crate) fn is_job(&self) -> bool {
        let any = self.log.is_some()
            || self.config.standing() != Standing::Absent
            || self.lock.standing() != Standing::Absent
            || self.result.standing() != Standing::Absent;
        let lone_trial = self.config.get().is_some_and(|config| config.is_trial);
        any && !lone_trial
    }

    /// Tells whether Harbor wrote that it finished.
    pub(crate) fn finished(&self) -> bool {
        self.result.get().is_some_and(|r| r.finished.is_some())
    }

    /// Returns how long it is not told yet: a job that just began has no UUID for a moment, and would
    /// be told under another id then.
    pub(crate) fn settles_in(&self, now: UnixMs) -> Option<Duration> {
        let begins = self.life.alive()
            && self.result.standing() == Standing::Absent
            && crate::derive::job_view::uuid(self).is_none();
        let passed = now.since(self.first_look);
        BEGINNING
            .checked_sub(passed)
            .filter(|left| begins && !left.is_zero())
    }

    /// Returns the path of the log that its process holds open.
    pub(crate) fn log_path(&self) -> PathBuf {
        self.dir.join("job.log")
    }

    /// Looks again; tells whether anything changed, and `None` when the folder is gone.
    ///
    /// A folder that is moved away under the look is gone, however much of it was seen, and one
    /// that took its place is looked at instead.
    pub(crate) fn look(&mut self, reader: &mut Reader, depth: Depth) -> Option<bool> {
        let mut changed = self.look_once(reader, depth)?;
        for _ in 0..MOVES {
            match Stamp::of_directory(&self.dir) {
                Some(now) if self.place.is_some_and(|then| then.same_place(&now)) => break,
                None if !is_gone(&self.dir) => break,
                _ => changed |= self.look_once(reader, depth)?,
            }
        }
        Some(changed)
    }

    fn look_once(&mut self, reader: &mut Reader, depth: Depth) -> Option<bool> {
        let mut changed = match self.look_at_place(reader)? {
            Place::Unreadable => return Some(false),
            Place::There { changed } => changed,
        };
        if !self.is_job() {
            self.trials.clear();
            return Some(changed);
        }
        let settled = depth == Depth::Settled && !changed && self.finished() && self.settled;
        if !settled {
            changed |= self.look_at_trials(reader);
        }
        self.version += u64::from(changed);
        Some(changed)
    }

    /// Looks again at its own files and some of its folders only.
    pub(crate) fn look_at_folders(
        &mut self,
        reader: &mut Reader,
        names: &BTreeSet<OsString>,
    ) -> Option<bool> {
        let (had, was_job) = (self.place, self.is_job());
        let mut changed = match self.look_at_place(reader)? {
            Place::Unreadable => return Some(false),
            Place::There { changed } => changed,
        };
        let other = had.zip(self.place).is_none_or(|(a, b)| !a.same_place(&b));
        if self.is_job() && (other || !was_job) {
            changed |= self.look_at_trials(reader);
        } else if self.is_job() {
            for name in names.iter().filter(|name| !is_hidden(name)) {
                changed |= self.look_at_folder(name, reader);
            }
            self.settled = self.finished() && self.trials.values().all(TrialSeen::settled);
        }
        self.version += u64::from(changed);
        Some(changed)
    }

    fn look_at_folder(&mut self, name: &OsString, reader: &mut Reader) -> bool {
        let dir = self.dir.join(name);
        let Some(place) = Stamp::of_directory(&dir) else {
            return is_gone(&dir) && self.trials.remove(name).is_some();
        };
        let before = self.trials.remove(name);
        let (trial, changed) = TrialSeen::look_anew(before, name, place.inode(), &dir, reader);
        if trial.is_trial(&dir) {
            self.trials.insert(name.clone(), trial);
        }
        changed
    }

    fn look_at_place(&mut self, reader: &mut Reader) -> Option<Place> {
        let Some(place) = Stamp::of_directory(&self.dir) else {
            return (!is_gone(&self.dir)).then_some(Place::Unreadable);
        };
        let moved = self.place != Some(place);
        if self.place.is_some_and(|old| !old.same_place(&place)) {
            *self = Self {
                version: self.version + 1,
                ..Self::new(self.dir.clone(), reader.now)
            };
        }
        self.place = Some(place);
        Some(Place::There {
            changed: moved | self.look_at_own(reader),
        })
    }

    fn look_at_own(&mut self, reader: &mut Reader) -> bool {
        let [log, config, lock, result] = JOB_FILES.map(|name| self.dir.join(name));
        let log = Stamp::of_file(&log);
        let mut changed = self.log.is_some() != log.is_some();
        self.log = log;
        changed |= self.config.look(&config, reader, JobConfig::parse);
        changed |= self.lock.look(&lock, reader, JobLock::parse);
        changed |= self.result.look(&result, reader, JobResult::parse);
        changed
    }

    fn look_at_trials(&mut self, reader: &mut Reader) -> bool {
        // A folder that cannot be listed for a moment loses nothing.
        let Ok(found) = folders(&self.dir) else {
            return false;
        };
        let mut changed = false;
        let mut before = std::mem::take(&mut self.trials);
        for (name, inode) in found {
            let dir = self.dir.join(&name);
            let had = before.remove(&name);
            let (trial, differs) = TrialSeen::look_anew(had, &name, inode, &dir, reader);
            changed |= differs;
            if trial.is_trial(&dir) {
                self.trials.insert(name, trial);
            }
        }
        self.settled = self.finished() && self.trials.values().all(TrialSeen::settled);
        changed | !before.is_empty()
    }

    /// Returns the folders in which a change would matter.
    pub(crate) fn watched(&self) -> Wanted {
        let lives = self.is_job() && !self.finished() && self.life.alive();
        let own = self.place.map(|place| (self.dir.clone(), place.inode()));
        let mut folders: BTreeMap<PathBuf, u64> = own.into_iter().collect();
        if lives {
            for (name, trial) in self.trials.iter().filter(|(_, trial)| !trial.settled()) {
                let dir = self.dir.join(name);
                for folder in &trial.files.awaited {
                    folders.insert(dir.join(folder), trial.inode);
                }
                folders.insert(dir, trial.inode);
            }
        }
        Wanted { lives, folders }
    }

    /// Returns when the job last gave a sign of life.
    pub(crate) fn last_sign(&self, updated: Option<Utc>) -> Option<Utc> {
        let written = self.result.stamp().map(|s| s.modified());
        let copied =
            matches!((written, updated), (Some(w), Some(u)) if w.0.saturating_sub(u.0) > COPIED_US);
        if copied {
            return updated;
        }
        let own = [
            written,
            self.log.map(|s| s.modified()),
            self.config.stamp().map(|s| s.modified()),
            self.place.map(|s| s.modified()),
        ];
        let trials = self.trials.values().map(|t| t.files.newest);
        own.into_iter().chain(trials).flatten().max().or(updated)
    }

    /// Tells whether the folder was copied after Harbor wrote it, so that times of files mean nothing.
    pub(crate) fn copied(&self, updated: Option<Utc>) -> bool {
        let written = self.result.stamp().map(|s| s.modified());
        matches!((written, updated), (Some(w), Some(u)) if w.distance_us(u) > COPIED_US)
    }
}

impl TrialSeen {
    /// Looks at a folder of which an earlier look may be known; tells whether anything changed.
    fn look_anew(
        before: Option<Self>,
        name: &std::ffi::OsStr,
        inode: u64,
        dir: &Path,
        reader: &mut Reader,
    ) -> (Self, bool) {
        let same = before.filter(|trial| trial.inode == inode);
        let mut changed = same.is_none();
        let mut trial = same.unwrap_or_else(|| Self {
            name: name_of(name),
            inode,
            ..Self::default()
        });
        changed |= trial.look(dir, reader);
        (trial, changed)
    }

    fn settled(&self) -> bool {
        self.result.settled()
    }

    fn is_trial(&self, dir: &Path) -> bool {
        self.result.standing() != Standing::Absent
            || self.config.standing() != Standing::Absent
            || TRIAL_FILES
                .iter()
                .any(|name| Stamp::of_file(&dir.join(name)).is_some())
    }

    /// Returns the configuration, from the result once there is one.
    pub(crate) fn setup(&self) -> Option<&TrialConfig> {
        self.result
            .get()
            .map(|r| &r.config)
            .or_else(|| self.config.get())
    }

    fn look(&mut self, dir: &Path, reader: &mut Reader) -> bool {
        let mut changed = self
            .result
            .look(&dir.join("result.json"), reader, TrialResult::parse);
        let good = self.result.standing() == Standing::Good;
        let stamp = self.result.stamp().filter(|_| good);
        if stamp.is_some() && stamp == self.files_of {
            return changed;
        }
        if stamp.is_none() {
            changed |= self
                .config
                .look(&dir.join("config.json"), reader, TrialConfig::parse);
            self.configured = self.config.stamp().map(|s| s.modified());
        }
        let files = self.scan(dir, reader);
        changed |= TrialFiles {
            newest: None,
            ..files.clone()
        } != TrialFiles {
            newest: None,
            ..std::mem::take(&mut self.files)
        };
        self.files = files;
        self.files_of = stamp;
        changed
    }

    fn scan(&self, dir: &Path, reader: &mut Reader) -> TrialFiles {
        let result = self.result.get();
        let steps: Vec<String> = result
            .map(|r| r.steps.iter().map(|s| s.name.clone()).collect())
            .unwrap_or_default();
        let agent = self
            .setup()
            .map_or("oracle", |config| config.agent.name.as_str());
        trial_files::scan(dir, &steps, agent, reader)
    }
}
