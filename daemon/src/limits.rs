//! The limits that the operating system puts on this process.

use docks_proto::status::LimitStatus;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files that a daemon with many watchers needs: one per watcher, and some for the rest.
const OPEN_FILES: u64 = 8_192;

/// Open files with which a daemon with some watchers still works.
const FEW_OPEN_FILES: u64 = 1_024;

/// The usual size of a stack. More would change how the system lays out the memory of every
/// program that docksd runs.
const STACK_BYTES: u64 = 8 << 20;

/// Limits that kill a process or fail its writes once it is large or old enough.
const FATAL: [(&str, Resource); 4] = [
    ("file_size", Resource::Fsize),
    ("address_space", Resource::As),
    ("data", Resource::Data),
    ("cpu_time", Resource::Cpu),
];

/// Raises the limit on open files, as far as the hard limit allows.
///
/// The usual soft limit of 1,024 protects programs that use `select`; docksd does not.
pub fn raise_open_file_limit() {
    raise(Resource::Nofile, Some(OPEN_FILES));
}

/// Lifts the limits that `ulimit` has set for the command that started docksd, as far as allowed:
/// they were meant for that command.
pub fn lift_limits_of_caller() {
    for (_, resource) in FATAL {
        raise(resource, None);
    }
    raise(Resource::Stack, Some(STACK_BYTES));
}

/// Returns the limits that may still stop this process.
#[must_use]
pub fn remaining_limits() -> Vec<LimitStatus> {
    let needs = FATAL.map(|(name, resource)| (name, resource, u64::MAX));
    let sized = [
        ("stack", Resource::Stack, STACK_BYTES),
        ("open_files", Resource::Nofile, FEW_OPEN_FILES),
    ];
    needs
        .into_iter()
        .chain(sized)
        .filter_map(|(name, resource, needed)| {
            let maximum = getrlimit(resource)
                .current
                .filter(|found| *found < needed)?;
            let name = name.to_owned();
            Some(LimitStatus { name, maximum })
        })
        .collect()
}

/// Raises a limit to `target`, or as near to it as allowed; `None` means no limit.
fn raise(resource: Resource, target: Option<u64>) {
    let Rlimit { current, maximum } = getrlimit(resource);
    if is_enough(current, target) {
        return;
    }
    let hard = if is_enough(maximum, target) {
        maximum
    } else {
        target
    };
    let privileged = Rlimit {
        current: target,
        maximum: hard,
    };
    // Only root may raise the hard limit.
    if setrlimit(resource, privileged).is_err() {
        let allowed = Rlimit {
            current: maximum,
            maximum,
        };
        // What remains is in `docks daemon status`; it is not a reason to stop.
        setrlimit(resource, allowed).ok();
    }
}

fn is_enough(limit: Option<u64>, target: Option<u64>) -> bool {
    match (limit, target) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(limit), Some(target)) => limit >= target,
    }
}
