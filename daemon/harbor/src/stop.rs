//! Stopping a job: one signal to the one process that holds its log, as Ctrl-C would send it.
//!
//! A second signal may cut Harbor's cleaning up short, so none is sent while the
//! first one works. A process that cannot clean up is killed only when asked to.

use std::os::fd::OwnedFd;

use docks_proto::object::RawObject;
use docks_proto::routes::Action;
use docks_proto::time::UnixMs;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::snapshot::job_snapshot::{Asked, JobSeen};
use crate::snapshot::processes::Processes;
use crate::state::{State, unwritable};
use docksd_remote::RemoteError;

/// How far a stop may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hardness {
    /// Only a signal that the process catches.
    Gentle,
    /// A process that catches none, or that was asked already, may be killed.
    MayKill,
}

/// A process that cannot be taken for a later one with the same number.
struct Held {
    pid: u32,
    number: Pid,
    /// Where the system has no such handles the number must do.
    handle: Option<OwnedFd>,
}

impl State {
    /// Carries out an action on a job; returns it as it is then.
    pub(super) fn act(
        &mut self,
        action: Action,
        id: &str,
        hardness: Hardness,
        now: UnixMs,
    ) -> Result<RawObject, RemoteError> {
        let folder = self.look_for(id, now)?;
        let Some(job) = self.index.jobs.get_mut(&folder) else {
            return Err(self.not_found(id));
        };
        if action == Action::Start {
            return Err(RemoteError::Unsupported(format!(
                "a job of a Harbor jobs directory is started with Harbor itself: \
                 `harbor job resume -p {}` goes on with `{}`",
                job.dir.display(),
                job.folder
            )));
        }
        stop(job, &mut self.index.processes, hardness)?;
        self.tellings.update(&self.index, now).map_err(unwritable)?;
        let told = self.tellings.all().get(&folder);
        told.map(|told| told.object(action.kind()).clone())
            .ok_or_else(|| self.not_found(id))
    }
}

fn stop(
    job: &mut JobSeen,
    processes: &mut Processes,
    hardness: Hardness,
) -> Result<(), RemoteError> {
    let name = &job.folder;
    if job.finished() || !job.life.alive() {
        let message = format!("job `{name}` is not running, so there is nothing to stop");
        return Err(unfit(message, None));
    }
    let held = hold(job, processes)?;
    let asked_already = job.asked_to_stop.is_some_and(|asked| asked.pid == held.pid);
    let gentle = if asked_already {
        None
    } else {
        gentle_signal(processes.caught(held.pid).unwrap_or(0))
    };
    let (signal, word) = match (gentle, hardness) {
        (Some(signal), _) => signal,
        // It is at it; another signal would only disturb it.
        (None, Hardness::Gentle) if asked_already => return Ok(()),
        (None, Hardness::Gentle) => return Err(only_killing(name, held.pid, processes)),
        (None, Hardness::MayKill) => (Signal::KILL, "SIGKILL"),
    };
    // Looked up once more: only the process that is held, and only if the log is still its.
    if !processes.holds(held.pid, &job.log_path()) {
        let message = format!("the process of job `{name}` has just ended");
        return Err(unfit(message, None));
    }
    send(&held, signal).map_err(|error| not_sent(error, &held, job, processes))?;
    tracing::info!(
        job = job.folder,
        pid = held.pid,
        signal = word,
        "sent a signal"
    );
    job.asked_to_stop = Some(Asked {
        pid: held.pid,
        signal: word,
    });
    job.version += 1;
    Ok(())
}

/// Finds the one process behind a job and holds on to it.
fn hold(job: &JobSeen, processes: &mut Processes) -> Result<Held, RemoteError> {
    let (name, log) = (&job.folder, job.log_path());
    let (holders, hidden) = processes.holders(&log);
    let pid = match holders.as_slice() {
        [pid] => *pid,
        [] => return Err(nobody(job, hidden)),
        several => {
            let pids: Vec<String> = several.iter().map(u32::to_string).collect();
            let message = format!(
                "several processes write to job `{name}` ({}), so it is not clear which is meant",
                pids.join(", ")
            );
            let hint = "stop one of them with `kill -TERM PID`, then try again";
            return Err(unfit(message, Some(hint.to_owned())));
        }
    };
    let gone = || unfit(format!("the process of job `{name}` has just ended"), None);
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let number = number.ok_or_else(gone)?;
    let handle = match rustix::process::pidfd_open(number, PidfdFlags::empty()) {
        Ok(handle) => Some(handle),
        Err(Errno::SRCH) => return Err(gone()),
        Err(_) => None,
    };
    Ok(Held {
        pid,
        number,
        handle,
    })
}

/// Returns the signal on which the process cleans up; it says itself which ones it catches.
fn gentle_signal(caught: u64) -> Option<(Signal, &'static str)> {
    [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")]
        .into_iter()
        .find(|(signal, _)| caught & (1 << (signal.as_raw() - 1)) != 0)
}

fn send(held: &Held, signal: Signal) -> Result<(), Errno> {
    match &held.handle {
        Some(handle) => rustix::process::pidfd_send_signal(handle, signal),
        None => rustix::process::kill_process(held.number, signal),
    }
}

fn unfit(message: String, hint: Option<String>) -> RemoteError {
    RemoteError::NotPossible {
        message,
        hint,
        needs_kill: false,
    }
}

/// Says why no process is to be seen though the job's files live.
fn nobody(job: &JobSeen, hidden: bool) -> RemoteError {
    let name = &job.folder;
    let owner = std::fs::symlink_metadata(job.log_path())
        .map(|meta| std::os::unix::fs::MetadataExt::uid(&meta))
        .ok()
        .filter(|owner| *owner != rustix::process::geteuid().as_raw());
    let message = match owner {
        Some(owner) if hidden => {
            format!("job `{name}` belongs to user {owner}, whose processes cannot be looked at")
        }
        _ => format!(
            "no process that writes to job `{name}` is to be seen here; it may run on another \
             machine, in a container or as another user"
        ),
    };
    let hint = "stop it where it runs, with Ctrl-C or `kill -TERM PID`";
    unfit(message, Some(hint.to_owned()))
}

fn only_killing(name: &str, pid: u32, processes: &Processes) -> RemoteError {
    let command = processes.command(pid);
    let called = command
        .map(|command| format!(" ({command})"))
        .unwrap_or_default();
    RemoteError::NotPossible {
        message: format!(
            "job `{name}` cannot be stopped gently: its process {pid}{called} catches neither \
             SIGTERM nor SIGINT"
        ),
        hint: Some(
            "`--kill` ends it hard: trials under way are lost, and what they started may go on"
                .to_owned(),
        ),
        needs_kill: true,
    }
}

fn not_sent(error: Errno, held: &Held, job: &JobSeen, processes: &Processes) -> RemoteError {
    let (name, pid) = (&job.folder, held.pid);
    match error {
        Errno::PERM => {
            let user = processes.user_of(pid);
            let whose = user
                .map(|user| format!(" of user {user}"))
                .unwrap_or_default();
            unfit(
                format!("process {pid}{whose}, which runs job `{name}`, may not be stopped by you"),
                Some("stop it as that user".to_owned()),
            )
        }
        Errno::SRCH => unfit(format!("the process of job `{name}` has just ended"), None),
        error => unfit(
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
        let word = |caught| gentle_signal(caught).map(|(_, word)| word);
        // `harbor run`; `harbor job resume`; one that a script put into the background.
        assert_eq!(word(0x4002), Some("SIGTERM"));
        assert_eq!(word(0x0002), Some("SIGINT"));
        assert_eq!(word(0x1000), None);
    }
}
