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
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
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

/// Returns whether a process holds the lock on a file: the system lists locks with descriptors.
#[cfg(target_os = "linux")]
fn holds_lock(pid: i32, path: &Path) -> bool {
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
    fn only_a_docksd_has_the_name_of_one() {
        for name in ["docksd", "docksd-0.2", ".docksd-wrapped"] {
            assert!(is_docksd(name), "{name}");
        }
        for name in ["docks", "sleep", "notdocksd", ""] {
            assert!(!is_docksd(name), "{name}");
        }
    }
}
