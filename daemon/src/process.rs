//! What this process inherits from whoever started it, and must not keep.

use std::os::fd::RawFd;

/// Where the system lists the open descriptors of the process that reads it.
const DESCRIPTORS: &str = if cfg!(target_os = "linux") {
    "/proc/self/fd"
} else {
    "/dev/fd"
};

/// Closes every descriptor other than 0 to 2: a lock, a pipe or a terminal of somebody else would
/// stay open as long as docksd runs, and so would it in the programs that docksd runs.
///
/// To be called first in `main`, while this process has opened nothing itself.
pub fn close_inherited_descriptors() {
    let Ok(list) = std::fs::read_dir(DESCRIPTORS) else {
        return;
    };
    // The whole list first, since reading it needs a descriptor, too.
    let open: Vec<RawFd> = list
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd > 2)
        .collect();
    for fd in open {
        // That of the list itself is closed already.
        nix::unistd::close(fd).ok();
    }
}
