//! Follows the history of each remote for runs that end, for those who do something about it.
//!
//! How far that went is a note in the mirror: what ended shortly before a daemon did is acted on
//! by the next one, and nothing twice. What ended before anybody followed is left alone.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

use docks_proto::event::EventQuery;
use docks_proto::object::{Lifecycle, lifecycle};
use docks_proto::routes::RunKind;
use docks_proto::settings::Target;
use docks_proto::time::UnixMs;

use crate::registry::Source;
use docksd_mirror::{Mirror, MirrorError, Resource, StatusEvent, Subject};
use docksd_sync::Clock;

/// Between two looks at what changed.
pub const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Changes that are read at once.
const BATCH: usize = 1_024;

/// How long the trials of an ended run are waited for; then what is known of them has to do.
const PATIENCE: Duration = Duration::from_secs(120);

/// The ends that one of those who act has not acted on yet.
pub struct Ends {
    note: &'static str,
    kinds: &'static [RunKind],
    followed: HashMap<Target, Followed>,
}

/// How far one remote's history was followed.
struct Followed {
    /// A mirror that is made anew counts from the beginning.
    source: Weak<Source>,
    commit: Option<u64>,
    seq: u64,
    place: Place,
    /// Ends that are not acted on yet, since when, and whether they can be.
    open: Vec<(StatusEvent, Duration, bool)>,
}

/// What is remembered over a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// Everything up to this change was acted on,
    to: u64,
    /// and these after it.
    beyond: BTreeSet<u64>,
    /// When following began.
    since: UnixMs,
}

impl Place {
    /// Reads a note; an older one is a number only.
    fn parse(text: &str, now: UnixMs) -> Option<Self> {
        let mut words = text.split(' ');
        let to = words.next()?.parse().ok()?;
        let since = words.next().and_then(|word| word.parse().ok());
        Some(Self {
            to,
            since: UnixMs(since.unwrap_or(now.0)),
            beyond: words.filter_map(|word| word.parse().ok()).collect(),
        })
    }

    fn text(&self) -> String {
        let numbers = [self.to.to_string(), self.since.0.to_string()].into_iter();
        let beyond = self.beyond.iter().map(u64::to_string);
        numbers.chain(beyond).collect::<Vec<_>>().join(" ")
    }

    /// Moves on: `first` is the first change that is still to be acted on, or `read` all are read.
    fn advance(&mut self, first: Option<u64>, read: u64) {
        self.to = first.map_or(read, |first| first - 1).max(self.to);
        self.beyond = self.beyond.split_off(&(self.to + 1));
    }
}

impl Ends {
    /// Follows the ends of runs of these kinds, and keeps its place under this name.
    #[must_use]
    pub fn new(note: &'static str, kinds: &'static [RunKind]) -> Self {
        Self {
            note,
            kinds,
            followed: HashMap::new(),
        }
    }

    /// Returns the ends that can be acted on now, in order; each again until it is [`Ends::taken`].
    ///
    /// # Errors
    ///
    /// [`MirrorError`]; the next look goes on where this one stopped.
    pub async fn look(
        &mut self,
        source: &Arc<Source>,
        clock: &dyn Clock,
    ) -> Result<Vec<StatusEvent>, MirrorError> {
        let known = self.followed.get(&source.target);
        if known.is_none_or(|known| !known.source.ptr_eq(&Arc::downgrade(source))) {
            let begun = self.begin(source, clock.wall()).await?;
            self.followed.insert(source.target.clone(), begun);
        }
        let Some(state) = self.followed.get_mut(&source.target) else {
            return Ok(Vec::new());
        };
        let now = clock.monotonic();
        state.read_on(&source.mirror, self.kinds, now).await?;
        for (event, since, ready) in &mut state.open {
            *ready = *ready
                || event.subject == Subject::Run(RunKind::Run)
                || now.saturating_sub(*since) > PATIENCE
                || trials_are_known(&source.mirror, event).await?;
        }
        let ready = state.open.iter().filter(|(.., ready)| *ready);
        Ok(ready.map(|(event, ..)| event.clone()).collect())
    }

    async fn begin(&self, source: &Arc<Source>, now: UnixMs) -> Result<Followed, MirrorError> {
        let mirror = &source.mirror;
        let noted = mirror.read_note(self.note).await?;
        let place = match noted.and_then(|text| Place::parse(&text, now)) {
            Some(place) => place,
            // Followed for the first time: what ended before is left alone.
            None => {
                let query = EventQuery::default();
                let end = mirror.history_page(u64::MAX >> 1, 1, &query).await?.bounds;
                let place = Place {
                    to: end.last_seq,
                    beyond: BTreeSet::new(),
                    since: now,
                };
                mirror.write_note(self.note, &place.text()).await?;
                place
            }
        };
        let (remote, to) = (source.location(), place.to);
        tracing::debug!(remote, to, "following the ends of runs of {remote}");
        Ok(Followed {
            source: Arc::downgrade(source),
            commit: None,
            seq: place.to,
            place,
            open: Vec::new(),
        })
    }

    /// Notes that an end is acted on. Before that begins, no kill makes it happen twice; after it,
    /// none makes it not happen.
    ///
    /// # Errors
    ///
    /// [`MirrorError`]; the end will be returned again.
    pub async fn taken(&mut self, source: &Source, seq: u64) -> Result<(), MirrorError> {
        let Some(state) = self.followed.get_mut(&source.target) else {
            return Ok(());
        };
        let mut place = state.place.clone();
        place.beyond.insert(seq);
        let open = state.open.iter().map(|(event, ..)| event.seq);
        place.advance(open.filter(|open| *open != seq).min(), state.seq);
        source.mirror.write_note(self.note, &place.text()).await?;
        state.place = place;
        state.open.retain(|(event, ..)| event.seq != seq);
        Ok(())
    }
}

impl Followed {
    async fn read_on(
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
            let events = mirror.events_after(self.seq, BATCH).await?;
            let more = events.len() == BATCH;
            self.seq = events.last().map_or(self.seq, |event| event.seq);
            let ours = events.into_iter().filter(|event| {
                let of_kind = kinds
                    .iter()
                    .any(|kind| event.subject == Subject::Run(*kind));
                let new = !self.place.beyond.contains(&event.seq);
                of_kind && new && is_end(event, self.place.since)
            });
            self.open.extend(ours.map(|event| (event, now, false)));
            if !more {
                self.commit = Some(commit);
                return Ok(());
            }
        }
    }
}

/// Tells whether a run ended while somebody followed.
///
/// Nearly always it was seen at work before. One that began and ended between two looks is met as
/// ended, by its own time after following began; all others that are met so ended long ago.
fn is_end(event: &StatusEvent, since: UnixMs) -> bool {
    let counts = match &event.from {
        Some(from) => lifecycle(from) == Lifecycle::Active,
        None => event.at != event.observed && event.at >= since,
    };
    counts && lifecycle(&event.to) == Lifecycle::Terminal
}

async fn trials_are_known(mirror: &Mirror, event: &StatusEvent) -> Result<bool, MirrorError> {
    let trials = Resource::Trials(event.run.clone());
    let confirmed = mirror.confirmation(&trials).await?;
    Ok(confirmed.is_some_and(|confirmed| confirmed.at > event.observed))
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
    fn an_end_was_seen_or_lies_after_the_beginning() {
        let since = UnixMs(5_000);
        let is_end = |from, to, at| is_end(&event(from, to, at), since);
        assert!(is_end(Some("running"), "failed", 1_000));
        assert!(is_end(None, "completed", 5_000));
        assert!(!is_end(None, "completed", 4_999), "ended before");
        assert!(!is_end(None, "completed", 9_000), "it does not say when");
        assert!(!is_end(None, "running", 6_000));
        assert!(!is_end(Some("completed"), "failed", 6_000), "no new end");
    }

    #[test]
    fn a_place_survives_being_written_whatever_was_taken_first() {
        let mut place = Place::parse("4", UnixMs(77)).unwrap();
        assert_eq!(place.text(), "4 77");
        place.beyond.extend([9, 12]);
        place.advance(Some(6), 20);
        assert_eq!(place.text(), "5 77 9 12");
        assert_eq!(Place::parse(&place.text(), UnixMs(0)), Some(place.clone()));
        place.advance(Some(11), 20);
        assert_eq!(place.text(), "10 77 12");
        place.advance(None, 20);
        assert_eq!(place.text(), "20 77");
        assert_eq!(Place::parse("x", UnixMs(0)), None);
    }
}
