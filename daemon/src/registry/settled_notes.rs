//! Which of this machine's actions a mirror has caught up with.

use std::collections::HashSet;
use std::path::PathBuf;

use docks_proto::time::UnixMs;

/// The notes of actions that a mirror has caught up with.
#[derive(Debug, Default)]
pub(crate) struct SettledNotes {
    /// The file of each note, and the time in it: a note is written again when its action ends.
    pub(crate) settled: HashSet<(PathBuf, UnixMs)>,
    /// What the answers about this remote say while the remote has not confirmed an action.
    pub(crate) unconfirmed: Option<String>,
}
