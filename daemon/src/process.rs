//! What this process inherits from the one that started it, and must not keep.

use std::fs::Metadata;
use std::os::fd::RawFd;
use std::path::Path;

use rustix::process::{getpriority_process, setpriority_process};

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

/// Returns to the normal nice level: that of a command that was started with `nice` was meant for
/// that command, and the daemon serves all others, too.
pub fn reset_nice_level() {
    // Without the right to do so, `docks daemon status` shows the level.
    setpriority_process(None, 0).ok();
}

/// Returns the nice level; `None` for the normal one.
#[must_use]
pub fn unusual_nice_level() -> Option<i32> {
    getpriority_process(None).ok().filter(|level| *level != 0)
}

/// Returns the file of the program that this process runs, even if its name has another file by now.
#[must_use]
pub fn program_file() -> Option<Metadata> {
    if cfg!(target_os = "linux") {
        return Path::new("/proc/self/exe").metadata().ok();
    }
    std::env::current_exe().ok()?.metadata().ok()
}

/// Lets writes beyond the limit on the size of files fail, instead of ending the process.
///
/// A handler suffices, and the runtime never removes one. Programs that docksd runs start without.
///
/// # Errors
///
/// The system's error.
pub fn survive_file_size_limit() -> std::io::Result<()> {
    let number = rustix::process::Signal::XFSZ.as_raw();
    tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(number)).map(drop)
}
