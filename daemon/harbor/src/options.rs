//! How jobs directories are scanned, and what that costs.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use docks_proto::time::UnixMs;

/// Returns the current time; a parameter so that tests can set it.
pub type WallClock = Arc<dyn Fn() -> UnixMs + Send + Sync>;

/// How jobs directories are scanned.
#[derive(Clone)]
pub struct Options {
    /// Wall clock, compared with the times of files.
    pub now: WallClock,
    /// The directory in which Linux shows its processes.
    pub processes: PathBuf,
    /// Where processes are not visible: a job whose files did not change for longer than this has ended.
    pub quiet_limit: Duration,
    /// How long a list waits for the first reading of all jobs; then it has those that were read. Callers that did
    /// not [resume](docksd_remote::Remote::resume) get the whole list.
    pub first_answer: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            now: Arc::new(UnixMs::now),
            processes: "/proc".into(),
            // Harbor writes little during long agent runs, but some log grows more often than this.
            quiet_limit: Duration::from_secs(600),
            // Most directories are read in less; an answer is to be there within 2 s.
            first_answer: Duration::from_millis(800),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("processes", &self.processes)
            .field("quiet_limit", &self.quiet_limit)
            .field("first_answer", &self.first_answer)
            .finish_non_exhaustive()
    }
}

/// What scanning has cost so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScanCost {
    /// Files that were opened and read.
    pub files_read: u64,
    /// How many times all processes of the system were searched.
    pub process_scans: u64,
}
