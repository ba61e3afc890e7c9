//! Whether a process is the daemon, before it is sent a signal.
//!
//! The process that listens on the socket, or whose id is in the lock file, may be any other: a file
//! can hold an old id, and anything can listen on a socket of its user.

use std::path::Path;

/// Returns whether a process is a docksd that holds the lifetime lock.
#[cfg(target_os = "linux")]
pub(super) fn is_daemon(pid: i32, lifetime_lock: &Path) -> bool {
    name(pid).is_some_and(|name| is_docksd(&name)) && holds_lock(pid, lifetime_lock)
}

/// Returns whether a process is a docksd; which locks it holds is unknown on this system.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_daemon(pid: i32, _lifetime_lock: &Path) -> bool {
    name(pid).is_some_and(|name| is_docksd(&name))
}

/// Returns the name of the program that a process runs.
#[cfg(target_os = "linux")]
pub(super) fn name(pid: i32) -> Option<String> {
    // docksd keeps its memory private, so its program is only shown to root; its name is shown to everybody.
    let Ok(program) = std::fs::read_link(format!("/proc/{pid}/exe")) else {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        return Some(name.trim_end().to_owned());
    };
    let name = program.file_name()?.to_string_lossy().into_owned();
    // The file may have been replaced since.
    Some(name.trim_end_matches(" (deleted)").to_owned())
}

/// Returns the name of the program that a process runs.
#[cfg(not(target_os = "linux"))]
pub(super) fn name(pid: i32) -> Option<String> {
    let mut ps = std::process::Command::new("ps");
    let listed = ps.args(["-o", "comm=", "-p", &pid.to_string()]).output();
    let program = String::from_utf8(listed.ok()?.stdout).ok()?;
    let name = Path::new(program.trim()).file_name()?;
    Some(name.to_string_lossy().into_owned())
}

/// Whether this is the name of a docksd, perhaps with a release, or behind a script with its name.
fn is_docksd(name: &str) -> bool {
    name.trim_start_matches('.').starts_with("docksd")
}

/// Returns whether a process holds the lock on a file.
#[cfg(target_os = "linux")]
pub(super) fn holds_lock(pid: i32, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let inode = path.metadata().map(|found| found.ino());
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    inode.is_ok_and(|inode| lists_lock(&locks, pid, inode)) || has_locked_descriptor(pid, path)
}

/// Returns whether a process holds the lock on a file: unknown on this system, so it is believed.
#[cfg(not(target_os = "linux"))]
pub(super) fn holds_lock(_pid: i32, _path: &Path) -> bool {
    true
}

/// Whether the system's list of all locks has one of this process on this inode.
///
/// The device is not compared: some file systems show another one here than for the file.
#[cfg(target_os = "linux")]
fn lists_lock(locks: &str, pid: i32, inode: u64) -> bool {
    // 3: FLOCK  ADVISORY  WRITE 1234 fd:00:5678 0 EOF
    locks.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let of_process = fields.get(4).and_then(|field| field.parse().ok()) == Some(pid);
        let file = fields.get(5).and_then(|file| file.rsplit(':').next());
        // One that waits for the lock has an arrow in place of the kind.
        fields.get(1) == Some(&"FLOCK")
            && of_process
            && file.and_then(|inode| inode.parse().ok()) == Some(inode)
    })
}

/// Whether a process has a descriptor with the lock, where the list of all locks does not say: as in sandboxes.
#[cfg(target_os = "linux")]
fn has_locked_descriptor(pid: i32, path: &Path) -> bool {
    let Ok(descriptors) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    descriptors
        .flatten()
        .filter(|entry| entry.path().read_link().is_ok_and(|link| link == path))
        .any(|entry| {
            let number = entry.file_name();
            let info = format!("/proc/{pid}/fdinfo/{}", number.to_string_lossy());
            let info = std::fs::read_to_string(info).unwrap_or_default();
            let mut lines = info.lines();
            lines.any(|line| line.starts_with("lock:") && line.contains("FLOCK"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_lock_is_listed_with_its_holder_and_not_with_who_waits_for_it() {
        let locks = "1: POSIX  ADVISORY  WRITE 7 fd:00:42 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 8 00:2a:43 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 9 00:2a:43 0 EOF\n";
        assert!(lists_lock(locks, 8, 43));
        for (pid, inode) in [(7, 42), (9, 43), (8, 42)] {
            assert!(!lists_lock(locks, pid, inode), "{pid} {inode}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        let own = std::process::id().cast_signed();
        assert!(!holds_lock(own, file.path()));
        file.as_file().try_lock().unwrap();
        assert!(holds_lock(own, file.path()));
    }

    #[test]
    fn only_a_docksd_has_the_name_of_one() {
        for name in ["docksd", "docksd-0.2", ".docksd-wrapped"] {
            assert!(is_docksd(name), "{name}");
        }
        for name in ["docks", "sleep", "notdocksd", ""] {
            assert!(!is_docksd(name), "{name}");
        }
    }
}
