//! Stopping a job: one signal to the one process that holds its log, like Ctrl-C.
//!
//! A second signal could interrupt Harbor's clean-up, so none is sent while the first one takes effect. A
//! process that cannot clean up is killed only on request.

use std::os::fd::OwnedFd;

use docks_proto::object::RawObject;
use docks_proto::routes::Action;
use docks_proto::time::UnixMs;
use docksd_remote::RemoteError;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::snapshot::job_snapshot::JobSnapshot;
use crate::snapshot::liveness::SentSignal;
use crate::snapshot::processes::Processes;
use crate::state::State;

/// How far a stop may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StopMode {
    /// Only a signal that the process catches is sent.
    Graceful,
    /// A process that catches none, or that was sent one already, may be killed.
    MayKill,
}

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
        mode: StopMode,
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
        send_stop_signal(job, &mut self.snapshot.processes, mode)?;
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
    mode: StopMode,
) -> Result<(), RemoteError> {
    let name = &job.name;
    if job.is_finished() || !job.liveness.is_alive() {
        let message = format!("job `{name}` is not running, so there is nothing to stop");
        return Err(not_possible(message, None));
    }
    let process = find_process(job, processes)?;
    if mode == StopMode::Graceful && processes.is_suspended(process.pid) {
        return Err(suspended(name, process.pid));
    }
    let already_sent = job.sent_signal.is_some_and(|sent| sent.pid == process.pid);
    let graceful = if already_sent || processes.is_suspended(process.pid) {
        None
    } else {
        graceful_signal(processes.caught_signals(process.pid).unwrap_or(0))
    };
    let (signal, word) = match (graceful, mode) {
        (Some(signal), _) => signal,
        // It is stopping; another signal would only disturb it.
        (None, StopMode::Graceful) if already_sent => return Ok(()),
        (None, StopMode::Graceful) => return Err(needs_kill(name, process.pid, processes)),
        (None, StopMode::MayKill) => (Signal::KILL, "SIGKILL"),
    };
    // Check once more: only the process that is held, and only if it still holds the log.
    let log = job.process_log();
    if !log.is_some_and(|log| processes.holds_open(process.pid, &log)) {
        let message = format!("the process of job `{name}` has just exited");
        return Err(not_possible(message, None));
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

/// Finds the one process behind a job and holds it.
fn find_process(job: &JobSnapshot, processes: &mut Processes) -> Result<JobProcess, RemoteError> {
    let name = &job.name;
    let log = job.process_log().unwrap_or_else(|| job.log_path());
    let (holders, some_hidden) = processes.all_holders(&log);
    let pid = match holders.as_slice() {
        [pid] => *pid,
        [] => return Err(no_process_found(job, some_hidden)),
        several => {
            let pids: Vec<String> = several.iter().map(u32::to_string).collect();
            let message = format!(
                "several processes write to job `{name}` ({}), so it is not clear which one to stop",
                pids.join(", ")
            );
            let hint = "stop one of them with `kill -TERM PID`, then try again";
            return Err(not_possible(message, Some(hint.to_owned())));
        }
    };
    let gone = || not_possible(format!("the process of job `{name}` has just exited"), None);
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let number = number.ok_or_else(gone)?;
    let handle = match rustix::process::pidfd_open(number, PidfdFlags::empty()) {
        Ok(handle) => Some(handle),
        Err(Errno::SRCH) => return Err(gone()),
        Err(_) => None,
    };
    Ok(JobProcess {
        pid,
        number,
        handle,
    })
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
    let command = processes.command_line(pid);
    let called = command
        .map(|command| format!(" ({command})"))
        .unwrap_or_default();
    RemoteError::NotPossible {
        message: format!(
            "job `{name}` cannot be stopped gracefully: its process {pid}{called} catches neither \
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
        Errno::SRCH => not_possible(format!("the process of job `{name}` has just exited"), None),
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
}
