//! Starting a daemon: lock, look again, spawn, hear whether it is ready.
//!
//! The start-up lock keeps many commands from spawning at once; that no two
//! daemons serve one socket is for the daemon's own lifetime lock.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use docks_proto::credentials::files;
use serde::Deserialize;
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::{Door, SocketState};
use crate::environment::Environment;
use crate::failure::{Failure, Kind};

/// How long another command's start, and then our own, may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a connection to a daemon that listens can take.
const CONNECT: Duration = Duration::from_millis(150);

/// How often a lock or socket is tried while waiting for it.
const PAUSE: Duration = Duration::from_millis(10);

/// Longest report that is read; a real one has a hundred bytes.
const REPORT_BYTES: u64 = 16 * 1024;

/// Variables that pick a remote for one command. They must not become the daemon's own, which
/// serves every profile and would hand one profile's token to another.
pub(super) const NOT_INHERITED: [&str; 5] = [
    "DOCKS_API_URL",
    "DOCKS_TENANT_ID",
    "DOCKS_TOKEN",
    "DOCKS_PROFILE",
    "DOCKS_HARBOR_JOBS",
];

/// What came of beginning to start.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Begun {
    /// Somebody else's daemon answers meanwhile.
    Running,
    /// One is being started, by us or by another command.
    Starting,
}

/// A daemon that we have spawned and that has not reported yet.
#[derive(Debug)]
pub(super) struct Starting {
    report: Option<oneshot::Receiver<Result<(), NotReady>>>,
    problem: Option<NotReady>,
    /// Held until this command ends or the report is there.
    _lock: File,
}

impl Starting {
    /// Returns the reason if the daemon has reported one; does not wait.
    pub(super) fn problem(&mut self) -> Option<String> {
        if let Some(report) = &mut self.report
            && let Ok(told) = report.try_recv()
        {
            self.problem = told.err();
            self.report = None;
        }
        let problem = self.problem.as_ref().filter(|problem| !problem.another);
        problem.map(|problem| problem.reason.clone())
    }
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

/// Why a daemon that we spawned is not the one that answers.
#[derive(Debug, Clone)]
pub(super) struct NotReady {
    reason: String,
    /// Another one holds the lifetime lock, and may be about to listen.
    another: bool,
}

impl NotReady {
    fn because(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            another: false,
        }
    }
}

/// Begins to start a daemon and does not wait for it.
pub(super) async fn begin(door: &Door) -> Result<Begun, Failure> {
    if door
        .starting
        .lock()
        .expect("nothing panics while holding it")
        .is_some()
    {
        return Ok(Begun::Starting);
    }
    let program = find_docksd(&door.environment)?;
    let Some(lock) = try_lock(door)? else {
        return Ok(Begun::Starting);
    };
    if answers(&door.places.socket).await {
        return Ok(Begun::Running);
    }
    let report = spawn(&program)?;
    *door
        .starting
        .lock()
        .expect("nothing panics while holding it") = Some(Starting {
        report: Some(report),
        problem: None,
        _lock: lock,
    });
    Ok(Begun::Starting)
}

/// Starts a daemon and waits until it is ready, or until somebody else's is.
pub(super) async fn start(door: &Door) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    let begun = door
        .starting
        .lock()
        .expect("nothing panics while holding it")
        .take();
    if let Some(starting) = begun {
        return hear(door, starting, deadline).await;
    }
    let program = find_docksd(&door.environment)?;
    let lock = loop {
        if let Some(lock) = try_lock(door)? {
            break lock;
        }
        // Whoever holds the lock may have succeeded already and be busy with its own work.
        if answers(&door.places.socket).await {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(broken(
                "another command has been starting docksd for too long",
            ));
        }
        sleep(PAUSE).await;
    };
    if answers(&door.places.socket).await {
        return Ok(());
    }
    let starting = Starting {
        report: Some(spawn(&program)?),
        problem: None,
        _lock: lock,
    };
    hear(door, starting, deadline).await
}

async fn hear(door: &Door, mut starting: Starting, deadline: Instant) -> Result<(), Failure> {
    let told = match starting.report.take() {
        Some(report) => tokio::time::timeout_at(deadline, report).await,
        None => Ok(Ok(starting.problem.take().map_or(Ok(()), Err))),
    };
    let problem = match told {
        Ok(Ok(Ok(()))) => return Ok(()),
        Ok(Ok(Err(problem))) => problem,
        Ok(Err(_)) => NotReady::because("it ended without a word"),
        Err(_) => NotReady::because("it did not become ready in time"),
    };
    loop {
        if answers(&door.places.socket).await {
            return Ok(());
        }
        if !problem.another || Instant::now() >= deadline {
            return Err(broken(&format!("docksd did not start: {}", problem.reason))
                .hint("`docks daemon logs` may say more"));
        }
        sleep(PAUSE).await;
    }
}

/// Tells whether somebody accepts connections on a socket.
pub(super) async fn answers(socket: &Path) -> bool {
    match timeout(CONNECT, UnixStream::connect(socket)).await {
        Ok(Ok(_)) => true,
        // Only a listener has a queue that can be full.
        Ok(Err(error)) => error.kind() == std::io::ErrorKind::WouldBlock,
        Err(_) => false,
    }
}

/// Takes the start-up lock if nobody holds it.
pub(super) fn try_lock(door: &Door) -> Result<Option<File>, Failure> {
    let dir = door.places.run_dir();
    let failed =
        |doing: &str, error: &std::io::Error| Failure::chain(Kind::Unreachable, doing, error);
    files::make_private_dir(dir)
        .map_err(|e| failed(&format!("could not make {}", dir.display()), &e))?;
    if let SocketState::Foreign(reason) = door.socket_state() {
        return Err(broken(&reason));
    }
    let path = door.places.startup_lock();
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

/// Finds the daemon's program: `DOCKSD`, else beside this one, else on `PATH`.
///
/// # Errors
///
/// When there is none.
pub(crate) fn find_docksd(environment: &Environment) -> Result<PathBuf, Failure> {
    if let Some(named) = &environment.docksd {
        return if named.is_absolute() && named.is_file() {
            Ok(named.clone())
        } else {
            Err(broken(&format!(
                "DOCKSD must be the absolute path of a program, not {}",
                named.display()
            )))
        };
    }
    let beside = environment
        .program
        .as_ref()
        .map(|p| p.with_file_name("docksd"));
    let on_path = environment
        .search_path
        .iter()
        .flat_map(std::env::split_paths)
        // An empty or relative entry means the current directory, where nothing is ours.
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join("docksd"));
    beside
        .into_iter()
        .chain(on_path)
        .find(|path| path.is_file())
        .ok_or_else(|| {
            broken("there is no docksd beside docks or on PATH")
                .hint("install docksd beside docks, or name it in DOCKSD")
        })
}

/// Returns docksd, ready for arguments, without what picks a remote for one command.
pub(crate) fn docksd(program: &Path) -> Command {
    let mut command = Command::new(program);
    for name in NOT_INHERITED {
        command.env_remove(name);
    }
    command
}

/// Has docksd read its settings and end, so that nothing is given up for one that cannot start.
///
/// # Errors
///
/// What is wrong with them.
pub(crate) fn check(environment: &Environment) -> Result<(), Failure> {
    /// With it a release of docksd ends that does not know the option.
    const USAGE: i32 = 2;
    let program = find_docksd(environment)?;
    let mut command = docksd(&program);
    command.arg("--check").stdin(Stdio::null());
    let checked = command.output().map_err(|e| {
        let doing = format!("could not run {}", program.display());
        Failure::chain(Kind::Unreachable, &doing, &e)
    })?;
    if checked.status.success() || checked.status.code() == Some(USAGE) {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&checked.stderr);
    let reason = said.trim().trim_start_matches("docksd: ");
    Err(Failure::new(
        Kind::Usage,
        format!("docksd would not start: {reason}"),
    ))
}

/// Spawns docksd on its own and listens for its report in the background.
fn spawn(program: &Path) -> Result<oneshot::Receiver<Result<(), NotReady>>, Failure> {
    let mut command = docksd(program);
    command
        .arg("--report")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // Away from the terminal's signals, and from a directory somebody may want to unmount.
        .process_group(0)
        .current_dir("/");
    let child = command.spawn().map_err(|e| {
        let doing = format!("could not run {}", program.display());
        Failure::chain(Kind::Unreachable, &doing, &e)
    })?;
    let (tell, told) = oneshot::channel();
    // A thread and not a task: it may outlive the command, which must not wait for it.
    let listening = std::thread::Builder::new()
        .name("report".to_owned())
        .spawn(move || {
            // Nobody listens any more when the command was faster.
            tell.send(read_report(child)).ok();
        });
    listening.map_err(|e| Failure::chain(Kind::Failed, "could not start a thread", &e))?;
    Ok(told)
}

fn read_report(mut child: Child) -> Result<(), NotReady> {
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take()
        && let Err(error) = BufReader::new(stdout.take(REPORT_BYTES)).read_line(&mut line)
    {
        let reason = format!("its report cannot be read: {error}");
        return Err(NotReady::because(reason));
    }
    match serde_json::from_str::<Report>(&line) {
        Ok(Report { ready: true, .. }) => Ok(()),
        Ok(Report { reason, code, .. }) => Err(NotReady {
            reason: reason.unwrap_or_else(|| "it gave no reason".to_owned()),
            another: code.as_deref() == Some("already_running"),
        }),
        Err(_) if line.is_empty() => Err(NotReady::because(match child.wait() {
            Ok(status) => format!("it ended without a word, {status}"),
            Err(error) => format!("it ended without a word: {error}"),
        })),
        Err(_) => Err(NotReady::because("its report makes no sense")),
    }
}

fn broken(reason: &str) -> Failure {
    Failure::new(Kind::Unreachable, reason)
}
