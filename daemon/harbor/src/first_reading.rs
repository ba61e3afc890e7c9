//! The first reading of all jobs: newest first, in any number of parts at once, while what was read is published.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Duration;

use docks_proto::time::UnixMs;
use docksd_remote::Reading;
use tokio::time::Instant;

use crate::disk::cached_file::FileReader;
use crate::disk::file_version::FileVersion;
use crate::follow::PendingChanges;
use crate::format::json;
use crate::format::written_time::WrittenTime;
use crate::known_jobs::KnownJob;
use crate::snapshot::archived_job::look_at_job;
use crate::snapshot::job_snapshot::{JobSnapshot, ScanDepth};
use crate::snapshot::trial_tree::Fingerprint;

/// Trials that were read and wait to be delivered, at most: some tens of megabytes.
const MAX_UNDELIVERED: usize = 6_000;

/// How far the first reading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    NotBegun,
    Running,
    Done,
}

/// A job that was not read yet.
#[derive(Debug)]
pub(crate) struct UnreadJob {
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// The directory in which it is, which reading must not leave.
    pub(crate) root: PathBuf,
    /// Whether this is a folder of trials without a job.
    pub(crate) holds_lone_trials: bool,
    /// What an earlier process delivered of it.
    known: Option<KnownJob>,
}

/// A job that was read.
#[derive(Debug)]
pub(crate) struct ReadJob {
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// Its content; `None` if it is gone.
    pub(crate) job: Option<JobSnapshot>,
    /// What an earlier process delivered of it, if nothing has changed since.
    pub(crate) known: Option<KnownJob>,
    /// Files that were read.
    pub(crate) files_read: u64,
}

/// The first reading of all jobs.
#[derive(Debug, Default)]
pub(crate) struct FirstReading {
    stage: Stage,
    began: Option<Instant>,
    waiting: VecDeque<UnreadJob>,
    in_work: usize,
    total: usize,
    /// Jobs that are not published before all are read: they may have the id of another one.
    held_back: BTreeSet<PathBuf>,
    folders_by_id: BTreeMap<String, PathBuf>,
    known: BTreeMap<PathBuf, KnownJob>,
    undelivered: BTreeMap<PathBuf, usize>,
    /// Changes that events reported meanwhile.
    pub(crate) stashed: PendingChanges,
}

/// What a glance at a job's result says.
#[derive(Debug, Default)]
struct Glance {
    id: Option<String>,
    started: Option<i64>,
}

impl FirstReading {
    /// Takes over what an earlier process delivered, if nothing was read yet.
    pub(crate) fn restore(&mut self, known: Vec<KnownJob>) {
        if self.stage == Stage::NotBegun {
            let known = known.into_iter().map(|job| (job.folder.clone(), job));
            self.known = known.collect();
        }
    }

    /// Whether it has to begin.
    pub(crate) fn has_not_begun(&self) -> bool {
        self.stage == Stage::NotBegun
    }

    /// Whether it has begun and has not ended.
    pub(crate) fn is_running(&self) -> bool {
        self.stage == Stage::Running
    }

    /// Whether everything was read.
    pub(crate) fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// Begins to read jobs.
    pub(crate) fn begin(&mut self, jobs: Vec<(PathBuf, PathBuf, bool)>) {
        self.stage = Stage::Running;
        self.began = Some(Instant::now());
        self.total = jobs.len();
        let is_only_one = jobs.len() == 1;
        let mut folders_by_id: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        let mut unread = Vec::new();
        for (folder, root, holds_lone_trials) in jobs {
            let known = self.known.remove(&folder);
            let glance = match &known {
                Some(known) => Glance {
                    id: known.uuid.clone(),
                    started: known.created.map(|at| at.0),
                },
                None if is_only_one => Glance::default(),
                None => glance_at(&folder).unwrap_or_default(),
            };
            match glance.id {
                Some(id) => folders_by_id.entry(id).or_default().push(folder.clone()),
                None => drop(self.held_back.insert(folder.clone())),
            }
            let age = glance.started.or_else(|| {
                let version = FileVersion::for_directory(&folder)?;
                Some(version.modified().0)
            });
            let job = UnreadJob {
                folder,
                root,
                holds_lone_trials,
                known,
            };
            unread.push((age, job));
        }
        unread.sort_by(|(a, job), (b, other)| (b, &other.folder).cmp(&(a, &job.folder)));
        self.waiting = unread.into_iter().map(|(_, job)| job).collect();
        for (id, folders) in folders_by_id {
            match folders.as_slice() {
                [folder] => drop(self.folders_by_id.insert(id, folder.clone())),
                several => self.held_back.extend(several.iter().cloned()),
            }
        }
        self.known = BTreeMap::new();
    }

    /// Returns the next job to read; `None` if all are, or are being read.
    pub(crate) fn next(&mut self) -> Option<UnreadJob> {
        let next = self.waiting.pop_front();
        self.in_work += usize::from(next.is_some());
        next
    }

    /// Records that a job was read and how many trials wait to be delivered.
    pub(crate) fn record_read(&mut self, folder: &Path, undelivered: usize) {
        self.in_work = self.in_work.saturating_sub(1);
        if undelivered > 0 {
            self.undelivered.insert(folder.to_owned(), undelivered);
        }
    }

    /// Whether all jobs were read, so that [`FirstReading::finish`] is due.
    pub(crate) fn has_read_all(&self) -> bool {
        self.stage == Stage::Running && self.waiting.is_empty() && self.in_work == 0
    }

    /// Ends it; returns the changes that were reported meanwhile.
    pub(crate) fn finish(&mut self) -> PendingChanges {
        let stashed = std::mem::take(&mut self.stashed);
        *self = Self {
            stage: Stage::Done,
            ..Self::default()
        };
        stashed
    }

    /// Records that a job was delivered, or that its content is not kept.
    pub(crate) fn record_delivered(&mut self, folder: &Path) {
        self.undelivered.remove(folder);
    }

    /// Whether so much waits to be delivered that reading has to wait.
    pub(crate) fn is_backlog_full(&self) -> bool {
        self.undelivered.values().sum::<usize>() >= MAX_UNDELIVERED
    }

    /// Returns the jobs that wait to be delivered.
    pub(crate) fn undelivered(&self) -> Vec<PathBuf> {
        self.undelivered.keys().cloned().collect()
    }

    /// Returns the jobs that must not be published yet.
    pub(crate) fn held_back(&self) -> &BTreeSet<PathBuf> {
        &self.held_back
    }

    /// Has the job with this id or folder's name read next.
    pub(crate) fn prefer(&mut self, id: &str) {
        let by_id = self.folders_by_id.get(id);
        let is_it = |job: &UnreadJob| {
            Some(&job.folder) == by_id || job.folder.file_name().is_some_and(|name| name == id)
        };
        if let Some(at) = self.waiting.iter().position(is_it)
            && let Some(job) = self.waiting.remove(at)
        {
            self.waiting.push_front(job);
        }
    }

    /// Returns how far it is, while it runs.
    pub(crate) fn progress(&self) -> Option<Reading> {
        let left = self.waiting.len() + self.in_work;
        self.is_running().then(|| Reading {
            done: self.total.saturating_sub(left) as u64,
            total: self.total as u64,
        })
    }

    /// Returns how long ago it began.
    pub(crate) fn running_for(&self) -> Duration {
        self.began.map(|began| began.elapsed()).unwrap_or_default()
    }
}

impl UnreadJob {
    /// Reads the job, unless it is as an earlier process delivered it.
    pub(crate) fn read(self, now: UnixMs) -> ReadJob {
        let mut reader = FileReader::new(now);
        if let Some(known) = self.known
            && look_at_job(&self.folder, now) == Fingerprint::Known(known.archive.fingerprint)
        {
            let job = JobSnapshot::from_archive(self.folder.clone(), known.archive.clone(), now);
            return ReadJob {
                folder: self.folder,
                job: Some(job),
                known: Some(known),
                files_read: 0,
            };
        }
        reader.set_root(&self.root);
        let mut job = JobSnapshot::new(self.folder.clone(), now);
        job.set_holds_lone_trials(self.holds_lone_trials);
        let found = job.refresh(&mut reader, ScanDepth::EveryTrial);
        ReadJob {
            folder: self.folder,
            job: found.map(|_| job),
            known: None,
            files_read: reader.files_read,
        }
    }
}

/// Reads the id and the start of a job from its result, which decide in which order jobs are read.
fn glance_at(folder: &Path) -> Option<Glance> {
    let mut reader = FileReader::new(UnixMs(0));
    let text = reader.read_uncached(&folder.join("result.json"))?;
    let top = json::parse(&text)?.object();
    let started = top.text("started_at");
    let started = started.and_then(|text| WrittenTime::parse(&text));
    Some(Glance {
        id: top.text("id"),
        started: started.map(|time| time.as_if_utc().0),
    })
}
