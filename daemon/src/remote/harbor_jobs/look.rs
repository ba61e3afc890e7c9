//! Looking at the directory: all jobs or one, with the processes behind them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use docks_proto::time::UnixMs;

use super::file::Reader;
use super::follow::Part;
use super::process::{Held, Life, Processes};
use super::seen::{Depth, JobSeen, folders};
use super::view;

/// How often a job is looked at again when it changes under the look.
const ROUNDS: u32 = 3;

/// All that was seen of the directory.
#[derive(Debug)]
pub(super) struct Index {
    /// The directory, resolved.
    pub(super) dir: PathBuf,
    /// Jobs by folder name.
    pub(super) jobs: BTreeMap<OsString, JobSeen>,
    /// The system's processes.
    pub(super) processes: Processes,
    /// Without any other evidence, a job whose files rest this long is taken to have ended.
    pub(super) quiet_limit: Duration,
    /// Versions at which a job's process was proved to be gone.
    gone_at: BTreeMap<OsString, u64>,
    /// Jobs that have to be looked at again soon, since they changed under the last look.
    pub(super) unsure: BTreeSet<OsString>,
    /// Files opened so far.
    pub(super) opened: u64,
}

impl Index {
    /// Starts without having looked.
    pub(super) fn new(dir: PathBuf, processes: Processes, quiet_limit: Duration) -> Self {
        Self {
            dir,
            jobs: BTreeMap::new(),
            processes,
            quiet_limit,
            gone_at: BTreeMap::new(),
            unsure: BTreeSet::new(),
            opened: 0,
        }
    }

    /// Looks at everything.
    pub(super) fn look(&mut self, now: UnixMs, depth: Depth) -> io::Result<()> {
        let names: Vec<OsString> = folders(&self.dir)?
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let before: Vec<OsString> = self.jobs.keys().cloned().collect();
        for name in before
            .iter()
            .filter(|name| names.binary_search(name).is_err())
        {
            self.forget(name);
        }
        self.look_at(&names, now, depth);
        Ok(())
    }

    /// Looks at some jobs.
    pub(super) fn look_at(&mut self, names: &[OsString], now: UnixMs, depth: Depth) {
        let mut reader = Reader { now, opened: 0 };
        for name in names {
            self.look_at_job(name, &mut reader, depth);
        }
        self.find_processes(names, &mut reader);
        self.opened += reader.opened;
    }

    /// Looks at what may have changed of some jobs.
    pub(super) fn look_at_parts(&mut self, parts: &BTreeMap<OsString, Part>, now: UnixMs) {
        let mut reader = Reader { now, opened: 0 };
        for (name, part) in parts {
            match part {
                Part::Folders(folders) if self.jobs.contains_key(name) => {
                    let job = self.jobs.get_mut(name);
                    let looked = job.and_then(|job| job.look_at_folders(&mut reader, folders));
                    if looked.is_none() {
                        self.forget(name);
                    }
                }
                _ => drop(self.look_at_job(name, &mut reader, Depth::Every)),
            }
        }
        let names: Vec<OsString> = parts.keys().cloned().collect();
        self.find_processes(&names, &mut reader);
        self.opened += reader.opened;
    }

    fn forget(&mut self, name: &OsString) {
        self.jobs.remove(name);
        self.gone_at.remove(name);
    }

    fn look_at_job(&mut self, name: &OsString, reader: &mut Reader, depth: Depth) -> bool {
        let dir = self.dir.join(name);
        let job = self
            .jobs
            .entry(name.clone())
            .or_insert_with(|| JobSeen::new(dir, name, reader.now));
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
    fn find_processes(&mut self, names: &[OsString], reader: &mut Reader) {
        self.unsure.retain(|name| !names.contains(name));
        let mut unsure: Vec<OsString> = names
            .iter()
            .filter(|name| self.needs_process(name))
            .cloned()
            .collect();
        for _ in 0..ROUNDS {
            if unsure.is_empty() {
                return;
            }
            let logs: Vec<PathBuf> = unsure.iter().map(|name| log_of(&self.dir, name)).collect();
            let held = self.processes.find(&logs);
            unsure.retain(|name| {
                let found = held.get(&log_of(&self.dir, name)).copied();
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
    fn needs_process(&mut self, name: &OsString) -> bool {
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
    fn settle(&mut self, name: &OsString, held: Held, reader: &mut Reader) -> bool {
        match held {
            Held::By(pid) => self.set_life(name, Life::Process(pid)),
            Held::No => {
                if self.look_at_job(name, reader, Depth::Every) {
                    return self.jobs.get(name).is_none_or(JobSeen::finished);
                }
                self.set_life(name, Life::NoProcess);
                let version = self.jobs.get(name).map(|job| job.version);
                self.gone_at
                    .extend(version.map(|version| (name.clone(), version)));
            }
            Held::Unknown => {
                let life = self.by_signs(name, reader.now);
                self.set_life(name, life);
            }
        }
        true
    }

    fn by_signs(&self, name: &OsString, now: UnixMs) -> Life {
        let Some(job) = self.jobs.get(name) else {
            return Life::NoProcess;
        };
        let updated = view::times(job).updated;
        match job.last_sign(updated) {
            Some(sign) if now.since(UnixMs(sign.millis())) > self.quiet_limit => {
                Life::Silent(self.quiet_limit)
            }
            _ => Life::RecentSigns,
        }
    }

    fn set_life(&mut self, name: &OsString, life: Life) {
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

fn log_of(dir: &Path, name: &OsString) -> PathBuf {
    dir.join(name).join("job.log")
}
