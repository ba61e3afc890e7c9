//! What has no number: counts of runs, and whether the remote can be seen. Only the latest of each
//! counts, so a reader that missed some has missed nothing.

use std::collections::HashMap;

use bytes::Bytes;
use docks_proto::event::{ConnectionState, Event, ObjectKind, Progress};

use super::sse_frame::frame;

/// Runs that are kept; beyond them, those that moved longest ago go.
const MOST: usize = 4_096;

#[derive(Debug)]
struct Posted {
    progress: Progress,
    number: u64,
    frame: Bytes,
}

/// The latest of each.
#[derive(Debug, Default)]
pub(super) struct Board {
    last: u64,
    runs: HashMap<(ObjectKind, String), Posted>,
    sight: ConnectionState,
    sight_frame: Option<(u64, Bytes)>,
}

impl Board {
    /// Returns the number of the last change here.
    pub(super) fn posted(&self) -> u64 {
        self.last
    }

    /// Takes counts of a run.
    pub(super) fn post(&mut self, progress: &Progress) {
        let kind = progress.kind.unwrap_or(ObjectKind::Evaluation);
        let key = (kind, progress.run_id.clone());
        if self.runs.get(&key).is_some_and(|p| p.progress == *progress) {
            return;
        }
        self.last += 1;
        let posted = Posted {
            progress: progress.clone(),
            number: self.last,
            frame: frame(&Event::Progress(progress.clone()), None),
        };
        self.runs.insert(key, posted);
        if self.runs.len() > MOST {
            let half = self.last - (MOST / 2) as u64;
            self.runs.retain(|_, posted| posted.number > half);
        }
    }

    /// Takes whether the remote can be seen.
    pub(super) fn see(&mut self, sight: &ConnectionState) {
        // The words for the same trouble may differ from try to try; readers need them once.
        let same =
            self.sight_frame.is_some() && self.sight.unreachable_since == sight.unreachable_since;
        if same {
            return;
        }
        self.last += 1;
        self.sight = sight.clone();
        self.sight_frame = Some((self.last, frame(&Event::Connection(sight.clone()), None)));
    }

    /// Returns what came after a number and was asked for.
    pub(super) fn after(
        &self,
        number: u64,
        wants: impl Fn(ObjectKind, &str) -> bool,
    ) -> Vec<Bytes> {
        let mut found: Vec<(u64, &Bytes)> = (self.runs.iter())
            .filter(|((kind, run), posted)| posted.number > number && wants(*kind, run))
            .map(|(_, posted)| (posted.number, &posted.frame))
            .collect();
        found.extend(
            (self.sight_frame.iter())
                .filter(|(at, _)| *at > number)
                .map(|(at, frame)| (*at, frame)),
        );
        found.sort_unstable_by_key(|(at, _)| *at);
        found.into_iter().map(|(_, frame)| frame.clone()).collect()
    }
}
