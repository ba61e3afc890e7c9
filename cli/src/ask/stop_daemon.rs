//! Ending a daemon: asked first, then told, then made to.

use std::fs::{OpenOptions, TryLockError};
use std::path::Path;
use std::time::Duration;

use docks_proto::client::{Client, ClientError};
use docks_proto::paths::Paths;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep, timeout};

use super::{Door, SocketState, start_daemon};
use crate::failure::{Failure, Kind};

/// How long a daemon may take to end after it was asked.
const ENDING: Duration = Duration::from_secs(5);

/// How long it may take to answer that it will end.
const ASKING: Duration = Duration::from_secs(1);

/// How long a command waits for a daemon of another protocol to make room.
const REPLACING: Duration = Duration::from_secs(2);

/// How often the lifetime lock is tried.
const PAUSE: Duration = Duration::from_millis(10);

/// How a daemon came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// There was none.
    NotRunning,
    /// It ended when asked.
    Asked,
    /// It did not answer, and ended by a signal.
    Signalled,
}

/// Ends the daemon and waits until it is gone.
///
/// # Errors
///
/// When it cannot be ended, or something at the socket's path is not ours.
pub(super) async fn end(door: &Door) -> Result<Ended, Failure> {
    let places = &door.places;
    match door.socket_state() {
        SocketState::Absent => return Ok(Ended::NotRunning),
        SocketState::Foreign(reason) => return Err(Failure::failed(reason)),
        SocketState::Ours => {}
    }
    let pid = match peer_pid(&places.socket) {
        Some(pid) => Some(pid),
        None if held(places) => written_pid(places),
        None => return Ok(Ended::NotRunning),
    };
    let asked = matches!(timeout(ASKING, client(door)?.shutdown()).await, Ok(Ok(())));
    if asked && gone(places, ENDING).await {
        return Ok(Ended::Asked);
    }
    let Some(pid) = pid else {
        return Err(Failure::failed(
            "docksd does not answer, and its process is not known",
        ));
    };
    for signal in [Signal::TERM, Signal::KILL] {
        signal_process(pid, signal);
        // A stopped process hears the first signal only once it goes on.
        signal_process(pid, Signal::CONT);
        if gone(places, ENDING).await {
            return Ok(Ended::Signalled);
        }
    }
    Err(Failure::failed(format!("docksd (pid {pid}) does not end")))
}

/// Makes room for a daemon of our protocol.
///
/// # Errors
///
/// When the other one stays.
pub(super) async fn replace(door: &Door, found: &ClientError) -> Result<(), Failure> {
    let deadline = Instant::now() + REPLACING;
    let lock = loop {
        if let Some(lock) = start_daemon::try_lock(door)? {
            break lock;
        }
        if Instant::now() >= deadline {
            return Err(stays(found));
        }
        sleep(PAUSE).await;
    };
    // Another command may have replaced it while we waited for the lock.
    match client(door)?.status().await {
        Err(ClientError::Protocol { .. }) => {}
        _ => return Ok(()),
    }
    let asked = timeout(ASKING, client(door)?.shutdown()).await;
    let went = matches!(asked, Ok(Ok(()))) && gone(&door.places, REPLACING).await;
    drop(lock);
    if went { Ok(()) } else { Err(stays(found)) }
}

fn stays(found: &ClientError) -> Failure {
    Failure::new(Kind::Unreachable, format!("{found}, and it does not end"))
        .hint("`docks daemon restart` replaces it")
}

/// Waits until nobody holds the lifetime lock and nobody accepts connections.
async fn gone(places: &Paths, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        if !held(places) && !start_daemon::answers(&places.socket).await {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        sleep(PAUSE).await;
    }
}

/// Tells whether a daemon holds the lifetime lock.
fn held(places: &Paths) -> bool {
    let Ok(file) = OpenOptions::new().write(true).open(places.lifetime_lock()) else {
        return false;
    };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

fn client(door: &Door) -> Result<Client, Failure> {
    door.client()
        .map_err(|e| Failure::chain(Kind::Failed, "could not make a client", &e))
}

/// Returns the process that wrote itself into the lifetime lock.
fn written_pid(places: &Paths) -> Option<i32> {
    let text = std::fs::read_to_string(places.lifetime_lock()).ok()?;
    text.trim().parse().ok().filter(|pid| *pid > 1)
}

/// Returns the process that listens on a socket, even if it has stopped answering.
#[cfg(target_os = "linux")]
pub(super) fn peer_pid(socket: &Path) -> Option<i32> {
    let stream = connect_now(socket)?;
    let peer = rustix::net::sockopt::socket_peercred(&stream).ok()?;
    Some(peer.pid.as_raw_nonzero().get())
}

/// Returns the process that listens on a socket: not known on this system.
#[cfg(not(target_os = "linux"))]
pub(super) fn peer_pid(_socket: &Path) -> Option<i32> {
    None
}

/// Connects without ever waiting: a full queue of a stuck daemon would hold us for good.
#[cfg(target_os = "linux")]
fn connect_now(socket: &Path) -> Option<rustix::fd::OwnedFd> {
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

fn signal_process(pid: i32, signal: Signal) {
    // It may have ended between our look and the signal; `gone` tells.
    if let Some(pid) = Pid::from_raw(pid) {
        kill_process(pid, signal).ok();
    }
}
