//! Looking at the directories: all jobs or one, with the processes behind them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use docks_proto::time::UnixMs;

use crate::derive::job_view;
use crate::disk::cached_file::Reader;
use crate::follow::Part;
use crate::snapshot::job_snapshot::{Depth, JobSeen};
use crate::snapshot::jobs_directory::Root;
use crate::snapshot::processes::{Held, Life, Processes};

/// How often a job is looked at again when it changes under the look.
const ROUNDS: u32 = 3;

/// How old the end of a job is, at most, for its trials to be read once more after it.
const JUST: Duration = Duration::from_secs(10);

/// A directory that cannot be looked at now.
#[derive(Debug)]
pub(crate) struct OutOfReach {
    /// How it was named.
    pub(crate) path: PathBuf,
    /// Why.
    pub(crate) why: io::Error,
}

/// All that was seen of the directories.
#[derive(Debug)]
pub(crate) struct Index {
    /// The directories.
    pub(crate) roots: Vec<Root>,
    /// Jobs by folder. Those of a directory that is out of reach stay as they were.
    pub(crate) jobs: BTreeMap<PathBuf, JobSeen>,
    /// The system's processes.
    pub(crate) processes: Processes,
    /// Without any other evidence, a job whose files rest this long is taken to have ended.
    pub(crate) quiet_limit: Duration,
    /// Versions at which a job's process was proved to be gone.
    gone_at: BTreeMap<PathBuf, u64>,
    /// Jobs that have to be looked at again soon, since they changed under the last look.
    pub(crate) unsure: BTreeSet<PathBuf>,
    /// Files opened so far.
    pub(crate) opened: u64,
}

impl Index {
    /// Starts without having looked.
    pub(crate) fn new(roots: Vec<Root>, processes: Processes, quiet_limit: Duration) -> Self {
        Self {
            roots,
            jobs: BTreeMap::new(),
            processes,
            quiet_limit,
            gone_at: BTreeMap::new(),
            unsure: BTreeSet::new(),
            opened: 0,
        }
    }

    /// Looks at everything within reach; returns why a directory is not.
    pub(crate) fn look(&mut self, now: UnixMs, depth: Depth) -> Option<OutOfReach> {
        let mut out_of_reach = None;
        let mut found = BTreeSet::new();
        for root in &mut self.roots {
            match root.folders() {
                Ok(folders) => found.extend(folders),
                Err(why) => {
                    let path = root.given.clone();
                    out_of_reach.get_or_insert(OutOfReach { path, why });
                }
            }
        }
        let gone: Vec<PathBuf> = self
            .jobs
            .keys()
            .filter(|folder| !found.contains(*folder) && self.would_show(folder))
            .cloned()
            .collect();
        for folder in gone {
            self.forget(&folder);
        }
        let found: Vec<PathBuf> = found.into_iter().collect();
        self.look_at(&found, now, depth);
        out_of_reach
    }

    /// Tells whether a job would be seen if it were there.
    pub(crate) fn would_show(&self, folder: &Path) -> bool {
        let root = self.roots.iter().find(|root| root.holds(folder));
        // A link that leads elsewhere now took the directory with it.
        root.is_none_or(Root::is_there)
    }

    /// Looks at some jobs.
    pub(crate) fn look_at(&mut self, names: &[PathBuf], now: UnixMs, depth: Depth) {
        let mut reader = Reader { now, opened: 0 };
        for name in names {
            self.look_at_job(name, &mut reader, depth);
        }
        self.find_processes(names, &mut reader);
        self.opened += reader.opened;
    }

    /// Looks at what may have changed of some jobs.
    pub(crate) fn look_at_parts(&mut self, parts: &BTreeMap<PathBuf, Part>, now: UnixMs) {
        let mut reader = Reader { now, opened: 0 };
        for (name, part) in parts {
            if !self.would_show(name) {
                continue;
            }
            match part {
                Part::Folders(folders) if self.jobs.contains_key(name) => {
                    let before = self.has_finished(name);
                    let job = self.jobs.get_mut(name);
                    let looked = job.and_then(|job| job.look_at_folders(&mut reader, folders));
                    if looked.is_none() {
                        self.forget(name);
                    } else if !before && self.has_just_finished(name, now) {
                        self.look_at_job_once(name, &mut reader, Depth::Every);
                    }
                }
                _ => drop(self.look_at_job(name, &mut reader, Depth::Every)),
            }
        }
        let names: Vec<PathBuf> = parts.keys().cloned().collect();
        self.find_processes(&names, &mut reader);
        self.opened += reader.opened;
    }

    fn forget(&mut self, name: &Path) {
        self.jobs.remove(name);
        self.gone_at.remove(name);
    }

    fn has_finished(&self, name: &Path) -> bool {
        self.jobs.get(name).is_some_and(JobSeen::finished)
    }

    /// Tells whether a job has only just written its last word. That comes after the last words of
    /// its trials, so what was read of these before it may be out of date.
    fn has_just_finished(&self, name: &Path, now: UnixMs) -> bool {
        let job = self.jobs.get(name).filter(|job| job.finished());
        let stamp = job.and_then(|job| job.result.stamp());
        stamp.is_some_and(|stamp| now.since(UnixMs(stamp.modified().millis())) < JUST)
    }

    fn look_at_job(&mut self, name: &Path, reader: &mut Reader, depth: Depth) -> bool {
        let before = self.has_finished(name);
        let mut changed = self.look_at_job_once(name, reader, depth);
        if !before && self.has_just_finished(name, reader.now) {
            changed |= self.look_at_job_once(name, reader, Depth::Every);
        }
        changed
    }

    fn look_at_job_once(&mut self, name: &Path, reader: &mut Reader, depth: Depth) -> bool {
        let job = self
            .jobs
            .entry(name.to_owned())
            .or_insert_with(|| JobSeen::new(name.to_owned(), reader.now));
        let Some(changed) = job.look(reader, depth) else {
            self.forget(name);
            return true;
        };
        changed
    }

    /// Finds out which unfinished jobs have a process.
    ///
    /// Files were read before the processes were asked, so a process that is gone may have
    /// written its last word in between. A job is called dead only when its files, read once
    /// more, are as they were.
    fn find_processes(&mut self, names: &[PathBuf], reader: &mut Reader) {
        self.unsure.retain(|name| !names.contains(name));
        let mut unsure: Vec<PathBuf> = names
            .iter()
            .filter(|name| self.needs_process(name))
            .cloned()
            .collect();
        for _ in 0..ROUNDS {
            if unsure.is_empty() {
                return;
            }
            let logs: Vec<PathBuf> = unsure.iter().map(|name| log_of(name)).collect();
            let held = self.processes.find(&logs);
            unsure.retain(|name| {
                let found = held.get(&log_of(name)).copied();
                !self.settle(name, found.unwrap_or(Held::Unknown), reader)
            });
        }
        // It changes faster than it can be looked at: somebody writes.
        for name in &unsure {
            self.set_life(name, Life::RecentSigns);
        }
        self.unsure.extend(unsure);
    }

    /// Tells whether the processes must be gone through for a job; settles it when not.
    fn needs_process(&mut self, name: &Path) -> bool {
        let Some(job) = self.jobs.get(name) else {
            return false;
        };
        if job.finished() || !job.is_job() {
            return false;
        }
        if let Some(pid) = self.processes.still(&job.log_path()) {
            self.set_life(name, Life::Process(pid));
            return false;
        }
        // A new process rewrites the job's files first, which makes a new version.
        self.gone_at.get(name) != Some(&job.version)
    }

    /// Draws the conclusion for one job; false when it has to be asked again.
    fn settle(&mut self, name: &Path, held: Held, reader: &mut Reader) -> bool {
        match held {
            Held::By(pid) => self.set_life(name, Life::Process(pid)),
            Held::No => {
                if self.look_at_job(name, reader, Depth::Every) {
                    return self.jobs.get(name).is_none_or(JobSeen::finished);
                }
                self.set_life(name, Life::NoProcess);
                let version = self.jobs.get(name).map(|job| job.version);
                self.gone_at
                    .extend(version.map(|version| (name.to_owned(), version)));
            }
            Held::Unknown => {
                let life = self.by_signs(name, reader.now);
                self.set_life(name, life);
            }
        }
        true
    }

    fn by_signs(&self, name: &Path, now: UnixMs) -> Life {
        let Some(job) = self.jobs.get(name) else {
            return Life::NoProcess;
        };
        let updated = job_view::times(job).updated;
        match job.last_sign(updated) {
            Some(sign) if now.since(UnixMs(sign.millis())) > self.quiet_limit => {
                Life::Silent(self.quiet_limit)
            }
            _ => Life::RecentSigns,
        }
    }

    fn set_life(&mut self, name: &Path, life: Life) {
        if let Some(job) = self.jobs.get_mut(name)
            && job.life != life
        {
            job.life = life;
            // Whoever takes over a job was not asked to stop.
            job.asked_to_stop = job
                .asked_to_stop
                .filter(|asked| life.pid() == Some(asked.pid));
            job.version += 1;
        }
    }
}

fn log_of(folder: &Path) -> PathBuf {
    folder.join("job.log")
}
