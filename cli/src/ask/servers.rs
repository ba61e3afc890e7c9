//! Who is asked, and who is asked next when there is no answer.

use std::sync::atomic::Ordering;
use std::time::Duration;

use docks_proto::client::{ClientError, SendError};
use docks_proto::error::ErrorCode;

use super::daemon_endpoint::SocketState;
use super::selected_remote::{NO_DAEMON_OPTION, only_daemon};
use super::start_daemon::BackgroundStart;
use super::wait_policy::WaitPolicy;
use super::{Attempts, Requester, Server, stop_daemon};
use crate::failure::{Failure, Kind};

/// How often one request is sent again after the daemon failed to answer it.
const MOST_RETRIES: u8 = 2;

/// Time between a broken connection and the end of a daemon that is exiting.
const EXIT_GRACE: Duration = Duration::from_millis(200);
impl<'a> Requester<'a> {
    /// Returns whom to ask first; connects to nobody yet where our socket exists.
    ///
    /// # Errors
    ///
    /// When only the daemon could answer and there is none, or when there is no token.
    pub(super) async fn first_server(&self) -> Result<Server, Failure> {
        if let Some(switch) = self.remote.disabled_by {
            return self.without_disabled_daemon(switch);
        }
        match self.remote.endpoint.socket_state() {
            SocketState::Trusted => Ok(Server::Daemon(self.remote.daemon_client(self.policy())?)),
            SocketState::Absent => Box::pin(self.start_daemon()).await,
            SocketState::Untrusted(reason) => self.without_daemon(reason),
        }
    }

    /// Returns whom to ask after the daemon failed; `None` when the error is its answer.
    ///
    /// # Errors
    ///
    /// As [`Self::first_server`].
    pub(super) async fn after_daemon(
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
            ClientError::Send(
                SendError::InvalidRequest(_)
                | SendError::TooLarge { .. }
                | SendError::TooManyElements { .. },
            ) => {
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
    pub(super) async fn after_remote(
        &self,
        error: &ClientError,
        attempts: &mut Attempts,
    ) -> Option<Server> {
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
        let need = only_daemon(&self.remote.profile.target);
        Err(Failure::new(kind, format!("{need}, and {reason}")).hint(hint))
    }

    fn remote_server(&self, reason: Option<String>) -> Result<Server, Failure> {
        let client = self.remote.client()?;
        Ok(Server::Remote { client, reason })
    }

    /// Returns how long to wait for the daemon.
    pub(super) fn policy(&self) -> WaitPolicy<'a> {
        if self.remote.needs_daemon() {
            self.patience
        } else {
            WaitPolicy::Limited
        }
    }
}
