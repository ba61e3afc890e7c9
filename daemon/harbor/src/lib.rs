//! Harbor jobs directories as a remote.
//!
//! Owns reading the files that Harbor writes and deriving runs, evaluation
//! runs and trials from them. `docs/harbor.md` says what becomes of what.
//! Every question is one look at the directories; files are read only when they
//! changed since the look before.

mod changes;
mod derive;
mod disk;
mod follow;
mod format;
mod objects;
mod published_jobs;
mod snapshot;
mod state;
mod stop;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use docks_proto::hash::Fnv1a64;
use docks_proto::object::RawObject;
use docks_proto::routes::{Action, RunKind};
use docks_proto::time::UnixMs;

use crate::changes::Pace;
use crate::follow::Inbox;
use crate::snapshot::jobs_directory::Root;
pub use crate::snapshot::trial_files::file_uri;
use crate::state::State;
use crate::stop::Hardness;
use docksd_remote::{
    ChangeDetection, Changes, Fetched, Page, PageRequest, Remote, RemoteError, RemoteProperties,
    Validator,
};

/// Tells the time; a type of its own so that tests can set it.
pub type Now = Arc<dyn Fn() -> UnixMs + Send + Sync>;

/// How a jobs directory is looked at.
#[derive(Clone)]
pub struct Options {
    /// Wall clock, held against the times of files.
    pub now: Now,
    /// Where Linux shows its processes.
    pub processes: PathBuf,
    /// Where processes cannot be seen: a job whose files rest longer than this has ended.
    pub quiet_limit: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            now: Arc::new(UnixMs::now),
            processes: "/proc".into(),
            // Harbor is silent during long agent runs, but some log grows more often than this.
            quiet_limit: Duration::from_secs(600),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("processes", &self.processes)
            .field("quiet_limit", &self.quiet_limit)
            .finish_non_exhaustive()
    }
}

/// What looking cost so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Effort {
    /// Files that were opened and read.
    pub files_read: u64,
    /// Times that all processes of the system were gone through.
    pub process_scans: u64,
}

/// One or several Harbor jobs directories, as one remote.
#[derive(Debug, Clone)]
pub struct HarborJobs {
    dirs: Arc<[PathBuf]>,
    options: Options,
    state: Arc<Mutex<State>>,
    inbox: Arc<Inbox>,
    pace: Arc<Pace>,
}

impl HarborJobs {
    /// Takes directories that may be out of reach for now, such as on a disk that is not mounted;
    /// looks at no job yet.
    #[must_use]
    pub fn new(dirs: &[impl AsRef<Path>], options: Options) -> Self {
        let dirs: Arc<[PathBuf]> = dirs.iter().map(|dir| dir.as_ref().into()).collect();
        let inbox = Arc::default();
        let state = State::new(&dirs, &options, &inbox);
        Self {
            dirs,
            options,
            state: Arc::new(Mutex::new(state)),
            inbox,
            pace: Arc::default(),
        }
    }

    /// The same for directories that have to be there now.
    ///
    /// # Errors
    ///
    /// When one is not there or is no directory of jobs.
    pub fn open(dirs: &[impl AsRef<Path>], options: Options) -> Result<Self, RemoteError> {
        let this = Self::new(dirs, options);
        for dir in this.dirs.iter() {
            Root::new(dir.clone())
                .find()
                .map_err(|source| RemoteError::Files {
                    path: dir.clone(),
                    source,
                })?;
        }
        Ok(this)
    }

    /// Returns what looking cost so far. Blocks while a look is under way.
    #[must_use]
    pub fn effort(&self) -> Effort {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Effort {
            files_read: state.index.opened,
            process_scans: state.index.processes.scans,
        }
    }

    /// Runs a look on a thread that may block.
    async fn looking<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut State, UnixMs) -> Result<T, RemoteError> + Send + 'static,
    ) -> Result<T, RemoteError> {
        let this = self.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let mut state = this.state.lock().unwrap_or_else(|poisoned| {
                // A look that panicked may have left half of one; start anew.
                this.state.clear_poison();
                let mut state = poisoned.into_inner();
                *state = State::new(&this.dirs, &this.options, &this.inbox);
                state
            });
            look(&mut state, (this.options.now)())
        });
        looked.await.unwrap_or_else(|e| {
            Err(RemoteError::InvalidResponse {
                why: format!("looking at a jobs directory did not end well: {e}"),
            })
        })
    }
}

/// Hashes texts with their lengths; the same in every build, since validators outlive the process.
fn hash<'a>(texts: impl Iterator<Item = &'a [u8]>) -> u64 {
    let mut hash = Fnv1a64::default();
    for text in texts {
        hash.write(&text.len().to_le_bytes());
        hash.write(text);
    }
    hash.finish()
}

/// Answers with the value, or that it is as before.
fn fetched<T>(hash: u64, old: Option<&Validator>, value: impl FnOnce() -> T) -> Fetched<T> {
    let validator = validator_of(hash);
    if old == Some(&validator) {
        return Fetched::NotModified;
    }
    Fetched::New {
        value: value(),
        validator: Some(validator),
    }
}

fn validator_of(hash: u64) -> Validator {
    Validator(format!("\"harbor-{hash:016x}\""))
}

fn fetched_page(objects: Vec<RawObject>, old: Option<&Validator>) -> Fetched<Page> {
    let hash = hash(objects.iter().map(|object| object.text().as_bytes()));
    fetched(hash, old, || page_of(objects))
}

fn page_of(objects: Vec<RawObject>) -> Page {
    Page {
        total: Some(objects.len() as u64),
        objects,
        ..Page::default()
    }
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

    async fn list(
        &self,
        kind: RunKind,
        _page: &PageRequest,
        validator: Option<&Validator>,
    ) -> Result<Fetched<Page>, RemoteError> {
        let validator = validator.cloned();
        self.looking(move |state, now| {
            let depth = state.live.depth(now);
            state.look(now, depth)?;
            let jobs = state.tellings.newest_first();
            let objects = jobs
                .into_iter()
                .map(|told| told.object(kind).clone())
                .collect();
            Ok(fetched_page(objects, validator.as_ref()))
        })
        .await
    }

    async fn run(
        &self,
        kind: RunKind,
        id: &str,
        validator: Option<&Validator>,
    ) -> Result<Fetched<RawObject>, RemoteError> {
        let (id, validator) = (id.to_owned(), validator.cloned());
        self.looking(move |state, now| {
            let object = state.run(kind, &id, now)?;
            let hash = hash(std::iter::once(object.text().as_bytes()));
            Ok(fetched(hash, validator.as_ref(), || object))
        })
        .await
    }

    async fn trials(
        &self,
        run: &str,
        validator: Option<&Validator>,
    ) -> Result<Fetched<Page>, RemoteError> {
        let (run, validator) = (run.to_owned(), validator.cloned());
        self.looking(move |state, now| {
            let objects = state.trials(&run, now)?;
            Ok(fetched_page(objects, validator.as_ref()))
        })
        .await
    }

    async fn trial(&self, run: &str, trial: &str) -> Result<RawObject, RemoteError> {
        let (run, trial) = (run.to_owned(), trial.to_owned());
        self.looking(move |state, now| {
            let trials = state.trials(&run, now)?;
            let found = trials.into_iter().find(|object| {
                let id = docks_proto::object::TrialFields::from_object(object)
                    .id
                    .text();
                id.as_deref() == Some(&trial)
            });
            found.ok_or_else(|| state.not_found(&trial))
        })
        .await
    }

    async fn wait_for_changes(&self) {
        self.wait_for_news().await;
    }

    async fn take_changes(&self) -> Result<Changes, RemoteError> {
        self.looking(State::news).await
    }

    fn change_detection(&self) -> ChangeDetection {
        self.inbox.change_detection()
    }

    async fn act(&self, action: Action, id: &str) -> Result<RawObject, RemoteError> {
        let id = id.to_owned();
        self.looking(move |state, now| state.act(action, &id, Hardness::Gentle, now))
            .await
    }

    async fn kill(&self, action: Action, id: &str) -> Result<RawObject, RemoteError> {
        let id = id.to_owned();
        self.looking(move |state, now| state.act(action, &id, Hardness::MayKill, now))
            .await
    }
}
