//! The latest progress of each run, and whether the remote can be reached.
//!
//! These events have no sequence number. Only the latest of each counts, so a subscription that
//! misses some has missed nothing.

use std::collections::HashMap;

use bytes::Bytes;
use docks_proto::event::{ConnectionState, Event, ObjectKind, Progress};

use super::sse_frame::encode_event;

/// Runs that are kept; beyond this number, the half that changed longest ago is dropped.
const MAX_RUNS: usize = 4_096;

#[derive(Debug)]
struct Entry {
    progress: Progress,
    version: u64,
    frame: Bytes,
}

/// The latest progress of each run, and whether the remote can be reached.
#[derive(Debug, Default)]
pub(super) struct ProgressCache {
    version: u64,
    runs: HashMap<(ObjectKind, String), Entry>,
    connection: ConnectionState,
    connection_frame: Option<(u64, Bytes)>,
}

impl ProgressCache {
    /// Returns a number that grows with each change of the cache.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Stores the progress of a run; an equal one changes nothing.
    pub(super) fn update(&mut self, progress: &Progress) {
        let kind = progress.kind.unwrap_or(ObjectKind::Evaluation);
        let key = (kind, progress.run_id.clone());
        if self.runs.get(&key).is_some_and(|p| p.progress == *progress) {
            return;
        }
        self.version += 1;
        let entry = Entry {
            progress: progress.clone(),
            version: self.version,
            frame: encode_event(&Event::Progress(progress.clone()), None),
        };
        self.runs.insert(key, entry);
        if self.runs.len() > MAX_RUNS {
            let oldest_kept = self.version - (MAX_RUNS / 2) as u64;
            self.runs.retain(|_, entry| entry.version > oldest_kept);
        }
    }

    /// Stores whether the remote can be reached.
    pub(super) fn set_connection_state(&mut self, connection: &ConnectionState) {
        // The reason for one outage may differ from try to try; subscribers need it once.
        let known = self.connection_frame.is_some()
            && self.connection.unreachable_since == connection.unreachable_since;
        if known {
            return;
        }
        self.version += 1;
        self.connection = connection.clone();
        let frame = encode_event(&Event::Connection(connection.clone()), None);
        self.connection_frame = Some((self.version, frame));
    }

    /// Returns what changed after a version, oldest first; `selects` decides about runs.
    pub(super) fn frames_after(
        &self,
        version: u64,
        selects: impl Fn(ObjectKind, &str) -> bool,
    ) -> Vec<Bytes> {
        let mut found: Vec<(u64, &Bytes)> = (self.runs.iter())
            .filter(|((kind, run), entry)| entry.version > version && selects(*kind, run))
            .map(|(_, entry)| (entry.version, &entry.frame))
            .collect();
        found.extend(
            (self.connection_frame.iter())
                .filter(|(changed, _)| *changed > version)
                .map(|(changed, frame)| (*changed, frame)),
        );
        found.sort_unstable_by_key(|(changed, _)| *changed);
        found.into_iter().map(|(_, frame)| frame.clone()).collect()
    }
}
