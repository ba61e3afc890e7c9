//! The state of the watched runs, built from events; does no I/O.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use docks_proto::event::{
    Change, ConnectionState, Event, ObjectKind, ObjectState, Progress, is_failure,
};
use docks_proto::object::{Lifecycle, lifecycle};
use docks_proto::time::UnixMs;

/// Failed trials that are remembered per run, the latest ones.
const MOST_FAILURES: usize = 100;
/// Ends of trials that are remembered per run, for the rate.
const MOST_ENDS: usize = 2_000;
/// Period that the rate is measured over.
const RATE_PERIOD: Duration = Duration::from_secs(600);

/// Identifies a run: its kind and id.
pub(crate) type RunKey = (ObjectKind, String);

/// A watched run.
#[derive(Debug, Clone)]
pub(crate) struct WatchedRun {
    /// The run, once its first state was received.
    pub(crate) run: Option<ObjectState>,
    /// Its counts.
    pub(crate) progress: Option<Progress>,
    /// Its trials by id.
    pub(crate) trials: HashMap<String, ObjectState>,
    /// Ids of failed trials, in the order of their failures.
    pub(crate) failures: VecDeque<String>,
    /// When trials ended, in the order in which that was received.
    pub(crate) ends: VecDeque<UnixMs>,
    /// Id under which it is watched.
    pub(crate) id: String,
    /// Its kind.
    pub(crate) kind: ObjectKind,
}

impl WatchedRun {
    /// Returns its name, else its id.
    pub(crate) fn label(&self) -> &str {
        let name = self.run.as_ref().map_or("", |run| run.name.as_str());
        if name.is_empty() { &self.id } else { name }
    }

    /// Returns the status as the remote wrote it.
    pub(crate) fn status(&self) -> &str {
        self.run.as_ref().map_or("", |run| run.status.as_str())
    }

    /// Returns whether the remote no longer has it.
    pub(crate) fn gone(&self) -> bool {
        self.progress.as_ref().is_some_and(|progress| progress.gone)
    }

    /// Returns whether the run itself will not change any more.
    pub(crate) fn ended(&self) -> bool {
        self.gone() || self.run.as_ref().is_some_and(|run| run.ended)
    }

    /// Returns whether it has ended and its trials are final, too.
    pub(crate) fn settled(&self) -> bool {
        let settled = |progress: &Progress| progress.settled || progress.gone;
        self.ended()
            && (self.kind == ObjectKind::Run || self.progress.as_ref().is_some_and(settled))
    }

    /// Returns trials that ended per minute, over the last ten minutes at most.
    pub(crate) fn rate(&self, now: UnixMs) -> Option<f64> {
        let from = now.minus(RATE_PERIOD);
        let recent = self.ends.iter().filter(|at| **at >= from);
        let count = recent.clone().count();
        let first = recent.min()?;
        // A single end is no basis for a rate.
        if count < 2 {
            return None;
        }
        let minutes = now.since(*first).as_secs_f64() / 60.0;
        (minutes > 0.0).then(|| count as f64 / minutes)
    }
}

/// A change to report.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StatusChange {
    /// Index of the run in [`Model::runs`].
    pub(crate) run: usize,
    /// Status before; `None` for the first state of an object.
    pub(crate) from: Option<String>,
    /// When it changed, RFC 3339.
    pub(crate) at: Option<String>,
    /// The object after the change.
    pub(crate) object: ObjectState,
}

impl StatusChange {
    /// Returns it as an event without a place in the history of a daemon.
    pub(crate) fn to_event(&self) -> Event {
        let (from, at) = (self.from.clone(), self.at.clone());
        Event::Change(Change::without_history(from, at, self.object.clone()))
    }
}

/// The state of all watched runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    /// The runs, in the order of the command line.
    pub(crate) runs: Vec<WatchedRun>,
    /// Whether events can be received, and if not, since when and why.
    pub(crate) source: ConnectionState,
    /// Whether the first state of all runs was received.
    pub(crate) ready: bool,
    /// The remotes, if they are several; ids and names of runs are then `REMOTE:RUN`.
    pub(crate) remotes: Vec<String>,
    indices: HashMap<RunKey, usize>,
}

impl Model {
    /// Starts with runs whose state is unknown.
    pub(crate) fn new(keys: Vec<RunKey>) -> Self {
        let mut model = Self::default();
        for (kind, id) in keys {
            let index = model.runs.len();
            if model.indices.insert((kind, id.clone()), index).is_none() {
                model.runs.push(WatchedRun {
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

    /// Returns the remote of a run, if there are several, and its state as that remote knows it.
    pub(crate) fn as_its_remote(&self, state: &ObjectState) -> (Option<&str>, ObjectState) {
        let mut own = state.clone();
        let rest = |text: &str, remote: &str| {
            let rest = text.strip_prefix(remote)?.strip_prefix(':')?;
            Some(rest.to_owned())
        };
        for remote in &self.remotes {
            let Some(id) = rest(&state.run_id, remote) else {
                continue;
            };
            own.run_id = id;
            if let Some(name) = rest(&state.name, remote).filter(|_| state.trial_id.is_none()) {
                own.name = name;
            }
            return (Some(remote), own);
        }
        (None, own)
    }

    /// Applies an event; returns the change to report, if it is one.
    pub(crate) fn apply(&mut self, event: &Event) -> Option<StatusChange> {
        match event {
            Event::State(state) => self.apply_state(state, None),
            Event::Change(change) => self.apply_state(&change.object, Some(change)),
            Event::Progress(progress) => {
                let key = (progress.kind?, progress.run_id.clone());
                let index = *self.indices.get(&key)?;
                self.runs.get_mut(index)?.progress = Some(progress.clone());
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

    fn apply_state(
        &mut self,
        state: &ObjectState,
        change: Option<&Change>,
    ) -> Option<StatusChange> {
        let index = self.index_of(state).or_else(|| self.rename(state))?;
        let watched = self.runs.get_mut(index)?;
        let before = match &state.trial_id {
            None => watched.run.replace(state.clone()),
            Some(trial) => watched.trials.insert(trial.clone(), state.clone()),
        };
        let before = before.map(|known| known.status);
        if before.as_ref() == Some(&state.status) {
            return None;
        }
        if let Some(trial) = &state.trial_id {
            watched.record_trial(trial, state, change);
        }
        Some(StatusChange {
            run: index,
            from: before,
            at: change
                .map(|change| change.at.clone())
                .or_else(|| state.completed_at.clone().filter(|_| state.ended))
                .or_else(|| state.started_at.clone()),
            object: state.clone(),
        })
    }

    /// Returns whether the known state of an object is further than this one.
    pub(crate) fn is_past(&self, state: &ObjectState) -> bool {
        let index = self.index_of(state);
        let Some(watched) = index.and_then(|index| self.runs.get(index)) else {
            return false;
        };
        let known = match &state.trial_id {
            None => watched.run.as_ref(),
            Some(trial) => watched.trials.get(trial),
        };
        known.is_some_and(|known| progress_of(&known.status) > progress_of(&state.status))
    }

    /// Notes the real id of a run that had its name as id until now, as a Harbor job has when it starts.
    fn rename(&mut self, state: &ObjectState) -> Option<usize> {
        let provisional = (state.kind, state.name.clone());
        let index = *self.indices.get(&provisional)?;
        self.runs.get_mut(index)?.id.clone_from(&state.run_id);
        self.indices
            .insert((state.kind, state.run_id.clone()), index);
        Some(index)
    }

    fn index_of(&self, state: &ObjectState) -> Option<usize> {
        let kind = match state.kind {
            ObjectKind::Trial => ObjectKind::Evaluation,
            kind => kind,
        };
        self.indices.get(&(kind, state.run_id.clone())).copied()
    }

    /// Returns whether every run has ended and its trials are final.
    pub(crate) fn settled(&self) -> bool {
        self.ready && self.runs.iter().all(WatchedRun::settled)
    }

    /// Returns whether every run has ended.
    pub(crate) fn ended(&self) -> bool {
        self.ready && self.runs.iter().all(WatchedRun::ended)
    }

    /// Lists the names of the runs that have not ended.
    pub(crate) fn active_labels(&self) -> Vec<&str> {
        let active = self.runs.iter().filter(|run| !run.ended());
        active.map(WatchedRun::label).collect()
    }
}

/// Orders statuses: 0 for waiting, 1 for running, 2 for ended.
fn progress_of(status: &str) -> u8 {
    match lifecycle(status) {
        Lifecycle::Terminal => 2,
        Lifecycle::Active => u8::from(!is_waiting(status)),
    }
}

/// Returns whether a run or trial of this status has not started.
pub(crate) fn is_waiting(status: &str) -> bool {
    let waiting = ["pending", "queued", "provisioning"];
    waiting.iter().any(|w| w.eq_ignore_ascii_case(status))
}

impl WatchedRun {
    fn record_trial(&mut self, id: &str, state: &ObjectState, change: Option<&Change>) {
        if is_failure(&state.status) {
            self.failures.retain(|known| known != id);
            self.failures.push_back(id.to_owned());
            if self.failures.len() > MOST_FAILURES {
                self.failures.pop_front();
            }
        }
        let at = match change {
            Some(change) => UnixMs::parse(&change.at),
            None => state.completed_at.as_deref().and_then(UnixMs::parse),
        };
        if let Some(at) = at.filter(|_| state.ended) {
            self.ends.push_back(at);
            if self.ends.len() > MOST_ENDS {
                self.ends.pop_front();
            }
        }
    }
}
