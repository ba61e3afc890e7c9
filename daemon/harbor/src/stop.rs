//! Stopping a job: one signal to the one process that holds its log, like Ctrl-C.
//!
//! A second signal could interrupt Harbor's clean-up, so none is sent while the first one takes effect. A
//! process that cannot clean up is killed only on request. Other programs may have the log open as well: without
//! being told which process is meant, only one that is Harbor's gets a signal.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use docks_proto::object::RawObject;
use docks_proto::routes::{Action, ProcessStop};
use docks_proto::time::UnixMs;
use docksd_remote::RemoteError;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::disk::file_version::FileVersion;
use crate::snapshot::harbor_command::is_harbor;
use crate::snapshot::job_snapshot::JobSnapshot;
use crate::snapshot::liveness::SentSignal;
use crate::snapshot::processes::Processes;
use crate::state::State;

/// Files of a job that only its process writes, at its start and later; a resumed job writes them again.
const STATE_FILES: [&str; 3] = ["config.json", "lock.json", "result.json"];
/// By how much a process may appear to have started after it wrote a file: the clocks of file systems differ.
const CLOCK_SLACK: Duration = Duration::from_secs(2);

/// A process, held so that it cannot be mistaken for a later one with the same number.
struct JobProcess {
    pid: u32,
    number: Pid,
    /// `None` if the system has no such handles; then the number must do.
    handle: Option<OwnedFd>,
}

impl State {
    /// Carries out an action on a job; returns the job as it is afterwards.
    pub(super) fn act(
        &mut self,
        action: Action,
        id: &str,
        options: ProcessStop,
        now: UnixMs,
    ) -> Result<RawObject, RemoteError> {
        let folder = self.find_job(id, now)?;
        let Some(job) = self.snapshot.jobs.get_mut(&folder) else {
            return Err(self.not_found(id));
        };
        let command = match action {
            Action::Start | Action::Resume => Some(("started", "resumes")),
            Action::Retry => Some(("retried", "runs what was cancelled or lost again in")),
            Action::Pause => {
                return Err(RemoteError::Unsupported(format!(
                    "`harbor run` cannot pause the job `{}`; `docks runs stop` ends it, and \
                     `harbor job resume -p {}` goes on",
                    job.name,
                    job.dir.display()
                )));
            }
            Action::Stop | Action::Cancel => None,
        };
        if let Some((done, does)) = command {
            return Err(RemoteError::Unsupported(format!(
                "a job of a Harbor jobs directory is {done} with Harbor itself: \
                 `harbor job resume -p {}` {does} `{}`",
                job.dir.display(),
                job.name
            )));
        }
        send_stop_signal(job, &mut self.snapshot.processes, options, now)?;
        self.update_published(now)?;
        let published = self.published.by_folder().get(&folder);
        published
            .map(|job| job.object(action.kind()).clone())
            .ok_or_else(|| self.not_found(id))
    }
}

fn send_stop_signal(
    job: &mut JobSnapshot,
    processes: &mut Processes,
    options: ProcessStop,
    now: UnixMs,
) -> Result<(), RemoteError> {
    let name = &job.name;
    if job.is_finished() || !job.liveness.is_alive() {
        let message = format!("job `{name}` is not running, so there is nothing to stop");
        return Err(not_possible(message, None));
    }
    let process = find_process(job, processes, options.pid, now)?;
    if !options.kill && processes.is_suspended(process.pid) {
        return Err(suspended(name, process.pid));
    }
    let already_sent = job.sent_signal.is_some_and(|sent| sent.pid == process.pid);
    let graceful = if already_sent || processes.is_suspended(process.pid) {
        None
    } else {
        graceful_signal(processes.caught_signals(process.pid).unwrap_or(0))
    };
    let (signal, word) = match (graceful, options.kill) {
        (Some(signal), _) => signal,
        // It is stopping; another signal would only disturb it.
        (None, false) if already_sent => return Ok(()),
        (None, false) => return Err(needs_kill(name, process.pid, processes)),
        (None, true) => (Signal::KILL, "SIGKILL"),
    };
    // Check once more, of the process that is held now: the number may have been another one's when it was found.
    let log = job.process_log();
    let is_still_it = |log: &Path| {
        processes.holds_open(process.pid, log)
            && (options.pid.is_some() || looks_like_harbor(processes, process.pid, log, now))
    };
    if !log.is_some_and(|log| is_still_it(&log)) {
        return Err(just_exited(name));
    }
    send_signal(&process, signal).map_err(|error| send_failure(error, &process, job, processes))?;
    tracing::info!(
        job = job.name,
        pid = process.pid,
        signal = word,
        "sent a signal"
    );
    job.sent_signal = Some(SentSignal {
        pid: process.pid,
        signal: word,
    });
    job.version += 1;
    Ok(())
}

/// Finds the one process behind a job, or the `chosen` one, and holds it.
fn find_process(
    job: &JobSnapshot,
    processes: &mut Processes,
    chosen: Option<u32>,
    now: UnixMs,
) -> Result<JobProcess, RemoteError> {
    let log = job.process_log().unwrap_or_else(|| job.log_path());
    let (holders, some_hidden) = processes.all_holders(&log);
    let pid = match chosen {
        Some(pid) if holders.contains(&pid) => pid,
        Some(pid) => return Err(not_a_holder(job, processes, pid, &holders)),
        None => choose(job, processes, &holders, some_hidden, &log, now)?,
    };
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let number = number.ok_or_else(|| just_exited(&job.name))?;
    let handle = match rustix::process::pidfd_open(number, PidfdFlags::empty()) {
        Ok(handle) => Some(handle),
        Err(Errno::SRCH) => return Err(just_exited(&job.name)),
        Err(_) => None,
    };
    Ok(JobProcess {
        pid,
        number,
        handle,
    })
}

/// Chooses the one process of those that hold the log that is Harbor's.
fn choose(
    job: &JobSnapshot,
    processes: &Processes,
    holders: &[u32],
    some_hidden: bool,
    log: &Path,
    now: UnixMs,
) -> Result<u32, RemoteError> {
    let name = &job.name;
    let of_harbor = holders.iter().copied();
    let of_harbor = of_harbor.filter(|pid| looks_like_harbor(processes, *pid, log, now));
    let of_harbor: Vec<u32> = of_harbor.collect();
    let hint = "`--pid PID` stops one of them all the same";
    match processes.without_children(&of_harbor).as_slice() {
        [pid] => Ok(*pid),
        [] if holders.is_empty() => Err(no_process_found(job, some_hidden)),
        [] => {
            let found = processes.without_children(holders);
            let found = describe(processes, &found);
            let message = format!(
                "nothing was sent: what writes to job `{name}` does not look like the Harbor that runs it: {found}"
            );
            Err(not_possible(message, Some(hint.to_owned())))
        }
        several => {
            let message = format!(
                "several processes write to job `{name}`, so it is not clear which one to stop: {}",
                describe(processes, several)
            );
            Err(not_possible(message, Some(hint.to_owned())))
        }
    }
}

/// Whether a process that holds the log is Harbor by its program, and was there when the job's files were written.
///
/// Harbor creates the log and then its other files. A job that is resumed has an older log, but its new process begins
/// by writing the other files again. A process that started after the last of them has written none.
fn looks_like_harbor(processes: &Processes, pid: u32, log: &Path, now: UnixMs) -> bool {
    let program = processes.program(pid);
    let is_harbor = program.is_some_and(|program| is_harbor(&program, &processes.arguments(pid)));
    if !is_harbor {
        return false;
    }
    let created = fs::metadata(log).and_then(|meta| meta.created());
    let created = created.ok().and_then(|time| {
        let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(UnixMs(i64::try_from(since.as_millis()).ok()?))
    });
    let written = STATE_FILES.iter().filter_map(|file| {
        let version = FileVersion::for_file(&log.with_file_name(file))?;
        Some(UnixMs(version.modified().millis()))
    });
    let newest = written.chain(created).max();
    let started = processes.started(pid, now);
    newest
        .zip(started)
        .is_some_and(|(newest, started)| started <= newest.plus(CLOCK_SLACK))
}

/// Lists processes for people: number and command line.
fn describe(processes: &Processes, pids: &[u32]) -> String {
    let named = pids.iter().map(|pid| match processes.command_line(*pid) {
        Some(command) => format!("{pid} ({command})"),
        None => pid.to_string(),
    });
    named.collect::<Vec<_>>().join(", ")
}

fn not_a_holder(
    job: &JobSnapshot,
    processes: &Processes,
    pid: u32,
    holders: &[u32],
) -> RemoteError {
    let found = match holders {
        [] => "no process that is visible here does".to_owned(),
        found => format!("these do: {}", describe(processes, found)),
    };
    let message = format!(
        "nothing was sent: process {pid} does not write to job `{}`; {found}",
        job.name
    );
    not_possible(message, None)
}

fn just_exited(name: &str) -> RemoteError {
    not_possible(format!("the process of job `{name}` has just exited"), None)
}

/// Returns the signal on which the process cleans up; `caught` is the mask of those that it catches.
fn graceful_signal(caught: u64) -> Option<(Signal, &'static str)> {
    [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")]
        .into_iter()
        .find(|(signal, _)| caught & (1 << (signal.as_raw() - 1)) != 0)
}

fn send_signal(process: &JobProcess, signal: Signal) -> Result<(), Errno> {
    match &process.handle {
        Some(handle) => rustix::process::pidfd_send_signal(handle, signal),
        None => rustix::process::kill_process(process.number, signal),
    }
}

fn not_possible(message: String, hint: Option<String>) -> RemoteError {
    RemoteError::NotPossible {
        message,
        hint,
        needs_kill: false,
    }
}

/// Returns the error for a job without a visible process although its files say that it runs.
fn no_process_found(job: &JobSnapshot, some_hidden: bool) -> RemoteError {
    let name = &job.name;
    let owner = std::fs::symlink_metadata(job.log_path())
        .map(|meta| std::os::unix::fs::MetadataExt::uid(&meta))
        .ok()
        .filter(|owner| *owner != rustix::process::geteuid().as_raw());
    let message = match owner {
        Some(owner) if some_hidden => {
            format!("job `{name}` belongs to user {owner}, whose processes cannot be inspected")
        }
        _ => format!(
            "no process that writes to job `{name}` is visible here; it may run on another \
             machine, in a container or as another user"
        ),
    };
    let hint = "stop it where it runs, with Ctrl-C or `kill -TERM PID`";
    not_possible(message, Some(hint.to_owned()))
}

fn suspended(name: &str, pid: u32) -> RemoteError {
    RemoteError::NotPossible {
        message: format!(
            "job `{name}` is suspended: its process {pid} notices no signal until it continues"
        ),
        hint: Some(format!(
            "`kill -CONT {pid}` (or `fg` where it was started) continues it, then stop it again; `--kill` kills it: \
             running trials are lost, and what they started may keep running"
        )),
        needs_kill: true,
    }
}

fn needs_kill(name: &str, pid: u32, processes: &Processes) -> RemoteError {
    let called = describe(processes, &[pid]);
    RemoteError::NotPossible {
        message: format!(
            "job `{name}` cannot be stopped gracefully: its process {called} catches neither \
             SIGTERM nor SIGINT"
        ),
        hint: Some(
            "`--kill` kills it: running trials are lost, and what they started may keep running"
                .to_owned(),
        ),
        needs_kill: true,
    }
}

fn send_failure(
    error: Errno,
    process: &JobProcess,
    job: &JobSnapshot,
    processes: &Processes,
) -> RemoteError {
    let (name, pid) = (&job.name, process.pid);
    match error {
        Errno::PERM => {
            let user = processes.user_of(pid);
            let whose = user
                .map(|user| format!(" of user {user}"))
                .unwrap_or_default();
            not_possible(
                format!(
                    "you are not permitted to stop process {pid}{whose}, which runs job `{name}`"
                ),
                Some("stop it as that user".to_owned()),
            )
        }
        Errno::SRCH => just_exited(name),
        error => not_possible(
            format!("process {pid}, which runs job `{name}`, could not be stopped: {error}"),
            None,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signal_is_one_that_the_process_catches() {
        let word = |caught| graceful_signal(caught).map(|(_, word)| word);
        // `harbor run`; `harbor job resume`; one that a script put into the background.
        assert_eq!(word(0x4002), Some("SIGTERM"));
        assert_eq!(word(0x0002), Some("SIGINT"));
        assert_eq!(word(0x1000), None);
    }

    /// A process of number 42 as `/proc` would show it.
    fn shown(program: &str, arguments: &str, started_ago: u64) -> tempfile::TempDir {
        const UPTIME_S: u64 = 100_000;
        let dir = tempfile::tempdir().unwrap();
        let process = dir.path().join("42");
        fs::create_dir(&process).unwrap();
        std::os::unix::fs::symlink(program, process.join("exe")).unwrap();
        fs::write(process.join("cmdline"), arguments.replace(' ', "\0")).unwrap();
        let ticks = (UPTIME_S - started_ago) * rustix::param::clock_ticks_per_second();
        // The name of a process may look like more fields.
        let stat = format!("42 (a) b ) S {}{ticks} 0 0\n", "1 ".repeat(18));
        fs::write(process.join("stat"), stat).unwrap();
        fs::write(dir.path().join("uptime"), format!("{UPTIME_S}.00 1.00\n")).unwrap();
        dir
    }

    #[test]
    fn harbor_was_there_when_the_files_of_its_job_were_written() {
        let job = tempfile::tempdir().unwrap();
        let log = job.path().join("job.log");
        fs::write(&log, "").unwrap();
        let now = UnixMs::now();
        let looks = |program: &str, arguments: &str, started_ago: u64, now: UnixMs| {
            let proc_dir = shown(program, arguments, started_ago);
            looks_like_harbor(&Processes::new(proc_dir.path().into()), 42, &log, now)
        };
        let python = ("/usr/bin/python3.13", "python /venv/bin/harbor run");
        assert!(looks(python.0, python.1, 10, now));
        assert!(!looks("/usr/bin/vim", "vim harbor", 10, now));
        // It started an hour after the job's files were written: whatever it is, it did not write them.
        let later = now.plus(Duration::from_secs(7_200));
        assert!(!looks(python.0, python.1, 3_600, later));
        // It resumes the job, and has begun by writing one of them again.
        let config = fs::File::create(job.path().join("config.json")).unwrap();
        let written = std::time::SystemTime::now() + Duration::from_secs(3_700);
        config.set_modified(written).unwrap();
        assert!(looks(python.0, python.1, 3_600, later));
    }
}
