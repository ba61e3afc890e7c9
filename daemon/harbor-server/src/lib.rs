//! `harbor serve` as a remote.
//!
//! Asks the server's tables what changed (`poll`), keeps a small index of its jobs (`job`, `attempts`), and lets
//! [`docksd_harbor::served`] build the objects. The trials themselves are kept only of jobs that have not ended or
//! are being looked at, and of one whose results are being read: the mirror has the others, and gives back the runs after
//! a restart ([`Remote::resume`]) and the results that it has of the trials ([`Archive`]).

// What strangers send is read here: a wrong index must not end the program.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::string_slice))]

mod actions;
mod archive;
mod attempts;
mod client;
mod files;
mod job;
mod poll;
mod queries;
mod read_job;
mod rollouts;
mod take_changes;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use docks_proto::client::Limits;
use docks_proto::error::RemoteErrorBody;
use docks_proto::file_list::FileList;
use docks_proto::object::{RawObject, TrialFields};
use docks_proto::routes::{Action, ProcessStop, RunKind};
use docks_proto::settings::TrustSettings;
use docksd_harbor::validators::{fetched, fetched_page, hash_objects, validator as hash_validator};
use docksd_remote::{
    ChangeDetection, Changes, DeliveredRun, Fetched, Page, PageRequest, Remote, RemoteError,
    RemoteProperties, TokenSource, Validator,
};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, MutexGuard, Notify, oneshot};
use tokio::time::Instant;

pub use crate::archive::Archive;
use crate::client::ServerClient;
use crate::job::Job;
use crate::poll::{Poller, State};

/// How long an answer about one job waits for the results of its trials; the others follow.
const RESULTS_TIME: Duration = Duration::from_secs(1);

/// A server.
pub struct HarborServer(Arc<Server>);

/// What is known of a server, and how it is asked.
struct Server {
    client: ServerClient,
    archive: Arc<dyn Archive>,
    state: Mutex<State>,
    /// The number of polls that began.
    polls: AtomicU64,
    changed: Notify,
    wake_at: std::sync::Mutex<Option<Instant>>,
    rescheduled: Notify,
}

impl HarborServer {
    /// Creates a remote without connecting. `base` is the server's address without a slash at its end.
    ///
    /// # Errors
    ///
    /// When no request can be sent to the address.
    pub fn new(
        base: &str,
        limits: Limits,
        tokens: Arc<dyn TokenSource>,
        trust: impl Fn() -> TrustSettings + Send + Sync + 'static,
        archive: Arc<dyn Archive>,
    ) -> Result<Self, RemoteError> {
        Ok(Self(Arc::new(Server {
            client: ServerClient::new(base, limits, tokens, trust)?,
            archive,
            state: Mutex::default(),
            polls: AtomicU64::new(0),
            changed: Notify::new(),
            wake_at: std::sync::Mutex::default(),
            rescheduled: Notify::new(),
        })))
    }

    /// Runs a call outside the runtime's threads: parsing thousands of rows and building as many objects would
    /// keep these from answering others. A call that nobody waits for any more ends.
    async fn run_apart<T, F>(&self, call: F) -> Result<T, RemoteError>
    where
        T: Send + 'static,
        F: AsyncFnOnce(Arc<Server>) -> Result<T, RemoteError> + Send + 'static,
    {
        let (alive, gone) = oneshot::channel::<()>();
        let (server, runtime) = (Arc::clone(&self.0), Handle::current());
        let task = tokio::task::spawn_blocking(move || {
            runtime.block_on(async {
                tokio::select! {
                    result = call(server) => result,
                    _ = gone => Err(client::invalid("nobody waits for the answer")),
                }
            })
        });
        let result = task.await;
        drop(alive);
        result.unwrap_or_else(|error| {
            Err(client::invalid(format!(
                "reading the server failed: {error}"
            )))
        })
    }
}

impl Server {
    fn poller(&self) -> Poller<'_> {
        Poller {
            client: &self.client,
            archive: self.archive.as_ref(),
            now: Instant::now(),
        }
    }

    /// Returns the state as of a poll that began after this call. All who wait for one share it.
    async fn refreshed(&self) -> Result<MutexGuard<'_, State>, RemoteError> {
        let begun = self.polls.load(Ordering::SeqCst);
        let mut state = self.state.lock().await;
        if state.succeeded_poll > begun {
            return Ok(state);
        }
        let number = self.polls.fetch_add(1, Ordering::SeqCst) + 1;
        self.poller().poll(&mut state).await?;
        state.succeeded_poll = number;
        if state.has_undelivered() {
            self.changed.notify_one();
        }
        Ok(state)
    }

    /// Reads a job as far as an answer about it alone needs, and returns its id.
    async fn look_at(
        &self,
        state: &mut State,
        id: &str,
        with_results: bool,
    ) -> Result<String, RemoteError> {
        let id = state.find(id)?;
        let poller = self.poller();
        if state.jobs.get(&id).is_some_and(|job| !job.is_read()) {
            poller.read_job(state, &id).await?;
        }
        let Some(job) = state.jobs.get_mut(&id) else {
            return Err(not_found(&id));
        };
        let was_watched = job.looked_at.replace(poller.now);
        if was_watched.is_none() && !job.state.has_ended() {
            // Without its phase a trial is shown as running, which it is.
            drop(poller.read_phases_of(state, &id).await);
        }
        let Some(job) = state.jobs.get_mut(&id) else {
            return Err(not_found(&id));
        };
        if with_results {
            poller.read_results(job, RESULTS_TIME).await?;
        }
        if job.rebuild()? {
            job.is_undelivered = true;
            self.changed.notify_one();
        }
        Ok(id)
    }

    /// Returns the trials of a job, which are read if they are not kept.
    async fn trials_of(&self, state: &mut State, id: &str) -> Result<Vec<RawObject>, RemoteError> {
        if state.jobs.get(id).is_some_and(|job| job.attempts.is_none()) {
            self.poller().read_job(state, id).await?;
        }
        let job = state.jobs.get_mut(id).ok_or_else(|| not_found(id))?;
        self.poller().read_results(job, RESULTS_TIME).await?;
        job.rebuild()?;
        let trials = job.trial_objects(self.client.base())?;
        trials.ok_or_else(|| not_found(id))
    }
}

impl Server {
    async fn list(
        &self,
        kind: RunKind,
        validator: Option<&Validator>,
    ) -> Result<Fetched<Page>, RemoteError> {
        let state = self.refreshed().await?;
        let mut jobs: Vec<&Job> = state.jobs.values().collect();
        jobs.sort_by(|a, b| (b.created_us, &b.id).cmp(&(a.created_us, &a.id)));
        let objects = jobs.into_iter().filter_map(|job| job.object(kind).cloned());
        Ok(fetched_page(objects.collect(), validator))
    }

    async fn run(
        &self,
        kind: RunKind,
        id: &str,
        validator: Option<&Validator>,
    ) -> Result<Fetched<RawObject>, RemoteError> {
        let mut state = self.refreshed().await?;
        let id = self.look_at(&mut state, id, false).await?;
        let job = state.jobs.get(&id).ok_or_else(|| not_found(&id))?;
        let object = job.object(kind).cloned().ok_or_else(|| not_found(&id))?;
        let hash = hash_objects(std::slice::from_ref(&object));
        Ok(fetched(hash_validator(hash), validator, || object))
    }

    async fn trials(
        &self,
        run: &str,
        validator: Option<&Validator>,
    ) -> Result<Fetched<Page>, RemoteError> {
        let mut state = self.refreshed().await?;
        let id = self.look_at(&mut state, run, true).await?;
        let settled = |state: &State| state.jobs.get(&id).and_then(Job::settled_validator);
        if validator.is_some() && settled(&state).as_ref() == validator {
            return Ok(Fetched::NotModified);
        }
        let trials = self.trials_of(&mut state, &id).await?;
        match settled(&state) {
            Some(settled) => Ok(Fetched::New {
                value: docksd_harbor::validators::page(trials),
                validator: Some(settled),
            }),
            None => Ok(fetched_page(trials, validator)),
        }
    }

    async fn trial(&self, run: &str, trial: &str) -> Result<RawObject, RemoteError> {
        let mut state = self.refreshed().await?;
        let id = self.look_at(&mut state, run, false).await?;
        let trials = self.trials_of(&mut state, &id).await?;
        let job = state.jobs.get(&id).ok_or_else(|| not_found(&id))?;
        let attempts = job.attempts.as_ref();
        // The id of any attempt means the trial.
        let wanted = attempts.and_then(|attempts| attempts.trial_of(trial));
        let wanted = wanted.unwrap_or(trial);
        let has_id = |object: &RawObject| {
            TrialFields::from_object(object).id.text().as_deref() == Some(wanted)
        };
        let found = trials.into_iter().find(has_id);
        found.ok_or_else(|| not_found(trial))
    }
}

#[async_trait]
impl Remote for HarborServer {
    fn properties(&self) -> RemoteProperties {
        RemoteProperties {
            kind: "harbor_server",
            metered: false,
            whole_lists: true,
        }
    }

    fn resume(&self, delivered: Vec<DeliveredRun>) {
        // Nothing else is called before, so the lock is free.
        if let Ok(mut state) = self.0.state.try_lock() {
            state.restore(delivered);
        }
    }

    async fn list(
        &self,
        kind: RunKind,
        _page: &PageRequest,
        validator: Option<&Validator>,
    ) -> Result<Fetched<Page>, RemoteError> {
        let validator = validator.cloned();
        self.run_apart(async move |server| server.list(kind, validator.as_ref()).await)
            .await
    }

    async fn run(
        &self,
        kind: RunKind,
        id: &str,
        validator: Option<&Validator>,
    ) -> Result<Fetched<RawObject>, RemoteError> {
        let (id, validator) = (id.to_owned(), validator.cloned());
        self.run_apart(async move |server| server.run(kind, &id, validator.as_ref()).await)
            .await
    }

    async fn trials(
        &self,
        run: &str,
        validator: Option<&Validator>,
    ) -> Result<Fetched<Page>, RemoteError> {
        let (run, validator) = (run.to_owned(), validator.cloned());
        self.run_apart(async move |server| server.trials(&run, validator.as_ref()).await)
            .await
    }

    async fn trial(&self, run: &str, trial: &str) -> Result<RawObject, RemoteError> {
        let (run, trial) = (run.to_owned(), trial.to_owned());
        self.run_apart(async move |server| server.trial(&run, &trial).await)
            .await
    }

    async fn files(&self, run: &str, trial: Option<&str>) -> Result<Option<FileList>, RemoteError> {
        let (run, trial) = (run.to_owned(), trial.map(str::to_owned));
        self.run_apart(async move |server| server.files(&run, trial.as_deref()).await.map(Some))
            .await
    }

    async fn act(&self, action: Action, id: &str) -> Result<RawObject, RemoteError> {
        let id = id.to_owned();
        self.run_apart(async move |server| server.carry_out(action, &id).await)
            .await
    }

    async fn stop_process(
        &self,
        action: Action,
        id: &str,
        options: ProcessStop,
    ) -> Result<RawObject, RemoteError> {
        if options.pid.is_some() {
            let why = "a `harbor serve` stops its runs itself; stop them without `--pid`";
            return Err(RemoteError::Unsupported(why.to_owned()));
        }
        // The server interrupts its trials in any case, and their clean-up after a minute.
        self.act(action, id).await
    }

    async fn retry_trial(&self, run: &str, trial: &str) -> Result<RawObject, RemoteError> {
        let (run, trial) = (run.to_owned(), trial.to_owned());
        self.run_apart(async move |server| server.retry_trial(&run, &trial).await)
            .await
    }

    async fn wait_for_changes(&self) {
        self.0.wait_until_changed().await;
    }

    async fn take_changes(&self) -> Result<Changes, RemoteError> {
        self.run_apart(async move |server| server.deliver_changes().await)
            .await
    }

    fn change_detection(&self) -> ChangeDetection {
        ChangeDetection::Deltas
    }
}

impl State {
    /// Returns the id of the job with this id, or with this name if no other job has it.
    fn find(&self, id: &str) -> Result<String, RemoteError> {
        if self.jobs.contains_key(id) {
            return Ok(id.to_owned());
        }
        let mut named = self.jobs.values().filter(|job| job.name() == id);
        match (named.next(), named.next()) {
            (Some(job), None) => Ok(job.id.clone()),
            _ => Err(not_found(id)),
        }
    }

    fn has_undelivered(&self) -> bool {
        self.jobs.values().any(|job| {
            let is_behind = job.is_undelivered || !job.is_read() || job.lacks_results();
            is_behind || (job.attempts.is_some() && job.state.has_ended())
        })
    }
}

/// Returns the error for a job or trial that the server does not have.
fn not_found(what: &str) -> RemoteError {
    RemoteError::Status {
        status: 404,
        body: Box::new(RemoteErrorBody {
            message: Some(format!("the server has no `{what}`")),
            ..RemoteErrorBody::default()
        }),
        retry_after: None,
    }
}
