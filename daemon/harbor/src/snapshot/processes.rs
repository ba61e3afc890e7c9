//! Finds the process of a job.
//!
//! No file names it, but until it ends it holds the job's `job.log` open for writing. Linux shows that
//! below `/proc`. The path shown there is the one that the process has for a file, which in another mount namespace may be
//! another file; so device and inode decide. Where that is not conclusive (other systems, other users, a folder shared with other
//! machines), the newest change of the job's files decides.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use docks_proto::time::UnixMs;

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
        if self.holds_open(pid, log) {
            return Some(pid);
        }
        self.last_holders.remove(log);
        None
    }

    /// Searches all processes once, for several logs.
    pub(crate) fn find_holders(&mut self, logs: &[PathBuf]) -> HashMap<PathBuf, LogHolder> {
        self.scans += 1;
        let wanted: Vec<LogFile<'_>> = logs.iter().filter_map(|log| LogFile::find(log)).collect();
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
    pub(crate) fn all_holders(&mut self, log: &Path) -> (Vec<u32>, bool) {
        self.scans += 1;
        let wanted: Vec<LogFile<'_>> = LogFile::find(log).into_iter().collect();
        let mut some_hidden = false;
        let mut holders = Vec::new();
        for pid in self.pids() {
            match self.open_logs(pid, &wanted) {
                Some(held) if held.contains(log) => holders.push(pid),
                Some(_) => {}
                None => some_hidden = true,
            }
        }
        (holders, some_hidden)
    }

    /// Leaves out those whose parent is among them: a process that is just starting another one has a copy of itself
    /// for a moment.
    pub(crate) fn without_children(&self, pids: &[u32]) -> Vec<u32> {
        let is_child = |pid: u32| {
            let parent = self.parent_of(pid);
            parent.is_some_and(|parent| pids.contains(&parent))
        };
        pids.iter().copied().filter(|pid| !is_child(*pid)).collect()
    }

    /// Whether a process holds a log open for writing now.
    pub(crate) fn holds_open(&self, pid: u32, log: &Path) -> bool {
        let wanted: Vec<LogFile<'_>> = LogFile::find(log).into_iter().collect();
        let held = self.open_logs(pid, &wanted);
        held.is_some_and(|held| held.contains(log))
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

    /// Returns the beginning of the command line of a process, for people: which program it is. The rest may have
    /// secrets in it, and goes into logs and to the users of a hub.
    pub(crate) fn command_line(&self, pid: u32) -> Option<String> {
        const WORDS: usize = 2;
        const WORD_CHARS: usize = 100;
        let words = self.arguments(pid);
        let words = words.iter().take(WORDS);
        let words = words.map(|word| word.chars().take(WORD_CHARS).collect::<String>());
        let words: Vec<String> = words.collect();
        (!words.is_empty()).then(|| words.join(" "))
    }

    /// Returns the arguments of a process, with its zeroth; empty if it has none or has just exited.
    pub(crate) fn arguments(&self, pid: u32) -> Vec<String> {
        let bytes = fs::read(self.proc_dir.join(pid.to_string()).join("cmdline"));
        let bytes = bytes.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let words = text.split('\0').filter(|word| !word.is_empty());
        words.map(str::to_owned).collect()
    }

    /// Returns the file that a process runs, by the path that it has in the namespace of the process.
    pub(crate) fn program(&self, pid: u32) -> Option<PathBuf> {
        fs::read_link(self.proc_dir.join(pid.to_string()).join("exe")).ok()
    }

    /// Returns when a process started, by the system's clock, which shows `now`.
    pub(crate) fn started(&self, pid: u32, now: UnixMs) -> Option<UnixMs> {
        /// Where `starttime` is among what follows the name of the process, which may contain anything.
        const START_TIME: usize = 19;
        let stat = fs::read_to_string(self.proc_dir.join(pid.to_string()).join("stat")).ok()?;
        let (_, fields) = stat.rsplit_once(')')?;
        let ticks: u64 = fields.split_whitespace().nth(START_TIME)?.parse().ok()?;
        let after_boot = ticks.saturating_mul(1_000) / rustix::param::clock_ticks_per_second();
        let uptime = fs::read_to_string(self.proc_dir.join("uptime")).ok()?;
        let uptime: f64 = uptime.split_whitespace().next()?.parse().ok()?;
        let uptime = Duration::try_from_secs_f64(uptime).ok()?;
        let ago = uptime.saturating_sub(Duration::from_millis(after_boot));
        Some(now.minus(ago))
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
    fn open_logs<'a>(&self, pid: u32, wanted: &[LogFile<'a>]) -> Option<BTreeSet<&'a Path>> {
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
            // The name is compared first, so that few files are looked at: one on a disk that hangs would take forever.
            let mut named = wanted
                .iter()
                .filter(|log| log.is_named_as(&target))
                .peekable();
            if named.peek().is_none()
                || !opened_for_writing(&process.join("fdinfo").join(entry.file_name()))
            {
                continue;
            }
            // This follows to the open file itself, whatever its path means here.
            let Ok(open) = fs::metadata(entry.path()) else {
                continue;
            };
            held.extend(
                named
                    .filter(|log| log.is(&open, &target))
                    .map(|log| log.path),
            );
        }
        Some(held)
    }
}

/// The log of a job as it is on disk.
#[derive(Debug, Clone, Copy)]
struct LogFile<'a> {
    path: &'a Path,
    device: u64,
    inode: u64,
    has_other_names: bool,
}

impl<'a> LogFile<'a> {
    /// Returns `None` unless the path is a file; Harbor creates no links.
    fn find(path: &'a Path) -> Option<Self> {
        let meta = fs::symlink_metadata(path)
            .ok()
            .filter(fs::Metadata::is_file)?;
        Some(Self {
            path,
            device: meta.dev(),
            inode: meta.ino(),
            has_other_names: meta.nlink() > 1,
        })
    }

    /// Whether an open file, given by the path that the process has for it, may be this one. A container may see the
    /// folder of the job elsewhere, but its files have the same names.
    fn is_named_as(&self, target: &Path) -> bool {
        let name = self.path.file_name().map(OsStr::as_encoded_bytes);
        let shown = target.file_name().map(OsStr::as_encoded_bytes);
        name.is_some() && name == shown
    }

    /// Whether an open file is this one. The copy of a job by hard links (`cp -al`) has the same log, but only
    /// one of them is the job of the process.
    fn is(&self, open: &fs::Metadata, target: &Path) -> bool {
        (open.dev(), open.ino()) == (self.device, self.inode)
            && (!self.has_other_names || target == self.path)
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
    fn the_copy_of_a_job_by_hard_links_has_no_process() {
        let dir = tempfile::tempdir().unwrap();
        let dir = fs::canonicalize(dir.path()).unwrap();
        let (log, copy) = (dir.join("job/job.log"), dir.join("copy/job.log"));
        fs::create_dir(dir.join("job")).unwrap();
        fs::create_dir(dir.join("copy")).unwrap();
        let writer = fs::File::create(&log).unwrap();
        fs::hard_link(&log, &copy).unwrap();
        let mut processes = Processes::new("/proc".into());
        assert_eq!(processes.all_holders(&log).0, [std::process::id()]);
        assert_eq!(processes.all_holders(&copy).0, [] as [u32; 0]);
        drop(writer);
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
