//! Stopping the daemon: a request first, then SIGTERM, then SIGKILL.

use std::time::Duration;

use docks_proto::client::{Client, ClientError};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep, timeout};

use super::daemon_endpoint::{DaemonEndpoint, SocketState};
use super::daemon_process;
use super::wait_policy::WaitPolicy;
use crate::failure::{Failure, Kind};

/// How long a daemon may take to exit after the request, and after each signal.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long it may take to answer the request to shut down.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);

/// How long replacing a daemon of another protocol or build may take where the remote can answer instead.
const REPLACE_LIMIT: Duration = Duration::from_secs(2);

/// How long a daemon of another protocol or build may take to exit where nobody else can answer.
const PATIENT_REPLACE_LIMIT: Duration = Duration::from_secs(60);

/// Pause between two looks at a lock.
const PAUSE: Duration = Duration::from_millis(10);

/// How the daemon was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopOutcome {
    /// No daemon was running.
    NotRunning,
    /// It exited as requested.
    Requested,
    /// It did not answer, and was stopped by a signal.
    Signalled,
}

/// Stops the daemon and waits until it has exited.
///
/// # Errors
///
/// When it cannot be stopped, or what is at the socket's path cannot be trusted.
pub(crate) async fn stop(endpoint: &DaemonEndpoint) -> Result<StopOutcome, Failure> {
    match endpoint.socket_state() {
        // A daemon that is shutting down has removed its socket, and may hang in that.
        SocketState::Absent if !endpoint.is_locked() => return Ok(StopOutcome::NotRunning),
        SocketState::Absent => {
            if process_has_exited(endpoint, endpoint.pid(), EXIT_TIMEOUT).await {
                return Ok(StopOutcome::Requested);
            }
        }
        SocketState::Untrusted(reason) => return Err(Failure::failed(reason)),
        SocketState::Trusted => {}
    }
    let pid = endpoint.pid();
    if pid.is_none() && !endpoint.is_locked() {
        return Ok(StopOutcome::NotRunning);
    }
    let confirmed = request_shutdown(endpoint, REQUEST_TIMEOUT).await?;
    if confirmed && process_has_exited(endpoint, pid, EXIT_TIMEOUT).await {
        return Ok(StopOutcome::Requested);
    }
    let Some(pid) = pid else {
        return Err(Failure::failed(
            "docksd does not answer, and its process id is unknown",
        ));
    };
    for signal in [Signal::TERM, Signal::KILL] {
        // Looked at before each signal: it may have exited, and its id may have a new owner.
        if !daemon_process::is_daemon(pid, &endpoint.places.lifetime_lock()) {
            if process_has_exited(endpoint, Some(pid), Duration::ZERO).await {
                return Ok(StopOutcome::Signalled);
            }
            return Err(not_signalled(pid));
        }
        signal_process(pid, signal);
        // A stopped process receives the first signal only once it continues.
        signal_process(pid, Signal::CONT);
        if process_has_exited(endpoint, Some(pid), EXIT_TIMEOUT).await {
            return Ok(StopOutcome::Signalled);
        }
    }
    Err(Failure::failed(format!("docksd (pid {pid}) does not exit")))
}

fn not_signalled(pid: i32) -> Failure {
    let name = daemon_process::name(pid);
    let name = name.as_deref().unwrap_or("unknown program");
    Failure::failed(format!(
        "docksd does not answer, and process {pid} ({name}) is not a docksd of this home, so no \
         signal was sent"
    ))
}

/// Asks a daemon of another protocol or build to exit, and waits until it has.
///
/// # Errors
///
/// When it does not exit.
pub(super) async fn replace(
    endpoint: &DaemonEndpoint,
    policy: WaitPolicy<'_>,
    mismatch: &ClientError,
) -> Result<(), Failure> {
    let notice = || endpoint.wait_notice();
    policy
        .notify(notice, replace_unnoticed(endpoint, policy, mismatch))
        .await
}

async fn replace_unnoticed(
    endpoint: &DaemonEndpoint,
    policy: WaitPolicy<'_>,
    mismatch: &ClientError,
) -> Result<(), Failure> {
    let (limit, answer_limit) = match policy {
        WaitPolicy::Limited => (REPLACE_LIMIT, REQUEST_TIMEOUT),
        WaitPolicy::WhileAlive { .. } => (PATIENT_REPLACE_LIMIT, PATIENT_REPLACE_LIMIT),
    };
    let deadline = Instant::now() + limit;
    let lock = loop {
        if let Some(lock) = endpoint.try_startup_lock()? {
            break lock;
        }
        if Instant::now() >= deadline {
            return Err(does_not_exit(mismatch));
        }
        sleep(PAUSE).await;
    };
    // Another command may have replaced it while this one waited for the lock.
    match client(endpoint, policy)?.ping().await {
        Err(ClientError::Protocol { .. } | ClientError::OtherBuild) => {}
        _ => return Ok(()),
    }
    let confirmed = request_shutdown(endpoint, answer_limit).await?;
    let exited = confirmed && has_exited(endpoint, limit).await;
    drop(lock);
    if exited {
        Ok(())
    } else {
        Err(does_not_exit(mismatch))
    }
}

fn does_not_exit(mismatch: &ClientError) -> Failure {
    let message = format!("{mismatch}, and the daemon does not exit");
    Failure::new(Kind::Unreachable, message).hint("`docks daemon restart` replaces it")
}

/// Waits until nobody holds the lifetime lock and nobody accepts connections.
pub(super) async fn has_exited(endpoint: &DaemonEndpoint, limit: Duration) -> bool {
    process_has_exited(endpoint, None, limit).await
}

/// As [`has_exited`]; another process in place of `pid` counts, too: a command that waited for
/// the daemon starts the next one at once.
async fn process_has_exited(endpoint: &DaemonEndpoint, pid: Option<i32>, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if !endpoint.is_locked() && !endpoint.accepts_connections().await {
            return true;
        }
        if let (Some(old), Some(current)) = (pid, endpoint.pid())
            && old != current
        {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        sleep(PAUSE).await;
    }
}

/// Returns whether the daemon has confirmed that it will exit.
async fn request_shutdown(endpoint: &DaemonEndpoint, limit: Duration) -> Result<bool, Failure> {
    let client = client(endpoint, WaitPolicy::Limited)?;
    let answered = timeout(limit, client.shutdown()).await;
    Ok(matches!(answered, Ok(Ok(()))))
}

fn client(endpoint: &DaemonEndpoint, policy: WaitPolicy<'_>) -> Result<Client, Failure> {
    let client = endpoint.client(policy);
    client.map_err(|e| Failure::chain(Kind::Failed, "could not create a client", &e))
}

fn signal_process(pid: i32, signal: Signal) {
    // It may have exited since its id was read; `has_exited` finds out.
    if let Some(pid) = Pid::from_raw(pid) {
        kill_process(pid, signal).ok();
    }
}
