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
mod foreign_file;
mod inherited_descriptors;
mod noted_action;
mod remote_headers;
mod request;
mod resolve;
mod selected_remote;
mod start_daemon;
mod stop_daemon;
#[cfg(test)]
mod tests;
mod wait_policy;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use docks_proto::client::{Answer, Client, ClientError, SendError};
use docks_proto::error::ErrorCode;
use docks_proto::freshness::CachePolicy;
use docks_proto::settings::Target;

use crate::context::Context;
use crate::environment::Environment;
use crate::failure::{Answerer, Failure, Kind};

pub(crate) use daemon_endpoint::DaemonEndpoint;
use daemon_endpoint::SocketState;
pub(crate) use exclusive::{FilesHolder, files_holder};
pub(crate) use foreign_file::name_foreign_file;
pub(crate) use request::{Request, Response};
use selected_remote::NO_DAEMON_OPTION;
pub(crate) use selected_remote::{SelectedRemote, profile_flags};
use start_daemon::BackgroundStart;
pub(crate) use start_daemon::DaemonStarter;
pub(crate) use stop_daemon::{StopOutcome, stop};
pub(crate) use wait_policy::{WaitPolicy, when_slow, with_notice};

/// How often one request is sent again after the daemon failed to answer it.
const MOST_RETRIES: u8 = 2;

/// Time between a broken connection and the end of a daemon that is exiting.
const EXIT_GRACE: Duration = Duration::from_millis(200);

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
                    let sent = direct::send(client, request, self.context.now);
                    let notice = || self.remote.wait_notice();
                    let sent = self.patience.notify(notice, sent);
                    let response = match request {
                        Request::Act(action, run) | Request::Kill(action, run) => {
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
                Answerer::Daemon => self.after_daemon(&error, &mut attempts).await?,
                Answerer::Remote if may_be_old => self.after_remote(&error, &mut attempts).await,
                Answerer::Remote => None,
            };
            server = next.ok_or_else(|| Failure::from_client_error(&error, answerer))?;
        }
    }

    /// Returns whom to ask first; connects to nobody yet where our socket exists.
    ///
    /// # Errors
    ///
    /// When only the daemon could answer and there is none, or when there is no token.
    async fn first_server(&self) -> Result<Server, Failure> {
        if let Some(switch) = self.remote.disabled_by {
            return self.without_disabled_daemon(switch);
        }
        match self.remote.endpoint.socket_state() {
            SocketState::Trusted => Ok(Server::Daemon(self.remote.daemon_client(self.policy())?)),
            SocketState::Absent => self.start_daemon().await,
            SocketState::Untrusted(reason) => self.without_daemon(reason),
        }
    }

    /// Returns whom to ask after the daemon failed; `None` when the error is its answer.
    ///
    /// # Errors
    ///
    /// As [`Self::first_server`].
    async fn after_daemon(
        &self,
        error: &ClientError,
        attempts: &mut Attempts,
    ) -> Result<Option<Server>, Failure> {
        attempts.daemon_failures += 1;
        let next = match error {
            ClientError::Refused { body, .. } => match &body.detail {
                Some(detail) if detail.code == ErrorCode::ShuttingDown => self.start_daemon().await,
                // Trouble of the daemon's own, which is none of the remote's.
                Some(detail)
                    if matches!(detail.code, ErrorCode::MirrorUnusable | ErrorCode::Internal)
                        && !self.remote.needs_daemon() =>
                {
                    let trouble = detail.message.trim_end_matches('.');
                    self.without_daemon(format!("docksd is in trouble ({trouble})"))
                }
                _ => return Ok(None),
            },
            ClientError::Send(SendError::InvalidRequest(_) | SendError::TooLarge { .. }) => {
                return Ok(None);
            }
            _ if attempts.daemon_failures > MOST_RETRIES => self.without_daemon(error.to_string()),
            ClientError::Send(SendError::Connect { .. }) => self.start_daemon().await,
            ClientError::Send(SendError::Broken { .. }) => {
                if self.remote.needs_daemon() {
                    self.note_broken_connection().await;
                }
                self.start_daemon().await
            }
            ClientError::Send(SendError::Timeout { .. }) => {
                self.was_silent.store(true, Ordering::Relaxed);
                self.without_daemon(self.remote.endpoint.silence())
            }
            ClientError::Protocol { .. } | ClientError::OtherBuild => {
                self.replace_daemon(error).await
            }
            ClientError::InvalidReply(_) | ClientError::Send(_) => {
                self.without_daemon(error.to_string())
            }
        };
        next.map(Some)
    }

    /// Returns the daemon after the remote could not be reached: its mirror may know.
    ///
    /// `None` when there is no daemon either; the remote's error is then the answer.
    async fn after_remote(&self, error: &ClientError, attempts: &mut Attempts) -> Option<Server> {
        let unreachable = match error {
            ClientError::Send(_) | ClientError::InvalidReply(_) => true,
            ClientError::Refused { status, .. } => *status >= 500,
            ClientError::Protocol { .. } | ClientError::OtherBuild => false,
        };
        if !unreachable || std::mem::replace(&mut attempts.asked_mirror, true) {
            return None;
        }
        if self.remote.disabled_by.is_some() || self.was_silent.load(Ordering::Relaxed) {
            return None;
        }
        let client = self.daemon_within(WaitPolicy::Limited).await.ok()?;
        Some(Server::Daemon(client))
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
            Request::Act(action, id) => {
                // A daemon of another protocol is recognized before it does anything.
                client.ping().await.map_err(not_sent)?;
                client.perform(action, id).await?
            }
            Request::Kill(action, id) => {
                client.ping().await.map_err(not_sent)?;
                client.kill(action, id).await?
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

    /// Says that the daemon has exited, or has closed the connection.
    async fn note_broken_connection(&self) {
        let endpoint = &self.remote.endpoint;
        let text = if stop_daemon::has_exited(endpoint, EXIT_GRACE).await {
            "docksd exited before it answered; starting it again"
        } else {
            "docksd closed the connection before it answered; asking again"
        };
        self.context.output.note(text);
    }

    /// Starts a daemon; waits for it only if nobody else can answer.
    async fn start_daemon(&self) -> Result<Server, Failure> {
        if self.remote.needs_daemon() {
            self.starter
                .start(&self.remote.endpoint, self.policy())
                .await?;
            return Ok(Server::Daemon(self.remote.daemon_client(self.policy())?));
        }
        match self
            .starter
            .start_in_background(&self.remote.endpoint)
            .await
        {
            Ok(BackgroundStart::Running) => {
                Ok(Server::Daemon(self.remote.daemon_client(self.policy())?))
            }
            Ok(BackgroundStart::Starting) => self.remote_server(None),
            Err(failure) => self.remote_server(Some(failure.message)),
        }
    }

    async fn replace_daemon(&self, mismatch: &ClientError) -> Result<Server, Failure> {
        match stop_daemon::replace(&self.remote.endpoint, self.policy(), mismatch).await {
            Ok(()) => self.start_daemon().await,
            Err(failure) if self.remote.needs_daemon() => Err(failure),
            Err(failure) => self.remote_server(Some(failure.message)),
        }
    }

    /// Asks the remote as the user wanted; who typed the option needs no note about it.
    fn without_disabled_daemon(&self, switch: &str) -> Result<Server, Failure> {
        let reason = format!("the daemon is switched off by {switch}");
        if self.remote.needs_daemon() {
            return self.without_daemon(reason);
        }
        self.remote_server((switch != NO_DAEMON_OPTION).then_some(reason))
    }

    /// Asks the remote instead of the daemon, where that is possible.
    fn without_daemon(&self, reason: String) -> Result<Server, Failure> {
        if !self.remote.needs_daemon() {
            return self.remote_server(Some(reason));
        }
        let (kind, hint) = match self.remote.disabled_by {
            Some(NO_DAEMON_OPTION) => (Kind::Usage, "leave out --no-daemon"),
            Some(_) => (Kind::Usage, "unset DOCKS_NO_DAEMON"),
            None => (
                Kind::Unreachable,
                "see `docks daemon status` and `docks daemon logs`",
            ),
        };
        let need = match self.remote.profile.target {
            Target::HarborJobs { .. } => "only the daemon reads a jobs directory",
            Target::DocksApi { .. } => "only the daemon answers --offline",
        };
        Err(Failure::new(kind, format!("{need}, and {reason}")).hint(hint))
    }

    fn remote_server(&self, reason: Option<String>) -> Result<Server, Failure> {
        let client = self.remote.client()?;
        Ok(Server::Remote { client, reason })
    }

    /// Returns how long to wait for the daemon.
    fn policy(&self) -> WaitPolicy<'a> {
        if self.remote.needs_daemon() {
            self.patience
        } else {
            WaitPolicy::Limited
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
