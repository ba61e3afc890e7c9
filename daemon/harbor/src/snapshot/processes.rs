//! Finds the process of a job.
//!
//! No file names it, but until it ends it holds the job's `job.log` open for writing. Linux shows that
//! below `/proc`. Where that is not conclusive (other systems, other users, a folder shared with other
//! machines), the newest change of the job's files decides.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

#[cfg(target_os = "linux")]
use crate::disk::shared_file_system::is_on_shared_file_system;

/// Who holds a log open for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogHolder {
    /// This process.
    Process(u32),
    /// No process.
    NotHeld,
    /// It cannot be determined here.
    Unknown,
}

/// The system's processes as `/proc` shows them.
#[derive(Debug)]
pub(crate) struct Processes {
    proc_dir: PathBuf,
    /// Whether all writers of a directory are visible, by directory.
    conclusive: HashMap<PathBuf, bool>,
    last_holders: HashMap<PathBuf, u32>,
    /// How many times all processes were searched.
    pub(crate) scans: u64,
}

impl Processes {
    /// Takes the directory in which the system shows processes, usually `/proc`.
    pub(crate) fn new(proc_dir: PathBuf) -> Self {
        Self {
            proc_dir,
            conclusive: HashMap::new(),
            last_holders: HashMap::new(),
            scans: 0,
        }
    }

    /// Whether a process that holds the log would be visible.
    fn is_conclusive(&mut self, log: &Path) -> bool {
        // The folder that contains the job's; that may be gone by now.
        let Some(dir) = log.ancestors().nth(2) else {
            return false;
        };
        if let Some(known) = self.conclusive.get(dir) {
            return *known;
        }
        let visible = cfg!(target_os = "linux") && all_writers_visible(&self.proc_dir, dir);
        self.conclusive.insert(dir.to_owned(), visible);
        visible
    }

    /// Returns the process that was found earlier, if it still holds the log. Checks that process only.
    pub(crate) fn recheck(&mut self, log: &Path) -> Option<u32> {
        let pid = *self.last_holders.get(log)?;
        let wanted = BTreeSet::from([log]);
        if self
            .open_logs(pid, &wanted)
            .unwrap_or_default()
            .contains(log)
        {
            return Some(pid);
        }
        self.last_holders.remove(log);
        None
    }

    /// Searches all processes once, for several logs.
    pub(crate) fn find_holders(&mut self, logs: &[PathBuf]) -> HashMap<PathBuf, LogHolder> {
        self.scans += 1;
        let wanted: BTreeSet<&Path> = logs.iter().map(PathBuf::as_path).collect();
        let mut hidden_users = BTreeSet::new();
        let mut found: HashMap<PathBuf, LogHolder> = HashMap::new();
        for pid in self.pids() {
            match self.open_logs(pid, &wanted) {
                Some(held) => {
                    for log in held {
                        self.last_holders.insert(log.to_owned(), pid);
                        found.insert(log.to_owned(), LogHolder::Process(pid));
                    }
                }
                None => hidden_users.extend(self.user_of(pid)),
            }
        }
        for log in logs {
            if found.contains_key(log) {
                continue;
            }
            let conclusive =
                self.is_conclusive(log) && all_owner_processes_visible(log, &hidden_users);
            let held = if conclusive {
                LogHolder::NotHeld
            } else {
                LogHolder::Unknown
            };
            found.insert(log.clone(), held);
        }
        found
    }

    /// Returns every process that holds a log open for writing, and whether some processes were unreadable.
    ///
    /// A process that is just starting another one has a copy of itself for a moment, which is left out.
    pub(crate) fn all_holders(&mut self, log: &Path) -> (Vec<u32>, bool) {
        self.scans += 1;
        let wanted = BTreeSet::from([log]);
        let mut some_hidden = false;
        let mut holders = Vec::new();
        for pid in self.pids() {
            match self.open_logs(pid, &wanted) {
                Some(held) if held.contains(log) => holders.push(pid),
                Some(_) => {}
                None => some_hidden = true,
            }
        }
        let all = holders.clone();
        holders.retain(|pid| {
            let parent = self.parent_of(*pid);
            !parent.is_some_and(|parent| all.contains(&parent))
        });
        (holders, some_hidden)
    }

    /// Whether a process holds a log open for writing now.
    pub(crate) fn holds_open(&self, pid: u32, log: &Path) -> bool {
        let wanted = BTreeSet::from([log]);
        self.open_logs(pid, &wanted)
            .unwrap_or_default()
            .contains(log)
    }

    fn parent_of(&self, pid: u32) -> Option<u32> {
        self.status(pid, "PPid")?.parse().ok()
    }

    /// Returns the signals that a process catches, as a bit mask.
    pub(crate) fn caught_signals(&self, pid: u32) -> Option<u64> {
        u64::from_str_radix(&self.status(pid, "SigCgt")?, 16).ok()
    }

    /// Whether a process is suspended, as by Ctrl-Z or SIGSTOP: it notices no signal until it continues.
    pub(crate) fn is_suspended(&self, pid: u32) -> bool {
        self.status(pid, "State")
            .is_some_and(|state| state.starts_with('T'))
    }

    fn status(&self, pid: u32, key: &str) -> Option<String> {
        let text = fs::read_to_string(self.proc_dir.join(pid.to_string()).join("status")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        Some(line?.strip_prefix(':')?.trim().to_owned())
    }

    /// Returns the command line of a process, for people.
    pub(crate) fn command_line(&self, pid: u32) -> Option<String> {
        let bytes = fs::read(self.proc_dir.join(pid.to_string()).join("cmdline")).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let words: Vec<&str> = text.split('\0').filter(|word| !word.is_empty()).collect();
        (!words.is_empty()).then(|| words.join(" "))
    }

    fn pids(&self) -> Vec<u32> {
        let entries = fs::read_dir(&self.proc_dir).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect()
    }

    /// Returns the id of the user that a process runs as.
    pub(crate) fn user_of(&self, pid: u32) -> Option<u32> {
        fs::metadata(self.proc_dir.join(pid.to_string()))
            .ok()
            .map(|m| m.uid())
    }

    /// Returns which of the logs a process holds open for writing; `None` if reading that is not permitted.
    fn open_logs<'a>(&self, pid: u32, wanted: &BTreeSet<&'a Path>) -> Option<BTreeSet<&'a Path>> {
        let process = self.proc_dir.join(pid.to_string());
        let entries = match fs::read_dir(process.join("fd")) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => return None,
            // It exited in the meantime.
            Err(_) => return Some(BTreeSet::new()),
        };
        let mut held = BTreeSet::new();
        for entry in entries.flatten() {
            let Ok(target) = fs::read_link(entry.path()) else {
                continue;
            };
            if let Some(log) = wanted.get(target.as_path())
                && opened_for_writing(&process.join("fdinfo").join(entry.file_name()))
            {
                held.insert(*log);
            }
        }
        Some(held)
    }
}

/// Whether a file is open for writing, unlike in `tail -f` and editors. If that is unreadable, it counts as open
/// for writing.
fn opened_for_writing(info: &Path) -> bool {
    const ACCESS_MODE: u32 = 0o3;
    let Ok(text) = fs::read_to_string(info) else {
        return true;
    };
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    flags
        .and_then(|octal| u32::from_str_radix(octal.trim(), 8).ok())
        .is_none_or(|flags| flags & ACCESS_MODE != 0)
}

/// Whether every process that could have opened the log is visible: those of its owner.
fn all_owner_processes_visible(log: &Path, hidden_users: &BTreeSet<u32>) -> bool {
    let us = rustix::process::geteuid().as_raw();
    let Ok(owner) = fs::symlink_metadata(log).map(|m| m.uid()) else {
        // A job without a log yet: the process that created its folder is about to open one.
        return false;
    };
    // Other users' processes may be invisible unless we are root.
    (owner == us || us == 0) && !hidden_users.contains(&owner)
}

/// Whether all writers of the directory are processes of this system that are visible.
#[cfg(target_os = "linux")]
fn all_writers_visible(proc_dir: &Path, dir: &Path) -> bool {
    /// The PID namespace in which every process is visible.
    const INITIAL: &str = "pid:[4026531836]";
    if !proc_dir.join("self/fd").exists() {
        return false;
    }
    if is_on_shared_file_system(dir) {
        return false;
    }
    let namespace = fs::read_link(proc_dir.join("self/ns/pid"));
    if namespace.is_ok_and(|n| n.as_os_str() == INITIAL) {
        return true;
    }
    // In a container, a mounted folder may be written to from outside, but the container's own file system
    // cannot.
    let device = |path: &Path| fs::metadata(path).map(|m| m.dev()).ok();
    device(dir).is_some() && device(dir) == device(Path::new("/"))
}

#[cfg(not(target_os = "linux"))]
fn all_writers_visible(_proc_dir: &Path, _dir: &Path) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_a_writer_holds_a_log() {
        let dir = tempfile::tempdir().unwrap();
        let dir = fs::canonicalize(dir.path()).unwrap();
        let job = dir.join("job");
        fs::create_dir(&job).unwrap();
        let log = job.join("job.log");
        fs::write(&log, "").unwrap();
        let mut processes = Processes::new("/proc".into());
        processes.conclusive.insert(dir, true);
        let held = |p: &mut Processes| p.find_holders(std::slice::from_ref(&log))[&log];
        let reader = fs::File::open(&log).unwrap();
        assert_eq!(held(&mut processes), LogHolder::NotHeld);
        let writer = fs::File::options().append(true).open(&log).unwrap();
        assert_eq!(held(&mut processes), LogHolder::Process(std::process::id()));
        assert_eq!(processes.recheck(&log), Some(std::process::id()));
        drop(writer);
        assert_eq!(processes.recheck(&log), None);
        assert_eq!(held(&mut processes), LogHolder::NotHeld);
        drop(reader);
    }

    #[test]
    fn without_proc_the_holder_is_unknown() {
        let dir = tempfile::tempdir().unwrap();
        let mut processes = Processes::new(dir.path().join("no-proc"));
        let log = dir.path().join("job/job.log");
        assert_eq!(
            processes.find_holders(std::slice::from_ref(&log))[&log],
            LogHolder::Unknown
        );
    }
}
