//! What the system allows this process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that a daemon with many watchers has open: one each, and some for everything else.
const FILES: u64 = 8_192;

/// Raises the number of files that may be open, as far as the system lets us.
///
/// The usual soft limit of 1,024 is for programs that use `select`, which we do not.
pub fn raise_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(FILES, |most| most.min(FILES));
    if current.is_some_and(|now| now < wanted) {
        let raised = Rlimit {
            current: Some(wanted),
            maximum,
        };
        // Fewer connections are served then, which is no reason not to start.
        setrlimit(Resource::Nofile, raised).ok();
    }
}
