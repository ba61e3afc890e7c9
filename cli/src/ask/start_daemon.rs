//! Starting the daemon: take the start-up lock, check again, spawn, wait for the report.
//!
//! The start-up lock keeps many commands from spawning at once; the daemon's own lifetime lock
//! makes sure that no two daemons serve one socket.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use docks_proto::client::{ClientError, SendError};
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout_at};

use super::daemon_endpoint::DaemonEndpoint;
use super::inherited_descriptors;
use super::stop_daemon;
use super::wait_policy::WaitPolicy;
use crate::daemon_program::{background_docksd_command, find_docksd};
use crate::failure::{Failure, Kind};

/// How long a start may take where the remote can answer instead.
const START_LIMIT: Duration = Duration::from_secs(10);

/// First and longest pause between two looks at a lock or socket.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(50));

/// Longest report that is read; a real one has a hundred bytes.
const REPORT_BYTES: u64 = 16 * 1024;

/// How often a daemon is spawned that finds another one's lock, which then is gone.
const MOST_SPAWNS: u32 = 3;

/// Starts the daemon, at most once at a time; remembers the one started in the background.
#[derive(Debug, Default)]
pub(crate) struct DaemonStarter {
    spawned: Mutex<Option<SpawnedDaemon>>,
}

/// Result of starting a daemon in the background.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BackgroundStart {
    /// A daemon that another command started answers by now.
    Running,
    /// A daemon is starting: this command or another one has spawned it.
    Starting,
}

/// A daemon that this command has spawned.
#[derive(Debug)]
struct SpawnedDaemon {
    /// Delivers the report; `None` once it was read into `problem`.
    report: Option<oneshot::Receiver<Result<(), StartError>>>,
    problem: Option<StartError>,
}

/// The line that docksd writes to its standard output once.
#[derive(Debug, Deserialize)]
struct Report {
    ready: bool,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    code: Option<String>,
}

/// Why a spawned daemon does not serve the socket.
#[derive(Debug, Clone)]
struct StartError {
    /// A whole sentence for the user.
    message: String,
    /// Another daemon holds the lifetime lock, and may be about to listen.
    already_running: bool,
    /// A signal ended it, so that the next one may do better.
    was_killed: bool,
}

impl StartError {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            already_running: false,
            was_killed: false,
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Failure::new(Kind::Unreachable, error.message).hint("see `docks daemon logs`")
    }
}

impl SpawnedDaemon {
    /// Waits for the report; `None` when the deadline passes first.
    async fn outcome(mut self, deadline: Option<Instant>) -> Option<Result<(), StartError>> {
        let Some(report) = self.report.take() else {
            return Some(self.problem.map_or(Ok(()), Err));
        };
        let report = match deadline {
            Some(deadline) => timeout_at(deadline, report).await.ok()?,
            None => report.await,
        };
        let lost = |_| Err(StartError::new("docksd exited without reporting a reason"));
        Some(report.unwrap_or_else(lost))
    }
}

impl DaemonStarter {
    /// Starts a daemon and does not wait for it.
    ///
    /// # Errors
    ///
    /// Why docksd cannot be run.
    pub(super) async fn start_in_background(
        &self,
        endpoint: &DaemonEndpoint,
    ) -> Result<BackgroundStart, Failure> {
        if self.lock_spawned().is_some() {
            return Ok(BackgroundStart::Starting);
        }
        let program = find_docksd(&endpoint.environment)?;
        let Some(lock) = endpoint.try_startup_lock()? else {
            return Ok(BackgroundStart::Starting);
        };
        if endpoint.accepts_connections().await {
            return Ok(BackgroundStart::Running);
        }
        let spawned = spawn(&program, endpoint, lock)?;
        *self.lock_spawned() = Some(spawned);
        Ok(BackgroundStart::Starting)
    }

    /// Starts a daemon and waits until it is ready, or until another command's daemon is.
    ///
    /// # Errors
    ///
    /// Why there is no daemon.
    pub(super) async fn start(
        &self,
        endpoint: &DaemonEndpoint,
        policy: WaitPolicy<'_>,
    ) -> Result<(), Failure> {
        let deadline = policy.deadline(START_LIMIT);
        let notice = || endpoint.wait_notice();
        policy
            .notify(notice, self.start_before(endpoint, deadline))
            .await
    }

    /// Makes sure that a daemon of our protocol and build answers, starting or replacing it if need
    /// be.
    ///
    /// # Errors
    ///
    /// Why there is no daemon.
    pub(crate) async fn ensure_running(
        &self,
        endpoint: &DaemonEndpoint,
        policy: WaitPolicy<'_>,
    ) -> Result<(), Failure> {
        match endpoint.is_alive(policy).await {
            Ok(true) => return Ok(()),
            Err(error @ (ClientError::Protocol { .. } | ClientError::OtherBuild)) => {
                stop_daemon::replace(endpoint, policy, &error).await?;
            }
            Err(ClientError::Send(SendError::Timeout { .. })) => {
                return Err(Failure::new(Kind::Unreachable, endpoint.silence())
                    .hint("`docks daemon restart` replaces it"));
            }
            Ok(false) | Err(_) => {}
        }
        self.start(endpoint, policy).await
    }

    /// Returns why the daemon that was started in the background did not come up, if it has
    /// reported that by now.
    pub(super) fn problem(&self) -> Option<String> {
        let mut spawned = self.lock_spawned();
        let spawned = spawned.as_mut()?;
        if let Some(report) = &mut spawned.report
            && let Ok(outcome) = report.try_recv()
        {
            spawned.problem = outcome.err();
            spawned.report = None;
        }
        let problem = spawned.problem.as_ref()?;
        (!problem.already_running).then(|| problem.message.clone())
    }

    async fn start_before(
        &self,
        endpoint: &DaemonEndpoint,
        deadline: Option<Instant>,
    ) -> Result<(), Failure> {
        let mut spawns = 0;
        loop {
            let background = self.lock_spawned().take();
            let spawned = match background {
                Some(spawned) => spawned,
                None => match spawn_alone(endpoint, deadline).await? {
                    Some(spawned) => spawned,
                    None => return Ok(()),
                },
            };
            spawns += 1;
            let error = match spawned.outcome(deadline).await {
                Some(Ok(())) => return Ok(()),
                Some(Err(error)) => error,
                None => StartError::new(format!(
                    "docksd did not become ready within {} s",
                    START_LIMIT.as_secs()
                )),
            };
            let mut pauses = Pauses::new();
            loop {
                if endpoint.accepts_connections().await {
                    return Ok(());
                }
                let over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
                if error.was_killed && !over {
                    break;
                }
                if !error.already_running || over {
                    return Err(error.into());
                }
                if !endpoint.is_locked() {
                    break;
                }
                pauses.sleep().await;
            }
            // The other daemon has exited meanwhile, or ours was killed.
            if spawns >= MOST_SPAWNS {
                return Err(error.into());
            }
        }
    }

    fn lock_spawned(&self) -> std::sync::MutexGuard<'_, Option<SpawnedDaemon>> {
        self.spawned
            .lock()
            .expect("nothing panics while holding it")
    }
}

/// Pauses that grow, so that fifty waiting commands leave the processor to the daemon.
struct Pauses(Duration);

impl Pauses {
    fn new() -> Self {
        Self(PAUSES.0)
    }

    async fn sleep(&mut self) {
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(PAUSES.1);
    }
}

/// Spawns a daemon while holding the start-up lock; `None` when another command's daemon answers.
async fn spawn_alone(
    endpoint: &DaemonEndpoint,
    deadline: Option<Instant>,
) -> Result<Option<SpawnedDaemon>, Failure> {
    let program = find_docksd(&endpoint.environment)?;
    let mut pauses = Pauses::new();
    let lock = loop {
        if let Some(lock) = endpoint.try_startup_lock()? {
            break lock;
        }
        // The holder of the lock may have succeeded, and be busy with its own work.
        if endpoint.accepts_connections().await {
            return Ok(None);
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Failure::new(
                Kind::Unreachable,
                format!(
                    "another command has been starting docksd for more than {} s",
                    START_LIMIT.as_secs()
                ),
            ));
        }
        pauses.sleep().await;
    };
    if endpoint.accepts_connections().await {
        return Ok(None);
    }
    spawn(&program, endpoint, lock).map(Some)
}

/// Spawns docksd as a background process and reads its report in a thread.
fn spawn(
    program: &Path,
    endpoint: &DaemonEndpoint,
    startup_lock: File,
) -> Result<SpawnedDaemon, Failure> {
    let mut command = background_docksd_command(program);
    if let Some(socket) = endpoint.socket_outside() {
        command.arg("--socket").arg(socket);
    }
    command
        .arg("--report")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // Away from a directory the user may want to unmount. docksd leaves the session of the
        // terminal itself, which a leader of a process group could not.
        .current_dir("/");
    let child = inherited_descriptors::withhold(|| command.spawn()).map_err(|e| {
        let doing = format!("could not run {}", program.display());
        Failure::chain(Kind::Unreachable, &doing, &e)
    })?;
    let (sender, receiver) = oneshot::channel();
    // A thread and not a task: it may outlive the command, which must not wait for it.
    let reader = std::thread::Builder::new()
        .name("report".to_owned())
        .spawn(move || {
            let report = read_report(child);
            drop(startup_lock);
            // The command may have finished without waiting for the report.
            sender.send(report).ok();
        });
    reader.map_err(|e| Failure::chain(Kind::Failed, "could not start a thread", &e))?;
    Ok(SpawnedDaemon {
        report: Some(receiver),
        problem: None,
    })
}

fn read_report(mut child: Child) -> Result<(), StartError> {
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take()
        && let Err(error) = BufReader::new(stdout.take(REPORT_BYTES)).read_line(&mut line)
    {
        return Err(StartError::new(format!(
            "docksd did not start: its report could not be read: {error}"
        )));
    }
    match serde_json::from_str::<Report>(&line) {
        Ok(Report { ready: true, .. }) => Ok(()),
        Ok(Report { reason, code, .. }) => Err(StartError {
            message: match reason {
                Some(reason) => format!("docksd did not start: {reason}"),
                None => "docksd did not start and reported no reason".to_owned(),
            },
            already_running: code.as_deref() == Some("already_running"),
            was_killed: false,
        }),
        Err(_) if line.is_empty() => {
            let (how, was_killed) = match child.wait() {
                Ok(status) => (status.to_string(), status.signal().is_some()),
                Err(error) => (error.to_string(), false),
            };
            let message = format!("docksd exited without reporting a reason ({how})");
            Err(StartError {
                was_killed,
                ..StartError::new(message)
            })
        }
        Err(_) => Err(StartError::new(
            "docksd did not start: its report is not valid",
        )),
    }
}
