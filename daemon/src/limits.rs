//! The limits that the operating system puts on this process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files that a daemon with many watchers needs: one per watcher, and some for the rest.
const OPEN_FILES: u64 = 8_192;

/// Raises the limit on open files, as far as the hard limit allows.
///
/// The usual soft limit of 1,024 protects programs that use `select`; docksd does not.
pub fn raise_open_file_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let target = maximum.map_or(OPEN_FILES, |maximum| maximum.min(OPEN_FILES));
    if current.is_some_and(|current| current < target) {
        let raised = Rlimit {
            current: Some(target),
            maximum,
        };
        // On failure docksd serves fewer connections, which is not a reason to stop.
        setrlimit(Resource::Nofile, raised).ok();
    }
}
