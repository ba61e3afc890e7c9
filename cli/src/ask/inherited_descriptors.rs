//! The descriptors that this process has inherited, and that the daemon must not inherit in turn.
//!
//! A lock that `flock` holds for a command, or a pipe of the shell, would stay open as long as the
//! daemon runs. Everything that docks itself opens is closed on exec anyway.

use std::os::fd::RawFd;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

/// Where the system lists the open descriptors of the process that reads it.
const LIST: &str = if cfg!(target_os = "linux") {
    "/proc/self/fd"
} else {
    "/dev/fd"
};

/// Calls `spawn` while no child can inherit a descriptor other than 0 to 2.
///
/// Afterwards they can be inherited as before: a command that the user gave to docks may use them.
pub(super) fn withhold<T>(spawn: impl FnOnce() -> T) -> T {
    let withheld: Vec<RawFd> = open_descriptors()
        .into_iter()
        .filter(|fd| close_on_exec(*fd))
        .collect();
    let spawned = spawn();
    for fd in withheld {
        // It was open a moment ago, and nobody else closes what was inherited.
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty())).ok();
    }
    spawned
}

/// Returns the descriptors above 2 that are open, and perhaps that of the list itself.
fn open_descriptors() -> Vec<RawFd> {
    let Ok(list) = std::fs::read_dir(LIST) else {
        return Vec::new();
    };
    list.flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd > 2)
        .collect()
}

/// Marks a descriptor to be closed on exec; returns whether it was not marked before.
fn close_on_exec(fd: RawFd) -> bool {
    match fcntl(fd, FcntlArg::F_GETFD) {
        Ok(flags) if flags & FdFlag::FD_CLOEXEC.bits() == 0 => {
            fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).is_ok()
        }
        _ => false,
    }
}
