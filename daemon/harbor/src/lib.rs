//! Harbor jobs directories as a remote.
//!
//! Reads the files that Harbor writes, and derives runs, evaluation runs and trials from them;
//! `docs/harbor.md` says how. Each request scans the directories; files are read only if they changed
//! since the last scan.
//!
//! The layers, each of which imports only from those before it: `disk` reads files that others write,
//! `format` parses them, `snapshot` keeps what was read, `derive` computes states and figures,
//! `objects` builds the API's objects, `published_jobs` keeps these, and `follow` notices changes. Beside them,
//! `files` lists every file of a trial when somebody asks, and `rerun` says how its trials are run again.
//! [`served`] builds the same objects for `harbor serve`, from what that server says.

// What strangers send is read here: a wrong index must not end the program.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::string_slice))]

mod change_tracker;
mod derive;
mod disk;
mod files;
mod first_reading;
mod follow;
mod format;
mod hash;
mod job_ids;
mod known_jobs;
mod listed_trial;
mod live_trials;
mod objects;
mod options;
mod pacing;
mod published_jobs;
mod reader_threads;
mod rerun;
pub mod served;
mod snapshot;
mod state;
mod stop;
mod take_changes;
mod utc;
pub mod validators;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use docks_proto::object::{RawObject, TrialFields};
use docks_proto::routes::{Action, ProcessStop, RunKind};
use docks_proto::time::UnixMs;
use docksd_remote::{
    ChangeDetection, Changes, DeliveredRun, Fetched, Notice, Page, PageRequest, Reading, Remote,
    RemoteError, RemoteProperties, Validator,
};
use tokio::time::Instant;

pub use crate::disk::file_uri::file_uri;
pub use crate::files::{FileOwner, FoundFiles, file_type, is_listed, list_files, read_end};
use crate::follow::ChangeQueue;
use crate::hash::hash_texts;
use crate::known_jobs::KnownJob;
pub use crate::options::{Options, ScanCost, WallClock};
use crate::pacing::ScanPacing;
use crate::reader_threads::{SharedState, WaitFor};
pub use crate::rerun::{JobRerun, JobTrial, plan_rerun};
use crate::snapshot::jobs_directory::JobsDirectory;
use crate::state::State;
use crate::validators::{fetched, fetched_page, partial_page};

/// How often it is checked whether the directories are still there.
const MOVED_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// One or several Harbor jobs directories, as one remote.
#[derive(Debug, Clone)]
pub struct HarborJobs {
    dirs: Arc<[PathBuf]>,
    options: Options,
    shared: SharedState,
    queue: Arc<ChangeQueue>,
    pacing: Arc<ScanPacing>,
}

impl HarborJobs {
    /// Creates a remote of directories that need not be reachable now, for instance on a disk that is
    /// not mounted. Scans nothing yet.
    #[must_use]
    pub fn new(dirs: &[impl AsRef<Path>], options: Options) -> Self {
        let dirs: Arc<[PathBuf]> = dirs.iter().map(|dir| dir.as_ref().into()).collect();
        let queue = Arc::default();
        let state = State::new(&dirs, &options, &queue);
        Self {
            dirs,
            options,
            shared: SharedState {
                state: Arc::new(Mutex::new(state)),
                progressed: Arc::default(),
            },
            queue,
            pacing: Arc::default(),
        }
    }

    /// Like [`HarborJobs::new`], for directories that must exist now.
    ///
    /// # Errors
    ///
    /// When one does not exist or is not a directory of jobs.
    pub fn open(dirs: &[impl AsRef<Path>], options: Options) -> Result<Self, RemoteError> {
        let this = Self::new(dirs, options);
        for dir in this.dirs.iter() {
            JobsDirectory::new(dir.clone())
                .locate()
                .map_err(|source| RemoteError::Files {
                    path: dir.clone(),
                    source,
                })?;
        }
        Ok(this)
    }

    /// Returns what scanning has cost so far. Blocks during a scan.
    #[must_use]
    pub fn scan_cost(&self) -> ScanCost {
        let state = self.shared.state.lock();
        let state = state.unwrap_or_else(PoisonError::into_inner);
        ScanCost {
            files_read: state.snapshot.files_read,
            process_scans: state.snapshot.processes.scans,
        }
    }

    /// Waits for the first reading of all jobs, then runs a task that scans; on a thread that may block.
    async fn run_after<T: Send + 'static>(
        &self,
        wait: impl FnOnce(&SharedState, &WallClock) -> Option<Reading> + Send + 'static,
        task: impl FnOnce(&mut State, UnixMs) -> Result<T, RemoteError> + Send + 'static,
    ) -> Result<T, RemoteError> {
        let this = self.clone();
        let result = tokio::task::spawn_blocking(move || {
            wait(&this.shared, &this.options.now);
            let state = &this.shared.state;
            let mut state = state.lock().unwrap_or_else(|poisoned| {
                // A scan that panicked may have left the state inconsistent, so start with a new one.
                this.shared.state.clear_poison();
                let mut state = poisoned.into_inner();
                *state = State::new(&this.dirs, &this.options, &this.queue);
                state
            });
            let result = task(&mut state, (this.options.now)());
            drop(state);
            // What was delivered need not be kept, so that reading can go on.
            this.shared.progressed.notify_all();
            result
        });
        result.await.unwrap_or_else(|error| {
            Err(RemoteError::InvalidResponse {
                why: format!("scanning a jobs directory failed: {error}"),
            })
        })
    }
}

impl HarborJobs {
    /// Runs a task about a job when that was read.
    async fn run_when_read<T: Send + 'static>(
        &self,
        id: &str,
        task: impl FnOnce(&mut State, UnixMs) -> Result<T, RemoteError> + Send + 'static,
    ) -> Result<T, RemoteError> {
        let id = id.to_owned();
        self.run_after(move |shared, now| shared.wait(WaitFor::Job(&id), now), task)
            .await
    }
}

/// Waits for nothing.
fn at_once(_shared: &SharedState, _now: &WallClock) -> Option<Reading> {
    None
}

#[async_trait]
impl Remote for HarborJobs {
    fn properties(&self) -> RemoteProperties {
        RemoteProperties {
            kind: "harbor_jobs",
            metered: false,
            whole_lists: true,
        }
    }

    fn resume(&self, delivered: Vec<DeliveredRun>) {
        let known = delivered.into_iter().filter_map(KnownJob::from_delivered);
        let known = known.collect();
        if let Ok(mut state) = self.shared.state.lock() {
            state.first_reading.restore(known);
            state.is_followed = true;
        }
    }

    fn reading(&self) -> Option<Reading> {
        self.queue.reading()
    }

    async fn list(
        &self,
        kind: RunKind,
        _page: &PageRequest,
        validator: Option<&Validator>,
    ) -> Result<Fetched<Page>, RemoteError> {
        let validator = validator.cloned();
        let first_answer = self.options.first_answer;
        self.run_after(
            move |shared, now| shared.wait(WaitFor::SomeJobs(first_answer), now),
            move |state, now| {
                let is_partial = state.first_reading.is_running();
                if !is_partial {
                    let depth = state.tracker.next_depth(now);
                    state.scan(now, depth)?;
                }
                let jobs = state.published.newest_first();
                let objects = jobs.into_iter().map(|job| job.object(kind).clone());
                if is_partial {
                    return Ok(partial_page(objects.collect()));
                }
                Ok(fetched_page(objects.collect(), validator.as_ref()))
            },
        )
        .await
    }

    async fn run(
        &self,
        kind: RunKind,
        id: &str,
        validator: Option<&Validator>,
    ) -> Result<Fetched<RawObject>, RemoteError> {
        let (id, validator) = (id.to_owned(), validator.cloned());
        self.run_when_read(&id.clone(), move |state, now| {
            let object = state.run(kind, &id, now)?;
            let hash = hash_texts(std::iter::once(object.text().as_bytes()));
            Ok(fetched(
                validators::validator(hash),
                validator.as_ref(),
                || object,
            ))
        })
        .await
    }

    async fn trials(
        &self,
        run: &str,
        validator: Option<&Validator>,
    ) -> Result<Fetched<Page>, RemoteError> {
        let (run, validator) = (run.to_owned(), validator.cloned());
        self.run_when_read(&run.clone(), move |state, now| {
            state.trials(&run, validator.as_ref(), now)
        })
        .await
    }

    async fn trial(&self, run: &str, trial: &str) -> Result<RawObject, RemoteError> {
        let (run, trial) = (run.to_owned(), trial.to_owned());
        self.run_when_read(&run.clone(), move |state, now| {
            let Fetched::New { value: trials, .. } = state.trials(&run, None, now)? else {
                return Err(state.not_found(&trial));
            };
            let found = trials.objects.into_iter().find(|object| {
                let id = TrialFields::from_object(object).id.text();
                id.as_deref() == Some(&trial)
            });
            found.ok_or_else(|| state.not_found(&trial))
        })
        .await
    }

    async fn wait_for_changes(&self) {
        let begun = Instant::now();
        if self.pacing.begin_wait(begun) {
            let following = self.run_after(at_once, |state, _| {
                state.start_following();
                Ok(())
            });
            following.await.ok();
        }
        // There are no events about a directory whose parent is moved or whose disk is removed.
        while tokio::time::timeout(MOVED_CHECK_INTERVAL, self.queue.wait_until_pending())
            .await
            .is_err()
        {
            let unchanged = self.run_after(at_once, |state, _| {
                let mut directories = state.snapshot.directories.iter();
                Ok(directories.all(JobsDirectory::is_unchanged))
            });
            if !unchanged.await.unwrap_or(true) {
                break;
            }
        }
        if self.reading().is_some() {
            return;
        }
        let wait = self.pacing.remaining_wait(begun, Instant::now());
        tokio::time::sleep(wait).await;
        self.pacing.announce(Instant::now());
    }

    async fn take_changes(&self) -> Result<Changes, RemoteError> {
        self.run_after(
            |shared, now| shared.wait(WaitFor::SomeJobs(Duration::ZERO), now),
            State::take_changes,
        )
        .await
    }

    async fn deliver_whole(&self, run: &str) {
        let run = run.to_owned();
        let requested = self.run_after(at_once, move |state, _| {
            state.deliver_whole(&run);
            Ok(())
        });
        requested.await.ok();
    }

    fn notice(&self) -> Option<Notice> {
        self.queue.notice()
    }

    fn change_detection(&self) -> ChangeDetection {
        self.queue.change_detection()
    }

    async fn act(&self, action: Action, id: &str) -> Result<RawObject, RemoteError> {
        let id = id.to_owned();
        self.run_when_read(&id.clone(), move |state, now| {
            state.act(action, &id, ProcessStop::default(), now)
        })
        .await
    }

    async fn stop_process(
        &self,
        action: Action,
        id: &str,
        options: ProcessStop,
    ) -> Result<RawObject, RemoteError> {
        let id = id.to_owned();
        self.run_when_read(&id.clone(), move |state, now| {
            state.act(action, &id, options, now)
        })
        .await
    }
}
