//! The threads that read all jobs for the first time, and how long requests wait for them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::Duration;

use docks_proto::time::UnixMs;
use docksd_remote::Reading;

use crate::first_reading::ReadJob;
use crate::options::WallClock;
use crate::snapshot::job_snapshot::ScanDepth;
use crate::snapshot::jobs_directory::JobsDirectory;
use crate::state::State;

/// Threads that read, at most: more of them gain little, and others use the machine, too.
const MAX_THREADS: usize = 2;
/// How long reading waits for what was read to be delivered; then its content is not kept, and is read again later.
const DELIVERY_PATIENCE: Duration = Duration::from_millis(500);

/// How requests and the threads that read share what is known.
#[derive(Debug, Clone)]
pub(crate) struct SharedState {
    /// What is known.
    pub(crate) state: Arc<Mutex<State>>,
    /// Wakes those that wait for the first reading.
    pub(crate) progressed: Arc<Condvar>,
}

/// What a request waits for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum WaitFor<'a> {
    /// What is known after this time since the reading began.
    SomeJobs(Duration),
    /// The job with this id or folder's name.
    Job(&'a str),
}

impl State {
    /// Finds all jobs, and prepares to read them.
    fn begin_first_reading(&mut self, now: UnixMs) {
        for directory in &mut self.snapshot.directories {
            directory.locate().ok();
        }
        if self.is_followed {
            self.tracker.start_watching(&self.snapshot);
        }
        let found = self.snapshot.search(now);
        self.tracker.before_first_reading(found.jobs.iter());
        self.tracker.begin_full_scan(now);
        let jobs = found.jobs.into_iter().map(|folder| {
            let root = self.snapshot.root_of(&folder);
            let root = root.unwrap_or(&folder).to_owned();
            let holds_lone_trials = found.lone_trials.contains(&folder);
            (folder, root, holds_lone_trials)
        });
        self.first_reading.begin(jobs.collect());
    }

    /// Publishes a job that was read.
    fn add_read(&mut self, read: ReadJob, now: UnixMs) {
        let ReadJob {
            folder,
            job,
            known,
            files_read,
        } = read;
        self.snapshot.files_read += files_read;
        let mut undelivered = 0;
        // A directory that was moved meanwhile was read in part; the scan at the end reads it again.
        let is_unmoved = self
            .snapshot
            .directories
            .iter()
            .all(JobsDirectory::is_unmoved);
        let is_unread = !self.snapshot.jobs.contains_key(&folder);
        if let Some(job) = job.filter(|_| is_unmoved && is_unread) {
            if let Some(known) = known {
                self.tracker.record_known(&folder, job.version);
                self.published.restore(known, &job);
            } else if job.is_finished() && self.is_followed {
                undelivered = job.trial_count();
            }
            self.snapshot.add_read(folder.clone(), job, now);
        }
        self.first_reading.record_read(&folder, undelivered);
        let progress = self.first_reading.progress();
        self.tracker.queue.set_reading(progress);
        self.tracker
            .after_scan(&self.snapshot, [&folder].into_iter());
        if let Err(error) = self.publish(now) {
            tracing::debug!(%error, "could not publish a job that was read");
        }
    }

    /// Ends the first reading by a scan: of jobs that run, of what appeared meanwhile, and of the ids of copies.
    fn finish_first_reading(&mut self, now: UnixMs) {
        let stashed = self.first_reading.finish();
        self.tracker.queue.set_reading(None);
        self.published.forget_holders();
        if let Err(error) = self.scan(now, ScanDepth::SkipSettled) {
            tracing::debug!(%error, "not all of a jobs directory could be read");
        }
        self.tracker.queue.record(stashed);
        // Those who wait for changes learn that lists are whole now.
        self.tracker.queue.mark_undelivered();
    }

    /// Keeps only fingerprints of the finished jobs that nobody takes.
    fn archive_undelivered(&mut self, now: UnixMs) {
        for folder in self.first_reading.undelivered() {
            self.archive(&folder, now);
        }
    }
}

impl SharedState {
    /// Begins the first reading if need be, and waits for a part of it. Returns how far it is; `None` when it has ended.
    ///
    /// Fails only if a thread has panicked; the next call starts anew.
    pub(crate) fn wait(&self, what: WaitFor<'_>, now: &WallClock) -> Option<Reading> {
        let mut state = self.state.lock().ok()?;
        if state.first_reading.has_not_begun() {
            state.begin_first_reading(now());
            let has_threads = !state.first_reading.has_read_all() && self.start_threads(now);
            if !has_threads {
                state.finish_first_reading(now());
            }
        }
        loop {
            if state.first_reading.is_done() {
                return None;
            }
            let progress = state.first_reading.progress();
            state.tracker.queue.set_reading(progress);
            let patience = match what {
                // A caller that does not wait for changes needs all of it.
                WaitFor::SomeJobs(_) if !state.is_followed => DELIVERY_PATIENCE,
                WaitFor::SomeJobs(patience) => {
                    let left = patience.saturating_sub(state.first_reading.running_for());
                    if left.is_zero() || state.first_reading.is_backlog_full() {
                        return progress;
                    }
                    left
                }
                WaitFor::Job(id) => {
                    if state.published.find(id).is_some() {
                        return progress;
                    }
                    state.first_reading.prefer(id);
                    DELIVERY_PATIENCE
                }
            };
            state = self.progressed.wait_timeout(state, patience).ok()?.0;
        }
    }

    /// Starts the threads; returns whether there is any.
    fn start_threads(&self, now: &WallClock) -> bool {
        let mut has_started = false;
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..processors.min(MAX_THREADS) {
            let reader = ReaderThread {
                state: Arc::downgrade(&self.state),
                progressed: Arc::clone(&self.progressed),
                now: WallClock::clone(now),
            };
            let builder = std::thread::Builder::new().name("harbor-reader".into());
            match builder.spawn(move || reader.run()) {
                Ok(_thread) => has_started = true,
                Err(error) => tracing::warn!(%error, "could not start a thread that reads jobs"),
            }
        }
        has_started
    }
}

/// A thread that reads jobs until none is left, or nobody needs them any more.
struct ReaderThread {
    state: Weak<Mutex<State>>,
    progressed: Arc<Condvar>,
    now: WallClock,
}

impl ReaderThread {
    fn run(&self) {
        while self.read_one().is_some() {}
    }

    /// Reads one job; `None` when there is nothing left to do.
    fn read_one(&self) -> Option<()> {
        let shared = self.state.upgrade()?;
        let mut state = shared.lock().ok()?;
        if state.first_reading.is_backlog_full() {
            let wait = |state: &mut State| state.first_reading.is_backlog_full();
            let waited = self
                .progressed
                .wait_timeout_while(state, DELIVERY_PATIENCE, wait);
            state = waited.ok()?.0;
            if state.first_reading.is_backlog_full() {
                state.archive_undelivered((self.now)());
            }
        }
        let job = state.first_reading.next()?;
        drop(state);
        let folder: PathBuf = job.folder.clone();
        let now = (self.now)();
        let read = catch_unwind(AssertUnwindSafe(|| job.read(now)));
        // The scan at the end reads it again.
        let read = read.unwrap_or(ReadJob {
            folder,
            job: None,
            known: None,
            files_read: 0,
        });
        let mut state = shared.lock().ok()?;
        state.add_read(read, now);
        if state.first_reading.has_read_all() {
            state.finish_first_reading((self.now)());
        }
        self.progressed.notify_all();
        Some(())
    }
}
