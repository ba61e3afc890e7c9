//! Working on files that only the daemon may open: through it, or while none can start.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use docks_proto::client::Client;
use tokio::time::{Instant, sleep};

use super::daemon_endpoint::DaemonEndpoint;
use super::wait_policy::WaitPolicy;
use crate::failure::{Answerer, Failure, Kind};

/// How long a daemon may take to start or to exit.
const LIMIT: Duration = Duration::from_secs(10);

/// Pause between two looks at the locks.
const PAUSE: Duration = Duration::from_millis(20);

/// Who may work on the daemon's files.
#[derive(Debug)]
pub(crate) enum FilesHolder {
    /// The daemon, which has them open.
    Daemon(Box<Client>),
    /// This command, as long as the value lives.
    ThisCommand(StartLocks),
}

/// The locks that a daemon needs to start.
#[derive(Debug)]
pub(crate) struct StartLocks {
    /// Other commands wait for it before they spawn a daemon.
    _startup: File,
    /// A daemon that was started by hand exits when it cannot have it.
    _lifetime: File,
}

/// Returns the running daemon, or else keeps any from starting.
///
/// # Errors
///
/// When a daemon is running and does not answer, or a lock cannot be taken.
pub(crate) async fn files_holder(endpoint: &DaemonEndpoint) -> Result<FilesHolder, Failure> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let status = endpoint.status(WaitPolicy::Limited).await;
        let status = status.map_err(|error| {
            Failure::from_client_error(&error, Answerer::Daemon)
                .hint("`docks daemon restart` replaces it")
        })?;
        if status.is_some() {
            let client = endpoint.client(WaitPolicy::Limited);
            let client =
                client.map_err(|error| Failure::from_client_error(&error, Answerer::Daemon))?;
            return Ok(FilesHolder::Daemon(Box::new(client)));
        }
        if let Some(startup) = endpoint.try_startup_lock()?
            && let Some(lifetime) = try_lifetime_lock(endpoint)?
        {
            return Ok(FilesHolder::ThisCommand(StartLocks {
                _startup: startup,
                _lifetime: lifetime,
            }));
        }
        if Instant::now() >= deadline {
            return Err(Failure::new(Kind::Unreachable, endpoint.silence())
                .hint("`docks daemon restart` replaces it"));
        }
        sleep(PAUSE).await;
    }
}

/// Takes the lock that a daemon holds for life; `None` while one does.
fn try_lifetime_lock(endpoint: &DaemonEndpoint) -> Result<Option<File>, Failure> {
    let path = endpoint.places.lifetime_lock();
    let failed = |error: &std::io::Error| {
        let doing = format!("could not lock {}", path.display());
        Failure::chain(Kind::Failed, &doing, error)
    };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(|error| failed(&error))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(failed(&error)),
    }
}
