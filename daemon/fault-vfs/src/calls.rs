//! The calls of watched databases: which are counted, and which fail.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

/// A call of SQLite to its VFS that touches the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// Opens a file that exists, or fails to.
    Open,
    /// Creates a file.
    Create,
    /// Deletes a file.
    Delete,
    /// Asks whether a file exists.
    Access,
    /// Reads part of a file.
    Read,
    /// Writes part of a file.
    Write,
    /// Changes the length of a file.
    Truncate,
    /// Waits until a file is on the disk.
    Sync,
    /// Asks for the length of a file.
    FileSize,
    /// Maps a part of the shared memory of the WAL, which is a file too.
    MapSharedMemory,
    /// Maps such a part, and makes that file longer if need be.
    ExtendSharedMemory,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The disk fails (`EIO`).
    Io,
    /// A sector cannot be read (`EIO`): SQLite's VFS reports this so that statements fail as if the file
    /// were damaged. With [`Failure::Io`], a read fails as for any other reason.
    UnreadableSector,
    /// The disk is full (`ENOSPC`).
    Full,
    /// Half of the bytes are written, then the disk is full.
    ShortWrite,
    /// The process is killed (`SIGKILL`) before the call.
    Kill,
    /// The process is killed when half of the bytes are written.
    KillInWrite,
}

impl Failure {
    /// Whether a call can fail like this.
    #[must_use]
    pub fn can_hit(self, call: Call) -> bool {
        match self {
            Failure::Io => true,
            Failure::UnreadableSector => call == Call::Read,
            // File systems that allocate late report it when they write out.
            Failure::Full => matches!(
                call,
                Call::Create | Call::Write | Call::Sync | Call::ExtendSharedMemory
            ),
            Failure::ShortWrite | Failure::KillInWrite => call == Call::Write,
            Failure::Kill => !matches!(
                call,
                Call::Open | Call::Access | Call::Read | Call::FileSize | Call::MapSharedMemory
            ),
        }
    }
}

/// Which calls fail, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Plan {
    /// What goes wrong.
    pub failure: Failure,
    /// The first call that fails, counted from 0 among those that can fail like this.
    pub at: u64,
    /// Whether later calls succeed again.
    pub once: bool,
}

/// The databases that are watched, by canonical path.
static WATCHED: LazyLock<Mutex<HashMap<PathBuf, Arc<Calls>>>> = LazyLock::new(Mutex::default);

/// Watches a database; false when it is watched already.
pub(crate) fn watch(database: &Path, calls: &Arc<Calls>) -> bool {
    let calls = Arc::clone(calls);
    lock(&WATCHED).insert(database.to_owned(), calls).is_none()
}

/// Watches a database no longer.
pub(crate) fn unwatch(database: &Path) {
    lock(&WATCHED).remove(database);
}

/// Returns the calls that a file of SQLite belongs to: a database, its WAL or its journal.
pub(crate) fn calls_of(file: &str) -> Option<Arc<Calls>> {
    let database = ["-wal", "-journal", "-shm"]
        .iter()
        .find_map(|suffix| file.strip_suffix(suffix))
        .unwrap_or(file);
    lock(&WATCHED).get(Path::new(database)).cloned()
}

/// The calls of one database.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    plan: Option<Plan>,
    /// Calls since the plan was set that could fail like this.
    seen: u64,
    failed: u64,
}

impl Calls {
    /// Begins to count, and fails what the plan says.
    pub(crate) fn set_plan(&self, plan: Plan) {
        *lock(&self.state) = State {
            plan: Some(plan),
            ..State::default()
        };
    }

    /// Ends what the plan says, and returns how many calls could have failed and how many did.
    pub(crate) fn end_plan(&self) -> (u64, u64) {
        let state = std::mem::take(&mut *lock(&self.state));
        (state.seen, state.failed)
    }

    /// Counts a call, and returns how it fails; `None` when it does not.
    pub(crate) fn next(&self, call: Call) -> Option<Failure> {
        let mut state = lock(&self.state);
        let plan = state.plan.filter(|plan| plan.failure.can_hit(call))?;
        let number = state.seen;
        state.seen += 1;
        let fails = number == plan.at || (number > plan.at && !plan.once);
        state.failed += u64::from(fails);
        fails.then_some(plan.failure)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A test that panicked does not concern the others.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
