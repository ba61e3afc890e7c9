//! The daemon's place: what lies there, whether it may be talked to, and making it answer.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::Mutex;

use docks_proto::client::{Client, ClientError, Deadlines, SendError, Transport, UnixTransport};
use docks_proto::credentials::{self, Keyring};
use docks_proto::paths::Paths;
use docks_proto::settings::LOCAL_TENANT;
use docks_proto::status::DaemonStatus;
use http::HeaderMap;

use super::{Ended, KEYRING_PATIENCE, start_daemon, stop_daemon};
use crate::environment::Environment;
use crate::failure::{Failure, Kind};

/// The daemon's place, without any remote in mind.
#[derive(Debug)]
pub(crate) struct Door {
    /// Where everything lies.
    pub(crate) places: Paths,
    /// The environment it was decided from.
    pub(crate) environment: Environment,
    pub(super) starting: Mutex<Option<start_daemon::Starting>>,
}

/// What lies at the socket's path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SocketState {
    /// A socket that only we can have made.
    Ours,
    /// Nothing.
    Absent,
    /// Something that must not be talked to, and why.
    Foreign(String),
}

impl Door {
    /// Decides where everything lies.
    ///
    /// # Errors
    ///
    /// When there is no home, or a variable holds a relative path.
    pub(crate) fn new(environment: Environment) -> Result<Self, Failure> {
        let places =
            Paths::resolve(&environment.places).map_err(|e| Failure::usage(e.to_string()))?;
        Ok(Self {
            places,
            environment,
            starting: Mutex::new(None),
        })
    }

    /// Makes sure that a daemon of our protocol answers, starting it if need be.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(crate) async fn ready(&self) -> Result<(), Failure> {
        match self.status().await {
            Ok(Some(_)) => return Ok(()),
            Err(error @ ClientError::Protocol { .. }) => stop_daemon::replace(self, &error).await?,
            Err(ClientError::Send(SendError::Timeout { .. })) => {
                return Err(Failure::new(Kind::Unreachable, self.silence())
                    .hint("`docks daemon restart` replaces it"));
            }
            Ok(None) | Err(_) => {}
        }
        start_daemon::start(self).await
    }

    /// Asks the daemon how it is; `None` when there is none.
    ///
    /// # Errors
    ///
    /// What went wrong with one that is there.
    pub(crate) async fn status(&self) -> Result<Option<DaemonStatus>, ClientError> {
        match self.socket_state() {
            SocketState::Absent => return Ok(None),
            SocketState::Foreign(reason) => {
                return Err(SendError::InvalidRequest(reason).into());
            }
            SocketState::Ours => {}
        }
        match self.client()?.status().await {
            Ok(status) => Ok(Some(status)),
            Err(ClientError::Send(SendError::Connect { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Ends the daemon and waits until it is gone.
    ///
    /// # Errors
    ///
    /// When it cannot be ended, or something at the socket's path is not ours.
    pub(crate) async fn end(&self) -> Result<Ended, Failure> {
        stop_daemon::end(self).await
    }

    /// A client without any remote's headers, for the daemon's own routes.
    pub(super) fn client(&self) -> Result<Client, ClientError> {
        let transport = UnixTransport::new(self.places.socket.clone(), Deadlines::default());
        Ok(Client::new(
            Transport::Unix(transport),
            LOCAL_TENANT,
            HeaderMap::new(),
        )?)
    }

    /// Returns the keyring that the environment allows.
    pub(crate) fn keyring(&self) -> Box<dyn Keyring> {
        credentials::system_keyring(&self.environment.settings, KEYRING_PATIENCE)
    }

    /// Says that the daemon does not answer, and which process that is.
    pub(super) fn silence(&self) -> String {
        match stop_daemon::peer_pid(&self.places.socket) {
            Some(pid) => format!("docksd (pid {pid}) does not answer"),
            None => "docksd does not answer".to_owned(),
        }
    }

    /// Returns why the daemon that was started in the background did not come up, if known by now.
    pub(super) fn start_problem(&self) -> Option<String> {
        let mut starting = self
            .starting
            .lock()
            .expect("nothing panics while holding it");
        starting.as_mut().and_then(start_daemon::Starting::problem)
    }

    /// Looks at the socket and its directory before anything is sent there.
    ///
    /// Whoever can write to the directory can put a socket of their own into it, and would be
    /// sent tokens.
    pub(super) fn socket_state(&self) -> SocketState {
        let us = rustix::process::geteuid().as_raw();
        let dir = self.places.run_dir();
        let Ok(meta) = std::fs::symlink_metadata(dir) else {
            return SocketState::Absent;
        };
        let foreign = |path: &Path, what: &str| {
            SocketState::Foreign(format!("{} {what}, so it is not used", path.display()))
        };
        if !meta.is_dir() {
            return foreign(dir, "is no directory");
        }
        if meta.uid() != us {
            return foreign(dir, "belongs to another user");
        }
        if meta.mode() & 0o022 != 0 {
            return foreign(dir, "can be written by other users");
        }
        let Ok(meta) = std::fs::symlink_metadata(&self.places.socket) else {
            return SocketState::Absent;
        };
        if !meta.file_type().is_socket() {
            return foreign(&self.places.socket, "is no socket");
        }
        if meta.uid() != us {
            return foreign(&self.places.socket, "belongs to another user");
        }
        SocketState::Ours
    }
}
