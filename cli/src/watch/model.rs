//! What is known of the runs that are watched; pure.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use docks_proto::event::{
    Change, ConnectionState, Event, ObjectKind, ObjectState, Progress, is_failure,
};
use docks_proto::object::{Lifecycle, lifecycle};
use docks_proto::time::UnixMs;

/// Latest failures that are remembered of a run.
const FAILURES: usize = 100;
/// Ends of trials that the rate is taken from.
const ENDS: usize = 2_000;
/// Stretch of time that the rate is taken over.
pub(crate) const RATE_OVER: Duration = Duration::from_secs(600);

/// How a run is named: of which kind, and by which id.
pub(crate) type RunKey = (ObjectKind, String);

/// A run that is watched.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    /// The run, once something was heard of it.
    pub(crate) run: Option<ObjectState>,
    /// Its counts.
    pub(crate) progress: Option<Progress>,
    /// Its trials by id.
    pub(crate) trials: HashMap<String, ObjectState>,
    /// Ids of trials that failed, in the order in which they did.
    pub(crate) failures: VecDeque<String>,
    /// When trials ended, in the order in which that was learned.
    pub(crate) ends: VecDeque<UnixMs>,
    /// Id that it is watched by.
    pub(crate) id: String,
    /// Of which kind.
    pub(crate) kind: ObjectKind,
}

impl Watched {
    /// Returns name or else id.
    pub(crate) fn label(&self) -> &str {
        let name = self.run.as_ref().map_or("", |run| run.name.as_str());
        if name.is_empty() { &self.id } else { name }
    }

    /// Returns the status as the remote wrote it.
    pub(crate) fn status(&self) -> &str {
        self.run.as_ref().map_or("", |run| run.status.as_str())
    }

    /// Tells whether the remote has it no more.
    pub(crate) fn gone(&self) -> bool {
        self.progress.as_ref().is_some_and(|progress| progress.gone)
    }

    /// Tells whether nothing more will happen to it.
    pub(crate) fn ended(&self) -> bool {
        self.gone() || self.run.as_ref().is_some_and(|run| run.ended)
    }

    /// Tells whether its trials are those of its end, too.
    pub(crate) fn settled(&self) -> bool {
        let settled = |progress: &Progress| progress.settled || progress.gone;
        self.ended()
            && (self.kind == ObjectKind::Run || self.progress.as_ref().is_some_and(settled))
    }

    /// Returns trials that ended per minute, over the last ten minutes at most.
    pub(crate) fn rate(&self, now: UnixMs) -> Option<f64> {
        let from = now.minus(RATE_OVER);
        let recent = self.ends.iter().filter(|at| **at >= from);
        let count = recent.clone().count();
        let first = recent.min()?;
        // One end says nothing about how long the next takes.
        if count < 2 {
            return None;
        }
        let minutes = now.since(*first).as_secs_f64() / 60.0;
        (minutes > 0.0).then(|| count as f64 / minutes)
    }
}

/// Something to say.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Note {
    /// Place of the run.
    pub(crate) run: usize,
    /// Status before; `None` when it is met for the first time.
    pub(crate) from: Option<String>,
    /// Since when.
    pub(crate) at: Option<String>,
    /// The object.
    pub(crate) object: ObjectState,
}

/// Everything that is known.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    /// The runs, in the order in which they were named.
    pub(crate) runs: Vec<Watched>,
    /// Whether the remote can be seen.
    pub(crate) source: ConnectionState,
    /// Whether a first present state is complete.
    pub(crate) ready: bool,
    places: HashMap<RunKey, usize>,
}

impl Model {
    /// Starts with runs of which nothing is known.
    pub(crate) fn new(keys: Vec<RunKey>) -> Self {
        let mut model = Self::default();
        for (kind, id) in keys {
            let place = model.runs.len();
            if model.places.insert((kind, id.clone()), place).is_none() {
                model.runs.push(Watched {
                    run: None,
                    progress: None,
                    trials: HashMap::new(),
                    failures: VecDeque::new(),
                    ends: VecDeque::new(),
                    id,
                    kind,
                });
            }
        }
        model
    }

    /// Takes an event; returns what is new in it, if anything is.
    pub(crate) fn take(&mut self, event: &Event) -> Option<Note> {
        match event {
            Event::State(state) => self.state(state, None),
            Event::Change(change) => self.state(&change.object, Some(change)),
            Event::Progress(progress) => {
                let key = (progress.kind?, progress.run_id.clone());
                let place = *self.places.get(&key)?;
                self.runs[place].progress = Some(progress.clone());
                None
            }
            Event::Connection(source) => {
                self.source = source.clone();
                None
            }
            Event::Ready(_) => {
                self.ready = true;
                None
            }
            Event::Resync(_) | Event::Unknown => None,
        }
    }

    fn state(&mut self, state: &ObjectState, change: Option<&Change>) -> Option<Note> {
        let place = self.place(state)?;
        let watched = &mut self.runs[place];
        let before = match &state.trial_id {
            None => watched.run.replace(state.clone()),
            Some(trial) => watched.trials.insert(trial.clone(), state.clone()),
        };
        let before = before.map(|known| known.status);
        if before.as_ref() == Some(&state.status) {
            return None;
        }
        if let Some(trial) = &state.trial_id {
            watched.note_trial(trial, state, change);
        }
        Some(Note {
            run: place,
            from: before,
            at: change
                .map(|change| change.at.clone())
                .or_else(|| state.completed_at.clone().filter(|_| state.ended))
                .or_else(|| state.started_at.clone()),
            object: state.clone(),
        })
    }

    /// Tells whether an object is known to be further than this state of it.
    pub(crate) fn is_past(&self, state: &ObjectState) -> bool {
        let Some(place) = self.place(state) else {
            return false;
        };
        let watched = &self.runs[place];
        let known = match &state.trial_id {
            None => watched.run.as_ref(),
            Some(trial) => watched.trials.get(trial),
        };
        known.is_some_and(|known| stage(&known.status) > stage(&state.status))
    }

    fn place(&self, state: &ObjectState) -> Option<usize> {
        let kind = match state.kind {
            ObjectKind::Trial => ObjectKind::Evaluation,
            kind => kind,
        };
        self.places.get(&(kind, state.run_id.clone())).copied()
    }

    /// Tells whether everything has ended and settled.
    pub(crate) fn settled(&self) -> bool {
        self.ready && self.runs.iter().all(Watched::settled)
    }

    /// Tells whether every run has ended.
    pub(crate) fn ended(&self) -> bool {
        self.ready && self.runs.iter().all(Watched::ended)
    }

    /// Names the runs that go on.
    pub(crate) fn going_on(&self) -> Vec<&str> {
        let active = self.runs.iter().filter(|run| !run.ended());
        active.map(Watched::label).collect()
    }
}

/// Returns how far a status is on the way from waiting over working to the end.
fn stage(status: &str) -> u8 {
    match lifecycle(status) {
        Lifecycle::Terminal => 2,
        Lifecycle::Active => u8::from(!waits(status)),
    }
}

/// Tells whether something of this status has not begun.
pub(crate) fn waits(status: &str) -> bool {
    let waiting = ["pending", "queued", "provisioning"];
    waiting.iter().any(|w| w.eq_ignore_ascii_case(status))
}

impl Watched {
    fn note_trial(&mut self, id: &str, state: &ObjectState, change: Option<&Change>) {
        if is_failure(&state.status) {
            self.failures.retain(|known| known != id);
            self.failures.push_back(id.to_owned());
            if self.failures.len() > FAILURES {
                self.failures.pop_front();
            }
        }
        let at = match change {
            Some(change) => UnixMs::parse(&change.at),
            None => state.completed_at.as_deref().and_then(UnixMs::parse),
        };
        if let Some(at) = at.filter(|_| state.ended) {
            self.ends.push_back(at);
            if self.ends.len() > ENDS {
                self.ends.pop_front();
            }
        }
    }
}
