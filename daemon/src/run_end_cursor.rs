//! A cursor over the history of each remote that returns the runs that have ended.
//!
//! The mirror stores the position, so a run that ends shortly before the daemon stops is handled by
//! the next daemon, and no end is handled twice. Runs that ended before the first poll are skipped.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

use docks_proto::event::{EventQuery, ObjectKind};
use docks_proto::object::{Lifecycle, lifecycle};
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;

use crate::registry::{MirroredRemote, OwnedRemote};
use docksd_mirror::{Mirror, MirrorError, Resource, StatusEvent, Subject};
use docksd_sync::Clock;

/// Time between two polls of the history.
pub const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Events that are read in one query.
const BATCH: usize = 1_024;

/// How long an ended run is held back until its trials are confirmed; after that it is returned
/// with the trials that are mirrored.
const TRIALS_TIMEOUT: Duration = Duration::from_secs(120);

/// Returns the ends of runs that one consumer has not acknowledged yet.
pub struct RunEndCursor {
    note_key: &'static str,
    kinds: &'static [RunKind],
    remotes: HashMap<OwnedRemote, RemoteCursor>,
}

/// The position in one remote's history.
struct RemoteCursor {
    /// Compared with the open remote: a mirror that was replaced starts over.
    remote: Weak<MirroredRemote>,
    /// The commit of the mirror up to which events were read.
    commit: Option<u64>,
    /// The last event that was read.
    last_read: u64,
    saved: SavedPosition,
    /// Ends that are not acknowledged yet.
    pending: Vec<PendingEnd>,
}

/// An end that is not acknowledged yet.
struct PendingEnd {
    event: StatusEvent,
    /// Monotonic time at which it was read.
    read_at: Duration,
    /// Whether the trials of the run are confirmed, or were waited for long enough.
    ready: bool,
}

/// The position as the mirror stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SavedPosition {
    /// Every event up to this one is handled,
    handled_to: u64,
    /// and so are these later ones.
    handled_later: BTreeSet<u64>,
    /// Time of the first poll.
    since: UnixMs,
}

impl SavedPosition {
    /// Parses a note; those of earlier releases hold only the first number.
    fn parse(text: &str, now: UnixMs) -> Option<Self> {
        let mut words = text.split(' ');
        let handled_to = words.next()?.parse().ok()?;
        let since = words.next().and_then(|word| word.parse().ok());
        Some(Self {
            handled_to,
            since: UnixMs(since.unwrap_or(now.0)),
            handled_later: words.filter_map(|word| word.parse().ok()).collect(),
        })
    }

    fn text(&self) -> String {
        let numbers = [self.handled_to.to_string(), self.since.0.to_string()].into_iter();
        let later = self.handled_later.iter().map(u64::to_string);
        numbers.chain(later).collect::<Vec<_>>().join(" ")
    }

    /// Moves to just before `first_pending`, or to `last_read` if nothing is pending.
    fn advance(&mut self, first_pending: Option<u64>, last_read: u64) {
        let handled_to = first_pending.map_or(last_read, |first| first - 1);
        self.handled_to = handled_to.max(self.handled_to);
        self.handled_later = self.handled_later.split_off(&(self.handled_to + 1));
    }
}

impl RunEndCursor {
    /// Creates a cursor over the ends of runs of `kinds`, which stores its position under `note_key`.
    #[must_use]
    pub fn new(note_key: &'static str, kinds: &'static [RunKind]) -> Self {
        Self {
            note_key,
            kinds,
            remotes: HashMap::new(),
        }
    }

    /// Returns the ends that can be handled now, oldest first, each until it is passed to
    /// [`RunEndCursor::ack`].
    ///
    /// # Errors
    ///
    /// [`MirrorError`]; the next poll continues where this one stopped.
    pub async fn poll(
        &mut self,
        remote: &Arc<MirroredRemote>,
        clock: &dyn Clock,
    ) -> Result<Vec<StatusEvent>, MirrorError> {
        let cursor = self.remotes.get(&remote.id);
        if cursor.is_none_or(|cursor| !cursor.remote.ptr_eq(&Arc::downgrade(remote))) {
            let cursor = self.load(remote, clock.wall()).await?;
            self.remotes.insert(remote.id.clone(), cursor);
        }
        let Some(cursor) = self.remotes.get_mut(&remote.id) else {
            return Ok(Vec::new());
        };
        let now = clock.monotonic();
        cursor
            .read_new_events(&remote.mirror, self.kinds, now)
            .await?;
        for end in &mut cursor.pending {
            end.ready = end.ready
                || end.event.subject == Subject::Run(RunKind::Run)
                || now.saturating_sub(end.read_at) > TRIALS_TIMEOUT
                || trials_are_confirmed(&remote.mirror, &end.event.run, end.event.observed).await?;
        }
        let ready = cursor.pending.iter().filter(|end| end.ready);
        Ok(ready.map(|end| end.event.clone()).collect())
    }

    /// Loads the stored position; the first poll of a remote starts at the end of its history.
    async fn load(
        &self,
        remote: &Arc<MirroredRemote>,
        now: UnixMs,
    ) -> Result<RemoteCursor, MirrorError> {
        let mirror = &remote.mirror;
        let note = mirror.read_note(self.note_key).await?;
        let saved = match note.and_then(|text| SavedPosition::parse(&text, now)) {
            Some(saved) => saved,
            None => {
                let query = EventQuery::default();
                let end = mirror.history_page(u64::MAX >> 1, 1, &query).await?.bounds;
                let saved = SavedPosition {
                    handled_to: end.last_seq,
                    handled_later: BTreeSet::new(),
                    since: now,
                };
                mirror.write_note(self.note_key, &saved.text()).await?;
                saved
            }
        };
        let (location, to) = (remote.location(), saved.handled_to);
        tracing::debug!(
            remote = location,
            to,
            "polling {location} for runs that have ended"
        );
        Ok(RemoteCursor {
            remote: Arc::downgrade(remote),
            commit: None,
            last_read: saved.handled_to,
            saved,
            pending: Vec::new(),
        })
    }

    /// Stores that an end is handled. A caller that acknowledges before it acts acts at most once,
    /// even if the daemon is killed; one that acknowledges afterwards acts at least once.
    ///
    /// # Errors
    ///
    /// [`MirrorError`]; the end will be returned again.
    pub async fn ack(&mut self, remote: &MirroredRemote, seq: u64) -> Result<(), MirrorError> {
        let Some(cursor) = self.remotes.get_mut(&remote.id) else {
            return Ok(());
        };
        let mut saved = cursor.saved.clone();
        saved.handled_later.insert(seq);
        let pending = cursor.pending.iter().map(|end| end.event.seq);
        let first_pending = pending.filter(|pending| *pending != seq).min();
        saved.advance(first_pending, cursor.last_read);
        remote
            .mirror
            .write_note(self.note_key, &saved.text())
            .await?;
        cursor.saved = saved;
        cursor.pending.retain(|end| end.event.seq != seq);
        Ok(())
    }
}

impl RemoteCursor {
    async fn read_new_events(
        &mut self,
        mirror: &Mirror,
        kinds: &[RunKind],
        now: Duration,
    ) -> Result<(), MirrorError> {
        let commit = *mirror.commits().borrow();
        if self.commit == Some(commit) {
            return Ok(());
        }
        loop {
            let events = mirror.events_after(self.last_read, BATCH).await?;
            let more = events.len() == BATCH;
            self.last_read = events.last().map_or(self.last_read, |event| event.seq);
            let ends = events.into_iter().filter(|event| {
                let of_kind = kinds
                    .iter()
                    .any(|kind| event.subject == Subject::Run(*kind));
                let new = !self.saved.handled_later.contains(&event.seq);
                of_kind && new && is_end(event, self.saved.since)
            });
            self.pending.extend(ends.map(|event| PendingEnd {
                event,
                read_at: now,
                ready: false,
            }));
            if !more {
                self.commit = Some(commit);
                return Ok(());
            }
        }
    }
}

/// Whether a run ended after `since`, the time of the first poll.
///
/// Usually the mirror saw the run active before. A run that started and ended between two syncs
/// first appears as ended; it counts if its own end time is after `since`. Every other run that
/// first appears as ended is an old one.
fn is_end(event: &StatusEvent, since: UnixMs) -> bool {
    let counts = match &event.from {
        Some(from) => lifecycle(from) == Lifecycle::Active,
        None => event.at != event.observed && event.at >= since,
    };
    counts && lifecycle(&event.to) == Lifecycle::Terminal
}

/// Whether the mirror has the trials of a run as they were when it ended, which the mirror saw at `observed`, or
/// later; or as it last saw them, if the run is gone.
pub(crate) async fn trials_are_confirmed(
    mirror: &Mirror,
    run: &str,
    observed: UnixMs,
) -> Result<bool, MirrorError> {
    let trials = Resource::Trials(run.to_owned());
    let confirmed = mirror.confirmation(&trials).await?;
    if confirmed.is_some_and(|confirmed| confirmed.at > observed) {
        return Ok(true);
    }
    // A directory is read with all its trials at once.
    let progress = mirror.progress(vec![run.to_owned()]).await?;
    let mut evaluations = progress
        .iter()
        .filter(|run| run.kind == Some(ObjectKind::Evaluation));
    Ok(evaluations.any(|run| run.settled || run.gone))
}

#[cfg(test)]
mod tests {
    use super::*;
    use docksd_mirror::Provenance;

    fn event(from: Option<&str>, to: &str, at: i64) -> StatusEvent {
        StatusEvent {
            seq: 7,
            subject: Subject::Run(RunKind::Evaluation),
            run: "r".into(),
            trial: None,
            from: from.map(str::to_owned),
            to: to.into(),
            at: UnixMs(at),
            observed: UnixMs(9_000),
            provenance: Provenance::Polled,
        }
    }

    #[test]
    fn a_run_has_ended_if_it_was_active_or_its_end_is_after_the_first_poll() {
        let since = UnixMs(5_000);
        let is_end = |from, to, at| is_end(&event(from, to, at), since);
        assert!(is_end(Some("running"), "failed", 1_000));
        assert!(is_end(None, "completed", 5_000));
        assert!(!is_end(None, "completed", 4_999), "ended before");
        assert!(!is_end(None, "completed", 9_000), "the end time is unknown");
        assert!(!is_end(None, "running", 6_000));
        assert!(
            !is_end(Some("completed"), "failed", 6_000),
            "it had ended already"
        );
    }

    #[test]
    fn a_position_survives_storage_whatever_is_acknowledged_first() {
        let mut position = SavedPosition::parse("4", UnixMs(77)).unwrap();
        assert_eq!(position.text(), "4 77");
        position.handled_later.extend([9, 12]);
        position.advance(Some(6), 20);
        assert_eq!(position.text(), "5 77 9 12");
        assert_eq!(
            SavedPosition::parse(&position.text(), UnixMs(0)),
            Some(position.clone())
        );
        position.advance(Some(11), 20);
        assert_eq!(position.text(), "10 77 12");
        position.advance(None, 20);
        assert_eq!(position.text(), "20 77");
        assert_eq!(SavedPosition::parse("x", UnixMs(0)), None);
    }
}
