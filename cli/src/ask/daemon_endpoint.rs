//! The daemon's endpoint: its socket and locks, whether they can be trusted, and which process
//! holds them.
//!
//! Nothing here knows about remotes. Starting and stopping the daemon is left to
//! [`start_daemon`](super::start_daemon) and [`stop_daemon`](super::stop_daemon).

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use docks_proto::client::{
    Client, ClientError, Expectation, SendError, Transport, UnixTransport, check_peer,
};
use docks_proto::credentials::foreign_files::ForeignFile;
use docks_proto::credentials::trust::{ForeignHome, ReplaceableDir, drop_foreign_runtime_dir};
use docks_proto::credentials::{Keyring, files};
use docks_proto::paths::Paths;
use docks_proto::settings::LOCAL_TENANT;
use docks_proto::status::DaemonStatus;
use http::HeaderMap;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::daemon_process::holds_lock;
use super::wait_policy::WaitPolicy;
use crate::daemon_program::installed_build;
use crate::desktop_helper::system_keyring;
use crate::environment::Environment;
use crate::failure::{Failure, Kind};

/// How long a connection to a listening daemon can take.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(150);

/// The paths of the daemon, and the environment they were derived from.
#[derive(Debug)]
pub(crate) struct DaemonEndpoint {
    /// Every path that belongs to this home.
    pub(crate) places: Paths,
    /// The environment of this process.
    pub(crate) environment: Environment,
    /// Whether the socket is outside the home, which cannot be written.
    is_outside: bool,
    expectation: OnceLock<Expectation>,
}

/// What is at the socket's path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SocketState {
    /// A socket that only this user can have created.
    Trusted,
    /// Nothing.
    Absent,
    /// Something that must not be connected to, and why.
    Untrusted(String),
}

impl DaemonEndpoint {
    /// Derives the paths from the environment.
    ///
    /// # Errors
    ///
    /// When there is no home, or a variable holds a relative path.
    pub(crate) fn new(environment: Environment) -> Result<Self, Failure> {
        let mut variables = environment.places.clone();
        drop_foreign_runtime_dir(&mut variables);
        let mut places = Paths::resolve(&variables).map_err(|e| Failure::usage(e.to_string()))?;
        ForeignHome::check(&places.home, &variables).map_err(|e| Failure::usage(e.to_string()))?;
        let is_outside = is_read_only(places.run_dir()) && peer_pid(&places.socket).is_none();
        if is_outside {
            places = places.with_socket_outside();
        }
        Ok(Self {
            places,
            environment,
            is_outside,
            expectation: OnceLock::new(),
        })
    }

    /// Returns the socket, if it is not where the environment says.
    pub(super) fn socket_outside(&self) -> Option<&Path> {
        self.is_outside.then_some(&*self.places.socket)
    }

    /// Returns what this command expects of the daemon, and what it has found.
    pub(crate) fn expectation(&self) -> &Expectation {
        self.expectation.get_or_init(|| {
            let build = installed_build(&self.environment);
            Expectation::new(build, self.environment.proxies.fingerprint())
        })
    }

    /// Returns the daemon's status; `None` when no daemon is running.
    ///
    /// # Errors
    ///
    /// What went wrong with a daemon that is running.
    pub(crate) async fn status(
        &self,
        policy: WaitPolicy<'_>,
    ) -> Result<Option<DaemonStatus>, ClientError> {
        self.call(self.client(policy)?, policy, Client::status)
            .await
    }

    /// As [`Self::status`], also of a daemon that the next request would replace by another build.
    ///
    /// # Errors
    ///
    /// As [`Self::status`].
    pub(crate) async fn status_of_any_build(
        &self,
        policy: WaitPolicy<'_>,
    ) -> Result<Option<DaemonStatus>, ClientError> {
        let any = self.expectation().clone().with_any_build();
        let client = self.client(policy)?.expecting(any);
        self.call(client, policy, Client::status).await
    }

    /// Returns whether a daemon of our protocol is running and answers.
    ///
    /// # Errors
    ///
    /// What went wrong with a daemon that is running.
    pub(crate) async fn is_alive(&self, policy: WaitPolicy<'_>) -> Result<bool, ClientError> {
        let answered = self
            .call(self.client(policy)?, policy, Client::ping)
            .await?;
        Ok(answered.is_some())
    }

    /// Calls a running daemon; `None` when there is none.
    async fn call<T>(
        &self,
        client: Client,
        policy: WaitPolicy<'_>,
        request: impl AsyncFnOnce(&Client) -> Result<T, ClientError>,
    ) -> Result<Option<T>, ClientError> {
        match self.socket_state() {
            SocketState::Absent => return Ok(None),
            SocketState::Untrusted(reason) => {
                return Err(SendError::InvalidRequest(reason).into());
            }
            SocketState::Trusted => {}
        }
        let notice = || self.wait_notice();
        match policy.notify(notice, request(&client)).await {
            Ok(answer) => Ok(Some(answer)),
            Err(ClientError::Send(SendError::Connect { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns a client for the daemon's own routes, without the headers of any remote.
    pub(super) fn client(&self, policy: WaitPolicy<'_>) -> Result<Client, ClientError> {
        let transport = UnixTransport::new(self.places.socket.clone(), policy.deadlines());
        let client = Client::new(Transport::Unix(transport), LOCAL_TENANT, HeaderMap::new())?;
        Ok(client.expecting(self.expectation().clone()))
    }

    /// Returns the keyring that the environment allows.
    pub(crate) fn keyring(&self) -> Box<dyn Keyring> {
        system_keyring(&self.environment)
    }

    /// Says that the daemon does not answer, and which process it is.
    pub(super) fn silence(&self) -> String {
        match self.pid() {
            Some(pid) => format!("docksd (pid {pid}) does not answer"),
            None => "docksd does not answer".to_owned(),
        }
    }

    /// Says what a command waits for when the daemon takes long.
    pub(crate) fn wait_notice(&self) -> String {
        let who = match self.pid() {
            Some(pid) => format!("docksd (pid {pid})"),
            None => "docksd".to_owned(),
        };
        format!("waiting for {who} …; if it hangs, run `docks daemon restart`")
    }

    /// Returns the process of the daemon, even if it has stopped answering.
    pub(super) fn pid(&self) -> Option<i32> {
        peer_pid(&self.places.socket).or_else(|| self.lock_holder())
    }

    /// Returns the process that holds the lifetime lock; it wrote its id into the file.
    fn lock_holder(&self) -> Option<i32> {
        let path = self.places.lifetime_lock();
        if !self.is_locked() {
            return None;
        }
        let text = std::fs::read_to_string(&path).ok()?;
        let pid = text.trim().parse().ok().filter(|pid| *pid > 1)?;
        // The holder may not have replaced the id of its predecessor yet.
        holds_lock(pid, &path).then_some(pid)
    }

    /// Returns whether a daemon holds the lifetime lock; the kernel releases it with the process.
    pub(super) fn is_locked(&self) -> bool {
        let Ok(file) = OpenOptions::new()
            .write(true)
            .open(self.places.lifetime_lock())
        else {
            return false;
        };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    /// Returns whether a process accepts connections on the socket.
    pub(super) async fn accepts_connections(&self) -> bool {
        match timeout(CONNECT_TIMEOUT, UnixStream::connect(&self.places.socket)).await {
            Ok(Ok(stream)) => check_peer(stream).is_ok(),
            // Only a listener has a queue that can be full.
            Ok(Err(error)) => error.kind() == std::io::ErrorKind::WouldBlock,
            Err(_) => false,
        }
    }

    /// Takes the start-up lock; `None` when another command holds it.
    ///
    /// # Errors
    ///
    /// When the socket's directory cannot be created or trusted, or the lock cannot be opened.
    pub(super) fn try_startup_lock(&self) -> Result<Option<File>, Failure> {
        let dir = self.places.run_dir();
        let failed = |doing: &str, error: &std::io::Error| {
            let mut failure = Failure::chain(Kind::Unreachable, doing, error);
            // In the message: where the remote can answer instead, nothing else is shown.
            if let Some(file) = ForeignFile::find(&self.places) {
                failure.message = format!("{file}: {}", failure.message);
            }
            failure
        };
        files::create_private_dir(dir)
            .map_err(|e| failed(&format!("could not create {}", dir.display()), &e))?;
        if let SocketState::Untrusted(reason) = self.socket_state() {
            return Err(Failure::new(Kind::Unreachable, reason));
        }
        let path = self.places.startup_lock();
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|e| failed(&format!("could not open {}", path.display()), &e))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(lock)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => {
                Err(failed(&format!("could not lock {}", path.display()), &e))
            }
        }
    }

    /// Checks the socket and its directory before anything is sent there.
    ///
    /// Another user who can write to the directory could put their own socket into it, and would
    /// receive tokens.
    pub(super) fn socket_state(&self) -> SocketState {
        let uid = rustix::process::geteuid().as_raw();
        let dir = self.places.run_dir();
        let Ok(meta) = std::fs::symlink_metadata(dir) else {
            return SocketState::Absent;
        };
        let untrusted = |path: &Path, what: &str| {
            SocketState::Untrusted(format!("{} {what}, so it is not used", path.display()))
        };
        if !meta.is_dir() {
            return untrusted(dir, "is not a directory");
        }
        if meta.uid() != uid {
            return match ForeignFile::find(&self.places) {
                Some(file) if meta.uid() == 0 => SocketState::Untrusted(file.to_string()),
                _ => untrusted(dir, "belongs to another user"),
            };
        }
        if meta.mode() & 0o022 != 0 {
            return untrusted(dir, "can be written by other users");
        }
        if let Some(replaceable) = ReplaceableDir::find(dir) {
            return SocketState::Untrusted(format!("the socket is not used: {replaceable}"));
        }
        let Ok(meta) = std::fs::symlink_metadata(&self.places.socket) else {
            return SocketState::Absent;
        };
        if !meta.file_type().is_socket() {
            return untrusted(&self.places.socket, "is not a socket");
        }
        if meta.uid() != uid {
            return untrusted(&self.places.socket, "belongs to another user");
        }
        SocketState::Trusted
    }
}

/// Returns whether nothing can be created in a directory of ours, or where it would be created: on a
/// file system that is mounted read-only, or by its mode.
///
/// A directory of another user is none of ours: the error about it says how to mend that.
fn is_read_only(dir: &Path) -> bool {
    use rustix::fs::{Access, access};
    use rustix::io::Errno;
    for dir in dir.ancestors() {
        match access(dir, Access::WRITE_OK) {
            Err(Errno::NOENT) => {}
            Err(Errno::ROFS) => return true,
            Err(Errno::ACCESS) => {
                let own = rustix::process::geteuid().as_raw();
                return std::fs::metadata(dir).is_ok_and(|found| found.uid() == own);
            }
            _ => return false,
        }
    }
    false
}

/// Returns the process that listens on a socket, even if it has stopped answering.
#[cfg(target_os = "linux")]
fn peer_pid(socket: &Path) -> Option<i32> {
    let stream = connect_nonblocking(socket)?;
    let peer = rustix::net::sockopt::socket_peercred(&stream).ok()?;
    (peer.uid == rustix::process::geteuid()).then(|| peer.pid.as_raw_nonzero().get())
}

/// Returns the process that listens on a socket: unknown on this system.
#[cfg(not(target_os = "linux"))]
fn peer_pid(_socket: &Path) -> Option<i32> {
    None
}

/// Connects without ever waiting: the full queue of a stuck daemon would block for good.
#[cfg(target_os = "linux")]
fn connect_nonblocking(socket: &Path) -> Option<rustix::fd::OwnedFd> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect};
    let address = SocketAddrUnix::new(socket).ok()?;
    let stream = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
        None,
    )
    .ok()?;
    connect(&stream, &address).ok()?;
    Some(stream)
}
