//! Asking for runs: the daemon answers, else the remote itself while a daemon starts.
//!
//! Commands send a [`Request`] with a [`Requester`] and never learn who answered, except from the
//! freshness of the [`Response`]. What a remote cannot do itself, such as filters and prefixes of
//! ids, is done in [`direct`].
//!
//! The remote is asked instead of a daemon that is silent for a second. A jobs directory and
//! `--offline` have no other server than the daemon: there the command waits as long as the
//! daemon's process lives (see [`WaitPolicy`]).

mod daemon_endpoint;
mod daemon_process;
mod direct;
mod exclusive;
mod exposure;
mod foreign_file;
mod inherited_descriptors;
mod noted_action;
mod remote_headers;
mod request;
mod resolve;
mod selected_remote;
mod servers;
mod several_remotes;
mod start_daemon;
mod stop_daemon;
#[cfg(test)]
mod tests;
mod wait_policy;

use std::sync::atomic::{AtomicBool, Ordering};

use docks_proto::client::{Answer, Client, ClientError, SendError};
use docks_proto::freshness::CachePolicy;

use crate::context::Context;
use crate::environment::Environment;
use crate::failure::{Answerer, Failure};

pub(crate) use daemon_endpoint::DaemonEndpoint;
pub(crate) use exclusive::{FilesHolder, files_holder};
pub(crate) use exposure::warn_of_exposure;
pub(crate) use foreign_file::name_foreign_file;
pub(crate) use request::{Request, Response};
pub(crate) use selected_remote::{SelectedRemote, check_one_named, profile_flags};
pub(crate) use several_remotes::{NamedRemote, SeveralRemotes, settle_remotes};
pub(crate) use start_daemon::DaemonStarter;
pub(crate) use stop_daemon::{StopOutcome, stop};
pub(crate) use wait_policy::{WaitPolicy, when_slow, with_notice};

/// Sends requests to the daemon, or to the remote where the daemon does not answer.
#[derive(Debug)]
pub(crate) struct Requester<'a> {
    context: &'a Context,
    /// The remote that the options select.
    pub(crate) remote: SelectedRemote,
    starter: DaemonStarter,
    /// How long to wait where only the daemon can answer.
    patience: WaitPolicy<'a>,
    /// Set once the daemon was silent for a second; it is not waited for twice.
    was_silent: AtomicBool,
    /// Set once the user knows why the daemon did not start.
    start_problem_shown: AtomicBool,
    /// Set once the user knows that the daemon uses other proxies.
    other_proxies_shown: AtomicBool,
}

/// Who a request is sent to.
#[derive(Debug)]
enum Server {
    /// The daemon, as far as its socket shows.
    Daemon(Client),
    /// The remote itself.
    Remote {
        client: Client,
        /// Why not the daemon; `None` while one is being started or was switched off on purpose.
        reason: Option<String>,
    },
}

/// What has been tried for one request.
#[derive(Debug, Default)]
struct Attempts {
    daemon_failures: u8,
    /// The remote has failed, and the daemon was asked for what it remembers.
    asked_mirror: bool,
}

impl<'a> Requester<'a> {
    /// Resolves paths, settings and remote from the options and the environment.
    ///
    /// # Errors
    ///
    /// What is missing or wrong in options, environment or files.
    pub(crate) fn new(context: &'a Context) -> Result<Self, Failure> {
        Self::with_environment(context, Environment::of_process())
    }

    fn with_environment(context: &'a Context, environment: Environment) -> Result<Self, Failure> {
        Ok(Self {
            context,
            remote: SelectedRemote::new(&context.global, environment)?,
            starter: DaemonStarter::default(),
            patience: WaitPolicy::while_alive(&context.output),
            was_silent: AtomicBool::new(false),
            start_problem_shown: AtomicBool::new(false),
            other_proxies_shown: AtomicBool::new(false),
        })
    }

    /// Returns the same requester with another way to wait where only the daemon can answer.
    pub(crate) fn patience(mut self, patience: WaitPolicy<'a>) -> Self {
        self.patience = patience;
        self
    }

    /// Sends a request, with the age of the response that the options allow.
    ///
    /// # Errors
    ///
    /// Why nobody answered, or what was refused.
    pub(crate) async fn request(&self, request: Request<'_>) -> Result<Response, Failure> {
        let allowed = self.context.global.allowed();
        self.request_allowing(request, allowed).await
    }

    /// Sends a request to one server after the other until one answers.
    ///
    /// # Errors
    ///
    /// Why nobody answered, or what was refused.
    pub(crate) async fn request_allowing(
        &self,
        request: Request<'_>,
        allowed: CachePolicy,
    ) -> Result<Response, Failure> {
        let response = self.try_servers(request, allowed).await;
        if let Some(problem) = self.starter.problem()
            && !self.start_problem_shown.swap(true, Ordering::Relaxed)
        {
            self.context.output.warn(problem);
        }
        self.note_other_proxies();
        response
    }

    /// Returns a daemon that answers, starting it if need be: for what only it remembers.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(crate) async fn daemon(&self) -> Result<Client, Failure> {
        self.daemon_within(self.patience).await
    }

    /// Returns a client for the daemon if one is running; none is started.
    ///
    /// # Errors
    ///
    /// What is missing of the remote's settings.
    pub(crate) fn running_daemon(&self) -> Result<Client, Failure> {
        self.remote.daemon_client(self.patience)
    }

    /// As [`Self::daemon`], with another patience than the requester's own.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(crate) async fn daemon_within(&self, policy: WaitPolicy<'_>) -> Result<Client, Failure> {
        if let Some(switch) = self.remote.disabled_by {
            return Err(Failure::usage(format!(
                "only the daemon can do this, and {switch} switches it off"
            )));
        }
        self.starter
            .ensure_running(&self.remote.endpoint, policy)
            .await?;
        self.note_other_proxies();
        self.remote.daemon_client(policy)
    }

    async fn try_servers(
        &self,
        request: Request<'_>,
        allowed: CachePolicy,
    ) -> Result<Response, Failure> {
        let mut attempts = Attempts::default();
        let mut server = self.first_server().await?;
        loop {
            self.announce(&server);
            let (client, answerer, outcome) = match &server {
                Server::Daemon(client) => {
                    let sent = self.send_to_daemon(client, request, allowed);
                    let notice = || match self.policy() {
                        WaitPolicy::Limited => self.remote.wait_notice(),
                        WaitPolicy::WhileAlive { .. } => self.remote.endpoint.wait_notice(),
                    };
                    // Who asks the remote through the daemon waits as well.
                    let response = self.patience.notify(notice, sent).await;
                    (client, Answerer::Daemon, Ok(response))
                }
                Server::Remote { client, .. } => {
                    // On the heap, as all that few commands need: each level of callers would
                    // otherwise make room for it on the stack.
                    let sent = Box::pin(direct::send(client, request, self.context.now));
                    let notice = || self.remote.wait_notice();
                    let sent = Box::pin(self.patience.notify(notice, sent));
                    let response = match request {
                        Request::Act(action, run) | Request::StopProcess(action, run, _) => {
                            noted_action::with_note(&self.remote, action, run, sent).await
                        }
                        _ => sent.await,
                    };
                    (client, Answerer::Remote, response)
                }
            };
            self.context.output.debug_exchanges(answerer.name(), client);
            let error = match outcome? {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            if !request.may_be_repeated_after(&error) {
                return Err(Failure::from_client_error(&error, answerer));
            }
            let may_be_old = matches!(allowed, CachePolicy::Default | CachePolicy::OnlyIfCached);
            let next = match answerer {
                // After the remote has failed, the daemon was the last to ask.
                Answerer::Daemon if attempts.asked_mirror => None,
                Answerer::Daemon => Box::pin(self.after_daemon(&error, &mut attempts)).await?,
                Answerer::Remote if may_be_old => {
                    Box::pin(self.after_remote(&error, &mut attempts)).await
                }
                Answerer::Remote => None,
            };
            server = next.ok_or_else(|| Failure::from_client_error(&error, answerer))?;
        }
    }

    async fn send_to_daemon(
        &self,
        client: &Client,
        request: Request<'_>,
        allowed: CachePolicy,
    ) -> Result<Response, ClientError> {
        let answer = match request {
            Request::Runs(kind, query) => client.list_runs(kind, query, allowed).await?,
            Request::Run(kind, id) => client.run(kind, id, allowed).await?,
            Request::Trials(run, query) => client.trials(run, query, allowed).await?,
            Request::AllTrials(query) => client.all_trials(query, allowed).await?,
            Request::Trial(run, trial) => client.trial(run, trial, allowed).await?,
            Request::Files(run, trial) => client.files(run, trial, allowed).await?,
            Request::Act(action, id) => {
                // A daemon of another protocol is recognized before it does anything.
                client.ping().await.map_err(not_sent)?;
                client.perform(action, id).await?
            }
            Request::StopProcess(action, id, options) => {
                client.ping().await.map_err(not_sent)?;
                client.stop_process(action, id, options).await?
            }
            Request::RetryTrial(run, trial) => {
                client.ping().await.map_err(not_sent)?;
                client.retry_trial(run, trial).await?
            }
        };
        Ok(self.response(answer))
    }

    fn response(&self, answer: Answer) -> Response {
        Response {
            freshness: answer
                .freshness
                .unwrap_or_else(|| direct::confirmed_at(self.context.now)),
            total: answer.total,
            status_seen: answer.status_seen,
            body: answer.body,
        }
    }

    /// Says on stderr when the remote is asked instead of the daemon, and why.
    fn announce(&self, server: &Server) {
        let output = &self.context.output;
        match server {
            Server::Daemon(_) => {}
            Server::Remote {
                reason: Some(reason),
                ..
            } => output.note(format!("{reason}; asking the remote directly")),
            Server::Remote { .. } if self.remote.disabled_by.is_some() => {
                output.verbose("asking the remote directly");
            }
            Server::Remote { .. } => {
                output.verbose("starting docksd; asking the remote directly");
            }
        }
    }

    /// Says once that the daemon uses other proxies than this command; local files need none.
    fn note_other_proxies(&self) {
        if self.remote.endpoint.expectation().found_other_proxies()
            && !self.remote.reads_local_files()
            && !self.other_proxies_shown.swap(true, Ordering::Relaxed)
        {
            self.context.output.note(
                "docksd was started with other proxies than this command has; \
                 `docks daemon restart` makes it use these",
            );
        }
    }
}

/// Marks a failure as one from before the request itself was sent.
fn not_sent(error: ClientError) -> ClientError {
    match error {
        ClientError::Send(SendError::Timeout { to, .. } | SendError::Broken { to, .. }) => {
            let source = "it does not answer".into();
            ClientError::Send(SendError::Connect { to, source })
        }
        other => other,
    }
}
