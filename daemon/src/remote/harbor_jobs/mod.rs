//! Harbor jobs directories as a remote.
//!
//! Owns reading the files that Harbor writes and deriving runs, evaluation
//! runs and trials from them. `docs/harbor.md` says what becomes of what.
//! Every question is one look at the directories; files are read only when they
//! changed since the look before.

mod artifact_list;
mod artifacts;
mod derive;
mod file;
mod follow;
mod job_files;
mod json;
mod live;
mod look;
mod objects;
mod process;
mod roots;
mod seen;
mod stop;
mod times;
mod told;
mod trial_files;
mod view;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use docks_proto::object::{RawObject, RunFields};
use docks_proto::routes::{Action, RunKind};
use docks_proto::time::UnixMs;

pub use self::artifacts::file_uri;
use self::follow::Inbox;
use self::live::{Live, Pace};
use self::look::{Index, OutOfReach};
use self::process::Processes;
use self::roots::Root;
use self::seen::Depth;
use self::stop::Hardness;
use self::told::Tellings;
use super::{Fetched, Following, News, Page, PageRequest, Remote, RemoteError, Traits, Validator};

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

#[derive(Debug)]
struct State {
    index: Index,
    tellings: Tellings,
    live: Live,
}

impl HarborJobs {
    /// Takes directories that may be out of reach for now, such as on a disk that is not mounted;
    /// looks at no job yet.
    #[must_use]
    pub fn new<D: AsRef<Path>>(dirs: impl IntoIterator<Item = D>, options: Options) -> Self {
        let dirs: Arc<[PathBuf]> = dirs.into_iter().map(|dir| dir.as_ref().into()).collect();
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
    pub fn open<D: AsRef<Path>>(
        dirs: impl IntoIterator<Item = D>,
        options: Options,
    ) -> Result<Self, RemoteError> {
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
            Err(RemoteError::Nonsense {
                why: format!("looking at a jobs directory did not end well: {e}"),
            })
        })
    }
}

impl State {
    fn new(dirs: &[PathBuf], options: &Options, inbox: &Arc<Inbox>) -> Self {
        let roots = dirs.iter().cloned().map(Root::new).collect();
        let processes = Processes::new(options.processes.clone());
        Self {
            index: Index::new(roots, processes, options.quiet_limit),
            tellings: Tellings::default(),
            live: Live::new(Arc::clone(inbox)),
        }
    }

    /// Looks at all jobs and tells them.
    ///
    /// # Errors
    ///
    /// When a directory is out of reach, though the jobs of the others were looked at and are told.
    fn look(&mut self, now: UnixMs, depth: Depth) -> Result<(), RemoteError> {
        let out_of_reach = self.steadily(|index| index.look(now, depth))?;
        self.tell(now)?;
        self.live.looked_at_all(&self.index, &self.tellings);
        match out_of_reach {
            Some(OutOfReach { path, why }) => Err(outage(path, why)),
            None => Ok(()),
        }
    }

    /// Looks at directories that stay where they are. One that is moved away under the look shows
    /// some of its files and not the others, so what was seen is not told.
    fn steadily<T>(&mut self, look: impl FnOnce(&mut Index) -> T) -> Result<T, RemoteError> {
        let looked = look(&mut self.index);
        match self.index.roots.iter().find(|root| !root.has_stayed()) {
            Some(root) => {
                // Whoever put another directory in its place will not tell a second time.
                self.live.look_again();
                let why = "it was moved or removed while it was looked at";
                Err(outage(root.given.clone(), why))
            }
            None => Ok(looked),
        }
    }

    fn tell(&mut self, now: UnixMs) -> Result<(), RemoteError> {
        self.tellings.update(&self.index, now).map_err(unwritable)?;
        self.live.told(&self.tellings);
        Ok(())
    }

    /// Looks at the job with an id, and at all jobs when none has it.
    fn look_for(&mut self, id: &str, now: UnixMs) -> Result<PathBuf, RemoteError> {
        let known = self.tellings.find(id).map(|(folder, _)| folder.clone());
        if let Some(folder) = known.filter(|folder| self.index.would_show(folder)) {
            self.steadily(|index| {
                index.look_at(std::slice::from_ref(&folder), now, Depth::Every);
            })?;
            self.tell(now)?;
            self.live.looked_at(&self.index, [&folder].into_iter());
            if self
                .tellings
                .find(id)
                .is_some_and(|(now, _)| *now == folder)
            {
                return Ok(folder);
            }
        }
        self.look(now, Depth::Every)?;
        match self.tellings.find(id) {
            Some((folder, _)) => Ok(folder.clone()),
            None => Err(self.not_found(id)),
        }
    }

    fn not_found(&self, what: &str) -> RemoteError {
        RemoteError::Files {
            path: self.index.roots[0].dir.join(what),
            source: std::io::ErrorKind::NotFound.into(),
        }
    }

    fn run(&mut self, kind: RunKind, id: &str, now: UnixMs) -> Result<RawObject, RemoteError> {
        self.look_for(id, now)?;
        // A folder's name finds its job, too, but what is asked for here is a full id:
        // another object would be taken for an answer that makes no sense.
        let found = self.tellings.find(id);
        found
            .map(|(_, told)| told.object(kind).clone())
            .filter(|object| RunFields::of(object).id.text().as_deref() == Some(id))
            .ok_or_else(|| self.not_found(id))
    }

    fn trials(&mut self, run: &str, now: UnixMs) -> Result<Vec<RawObject>, RemoteError> {
        let folder = self.look_for(run, now)?;
        let told = self
            .tellings
            .trials(&self.index, &folder)
            .map_err(unwritable)?;
        let trials = told.map(<[_]>::to_vec);
        trials.ok_or_else(|| self.not_found(run))
    }
}

fn outage(path: PathBuf, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> RemoteError {
    RemoteError::Files {
        path,
        // Never "not found": that would say of every job that it is gone.
        source: std::io::Error::other(why),
    }
}

fn unwritable(e: serde_json::Error) -> RemoteError {
    RemoteError::Nonsense {
        why: format!("a job cannot be written as JSON: {e}"),
    }
}

/// Hashes texts: FNV-1a with their lengths, the same in every build, since validators outlive the process.
fn hash<'a>(texts: impl Iterator<Item = &'a [u8]>) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut eat = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    for text in texts {
        text.len().to_le_bytes().into_iter().for_each(&mut eat);
        text.iter().copied().for_each(&mut eat);
    }
    hash
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
    fn traits(&self) -> Traits {
        Traits {
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
                let id = docks_proto::object::TrialFields::of(object).id.text();
                id.as_deref() == Some(&trial)
            });
            found.ok_or_else(|| state.not_found(&trial))
        })
        .await
    }

    async fn changed(&self) {
        self.wait_for_news().await;
    }

    async fn news(&self) -> Result<News, RemoteError> {
        self.looking(State::news).await
    }

    fn following(&self) -> Following {
        self.inbox.following()
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
