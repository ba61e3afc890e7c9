//! Whether a job's process is alive.

use std::time::Duration;

/// What is known about a job's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// This process holds the job's log open.
    Process(u32),
    /// The processes say nothing, but files changed recently.
    RecentActivity,
    /// No process holds the log open.
    NoProcess,
    /// The processes say nothing, and no file changed for longer than this.
    Silent(Duration),
}

impl Liveness {
    /// Whether the job is considered running.
    pub(crate) fn is_alive(self) -> bool {
        matches!(self, Liveness::Process(_) | Liveness::RecentActivity)
    }

    /// Returns the process.
    pub(crate) fn pid(self) -> Option<u32> {
        match self {
            Liveness::Process(pid) => Some(pid),
            _ => None,
        }
    }
}

/// A signal that was sent to a job's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SentSignal {
    /// The process.
    pub(crate) pid: u32,
    /// The name of the signal.
    pub(crate) signal: &'static str,
}
