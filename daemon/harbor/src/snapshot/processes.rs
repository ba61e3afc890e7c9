//! Whether a job's process is still there.
//!
//! No file names it, but it holds the job's `job.log` open for writing until it
//! ends. Linux shows that below `/proc`. Where that cannot be conclusive
//! (other systems, other users, a folder shared with other machines), the
//! newest change of the job's files decides.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is known of a job's process; given to the derivation as a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// This process holds the job's log.
    Process(u32),
    /// Nobody could tell, but files changed recently.
    RecentSigns,
    /// No process holds the log.
    NoProcess,
    /// Nobody could tell, and no file changed for this long.
    Silent(Duration),
}

impl Life {
    /// Tells whether the job is taken to be running.
    pub(crate) fn alive(self) -> bool {
        matches!(self, Life::Process(_) | Life::RecentSigns)
    }

    /// Returns the process.
    pub(crate) fn pid(self) -> Option<u32> {
        match self {
            Life::Process(pid) => Some(pid),
            _ => None,
        }
    }
}

/// Whether a log is held open for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// By this process.
    By(u32),
    /// By none.
    No,
    /// Not to be told here.
    Unknown,
}

/// The system's processes, as `/proc` shows them.
#[derive(Debug)]
pub(crate) struct Processes {
    root: PathBuf,
    /// Whether all writers of a directory are to be seen, by directory.
    conclusive: HashMap<PathBuf, bool>,
    known: HashMap<PathBuf, u32>,
    /// How often all processes were gone through.
    pub(crate) scans: u64,
}

impl Processes {
    /// Takes where the system shows them.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self {
            root,
            conclusive: HashMap::new(),
            known: HashMap::new(),
            scans: 0,
        }
    }

    /// Tells whether a process that holds the log would be seen.
    fn is_conclusive(&mut self, log: &Path) -> bool {
        // The directory of jobs; a job's own folder may be gone by now.
        let Some(dir) = log.ancestors().nth(2) else {
            return false;
        };
        if let Some(known) = self.conclusive.get(dir) {
            return *known;
        }
        let sees = cfg!(target_os = "linux") && sees_every_writer(&self.root, dir);
        self.conclusive.insert(dir.to_owned(), sees);
        sees
    }

    /// Returns the process that was found earlier, if it still holds the log. Costs one look at that process.
    pub(crate) fn still(&mut self, log: &Path) -> Option<u32> {
        let pid = *self.known.get(log)?;
        let wanted = BTreeSet::from([log]);
        if self.held_by(pid, &wanted).unwrap_or_default().contains(log) {
            return Some(pid);
        }
        self.known.remove(log);
        None
    }

    /// Goes through all processes once, for several logs.
    pub(crate) fn find(&mut self, logs: &[PathBuf]) -> HashMap<PathBuf, Held> {
        self.scans += 1;
        let wanted: BTreeSet<&Path> = logs.iter().map(PathBuf::as_path).collect();
        let mut hidden_users = BTreeSet::new();
        let mut found: HashMap<PathBuf, Held> = HashMap::new();
        for pid in self.pids() {
            match self.held_by(pid, &wanted) {
                Some(held) => {
                    for log in held {
                        self.known.insert(log.to_owned(), pid);
                        found.insert(log.to_owned(), Held::By(pid));
                    }
                }
                None => hidden_users.extend(self.user_of(pid)),
            }
        }
        for log in logs {
            if found.contains_key(log) {
                continue;
            }
            let seen = self.is_conclusive(log) && all_seen(log, &hidden_users);
            let held = if seen { Held::No } else { Held::Unknown };
            found.insert(log.clone(), held);
        }
        found
    }

    /// Returns every process that holds a log open for writing, and whether some could not be looked at.
    ///
    /// A process that is just starting another one has a copy of itself for a moment, which is left out.
    pub(crate) fn holders(&mut self, log: &Path) -> (Vec<u32>, bool) {
        self.scans += 1;
        let wanted = BTreeSet::from([log]);
        let mut hidden = false;
        let mut holders = Vec::new();
        for pid in self.pids() {
            match self.held_by(pid, &wanted) {
                Some(held) if held.contains(log) => holders.push(pid),
                Some(_) => {}
                None => hidden = true,
            }
        }
        let all = holders.clone();
        holders.retain(|pid| {
            let parent = self.parent_of(*pid);
            !parent.is_some_and(|parent| all.contains(&parent))
        });
        (holders, hidden)
    }

    /// Tells whether a process holds a log open for writing, as of now.
    pub(crate) fn holds(&self, pid: u32, log: &Path) -> bool {
        let wanted = BTreeSet::from([log]);
        self.held_by(pid, &wanted).unwrap_or_default().contains(log)
    }

    fn parent_of(&self, pid: u32) -> Option<u32> {
        self.status(pid, "PPid")?.parse().ok()
    }

    /// Returns the signals that a process catches, as a mask.
    pub(crate) fn caught(&self, pid: u32) -> Option<u64> {
        u64::from_str_radix(&self.status(pid, "SigCgt")?, 16).ok()
    }

    fn status(&self, pid: u32, key: &str) -> Option<String> {
        let text = fs::read_to_string(self.root.join(pid.to_string()).join("status")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        Some(line?.strip_prefix(':')?.trim().to_owned())
    }

    /// Returns how a process was called, for people.
    pub(crate) fn command(&self, pid: u32) -> Option<String> {
        let bytes = fs::read(self.root.join(pid.to_string()).join("cmdline")).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let words: Vec<&str> = text.split('\0').filter(|word| !word.is_empty()).collect();
        (!words.is_empty()).then(|| words.join(" "))
    }

    fn pids(&self) -> Vec<u32> {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect()
    }

    /// Returns the user that a process runs as.
    pub(crate) fn user_of(&self, pid: u32) -> Option<u32> {
        fs::metadata(self.root.join(pid.to_string()))
            .ok()
            .map(|m| m.uid())
    }

    /// Returns which of the logs a process holds open for writing; `None` when it may not be looked at.
    fn held_by<'a>(&self, pid: u32, wanted: &BTreeSet<&'a Path>) -> Option<BTreeSet<&'a Path>> {
        let process = self.root.join(pid.to_string());
        let entries = match fs::read_dir(process.join("fd")) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => return None,
            // It ended in between.
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

/// Tells a writer from `tail -f` and editors. What cannot be read counts as a writer.
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

/// Tells whether every process that could have opened the log was looked at: those of its owner.
fn all_seen(log: &Path, hidden_users: &BTreeSet<u32>) -> bool {
    let us = rustix::process::geteuid().as_raw();
    let Ok(owner) = fs::symlink_metadata(log).map(|m| m.uid()) else {
        // A job that has no log yet: whoever made its folder is about to.
        return false;
    };
    // Other users' processes may be invisible altogether, unless we are root.
    (owner == us || us == 0) && !hidden_users.contains(&owner)
}

/// Tells whether others than this system may write to the directory, unseen by its processes and
/// file events. What cannot be told counts as shared.
#[cfg(target_os = "linux")]
pub(crate) fn is_shared(dir: &Path) -> bool {
    /// File systems that other machines or a host write to: NFS, SMB, CIFS, FUSE (sshfs, virtiofs,
    /// buckets), 9p, Ceph, AFS, Lustre, GPFS.
    const SHARED: [i64; 10] = [
        0x6969,
        0x517b,
        0xff53_4d42,
        0xfe53_4d42,
        0x6573_5546,
        0x0102_1997,
        0x00c3_6400,
        0x5346_414f,
        0x0bd0_0bd0,
        0x4750_4653,
    ];
    let Ok(system) = rustix::fs::statfs(dir) else {
        return true;
    };
    #[expect(
        clippy::useless_conversion,
        reason = "the type differs between architectures"
    )]
    let kind = i64::from(system.f_type) & 0xffff_ffff;
    SHARED.contains(&kind)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn is_shared(_dir: &Path) -> bool {
    false
}

/// Tells whether all writers of the directory are processes of this system that we can see.
#[cfg(target_os = "linux")]
fn sees_every_writer(root: &Path, dir: &Path) -> bool {
    /// The PID namespace that sees every process.
    const INITIAL: &str = "pid:[4026531836]";
    if !root.join("self/fd").exists() {
        return false;
    }
    if is_shared(dir) {
        return false;
    }
    let namespace = fs::read_link(root.join("self/ns/pid"));
    if namespace.is_ok_and(|n| n.as_os_str() == INITIAL) {
        return true;
    }
    // In a container, a mounted folder may be written from outside; the container's own cannot.
    let device = |path: &Path| fs::metadata(path).map(|m| m.dev()).ok();
    device(dir).is_some() && device(dir) == device(Path::new("/"))
}

#[cfg(not(target_os = "linux"))]
fn sees_every_writer(_root: &Path, _dir: &Path) -> bool {
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
        let held = |p: &mut Processes| p.find(std::slice::from_ref(&log))[&log];
        let reader = fs::File::open(&log).unwrap();
        assert_eq!(held(&mut processes), Held::No);
        let writer = fs::File::options().append(true).open(&log).unwrap();
        assert_eq!(held(&mut processes), Held::By(std::process::id()));
        assert_eq!(processes.still(&log), Some(std::process::id()));
        drop(writer);
        assert_eq!(processes.still(&log), None);
        assert_eq!(held(&mut processes), Held::No);
        drop(reader);
    }

    #[test]
    fn a_system_without_proc_cannot_tell() {
        let dir = tempfile::tempdir().unwrap();
        let mut processes = Processes::new(dir.path().join("no-proc"));
        let log = dir.path().join("job/job.log");
        assert_eq!(
            processes.find(std::slice::from_ref(&log))[&log],
            Held::Unknown
        );
    }
}
