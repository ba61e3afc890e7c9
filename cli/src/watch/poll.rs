//! Watching without a daemon: polls the remote, one request at a time and at the daemon's pace,
//! and turns every difference into an event.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use docks_proto::client::{Client, ClientError, list_all_runs, list_all_trials};
use docks_proto::event::{Change, Event, ObjectKind, ObjectState, Progress, Ready};
use docks_proto::freshness::CachePolicy;
use docks_proto::object::{Lifecycle, RawObject, RunFields, has_outgrown_id, lifecycle};
use docks_proto::routes::RunKind;
use docks_proto::run_usage::RunUsage;

use super::model::{Model, RunKey};

/// Pause between two requests: twelve a minute.
pub(super) const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// More runs than this are requested as a list instead of one by one.
const MOST_SINGLE_RUNS: usize = 3;
/// Runs that are requested of a list.
const LIST_LIMIT: u64 = 100;

/// One request of a round.
#[derive(Debug, Clone, PartialEq, Eq)]
enum PollRequest {
    List(RunKind),
    Run(RunKind, String),
    Trials(String),
}

/// Polls the remote, round after round.
#[derive(Debug)]
pub(super) struct Poller {
    client: Client,
    keys: Vec<RunKey>,
    pending: VecDeque<PollRequest>,
    ready: bool,
    statuses: HashMap<(ObjectKind, String, Option<String>), String>,
    runs: HashMap<String, RawObject>,
    trials: HashMap<String, BTreeMap<String, ObjectState>>,
    fetched_at_end: HashMap<String, bool>,
}

fn run_kind(kind: ObjectKind) -> RunKind {
    match kind {
        ObjectKind::Run => RunKind::Run,
        ObjectKind::Evaluation | ObjectKind::Trial => RunKind::Evaluation,
    }
}

impl Poller {
    /// Starts from the state that is known already.
    pub(super) fn new(client: Client, keys: &[RunKey], model: &Model) -> Self {
        let mut statuses = HashMap::new();
        for watched in &model.runs {
            let of_run = watched.run.iter().map(|run| (None, run));
            let of_trials = watched.trials.iter().map(|(id, state)| (Some(id), state));
            for (trial, state) in of_run.chain(of_trials) {
                let key = (state.kind, state.run_id.clone(), trial.cloned());
                statuses.insert(key, state.status.clone());
            }
        }
        Self {
            client,
            keys: keys.to_vec(),
            pending: VecDeque::new(),
            ready: false,
            statuses,
            runs: HashMap::new(),
            trials: HashMap::new(),
            fetched_at_end: HashMap::new(),
        }
    }

    /// Sends the next request and returns the events that its answer leads to.
    ///
    /// # Errors
    ///
    /// Why there is no answer; the next call sends the same request again.
    pub(super) async fn poll(&mut self) -> Result<Vec<Event>, ClientError> {
        if self.pending.is_empty() {
            self.pending = self.next_round();
        }
        let Some(request) = self.pending.front().cloned() else {
            return Ok(Vec::new());
        };
        let mut events = Vec::new();
        match &request {
            PollRequest::List(kind) => {
                for object in list_all_runs(&self.client, *kind, Some(LIST_LIMIT)).await? {
                    self.update_run(*kind, &object, &mut events);
                }
            }
            PollRequest::Run(kind, id) => {
                match self.client.run(*kind, id, CachePolicy::Default).await {
                    Ok(answer) => {
                        let text = String::from_utf8_lossy(&answer.body);
                        if let Ok(Some(object)) = RawObject::parse(text.trim()) {
                            self.update_run(*kind, &object, &mut events);
                        }
                    }
                    Err(ClientError::Refused { status: 404, .. }) => {
                        events.push(Event::Progress(self.progress(*kind, id, true)));
                    }
                    Err(error) => return Err(error),
                }
            }
            PollRequest::Trials(run) => {
                let ended = self.ended(ObjectKind::Evaluation, run);
                for object in list_all_trials(&self.client, run).await? {
                    let state = ObjectState::from_trial(run, &object);
                    let id = state.trial_id.clone().unwrap_or_default();
                    let trials = self.trials.entry(run.clone()).or_default();
                    trials.insert(id, state.clone());
                    self.push_if_changed(state, &mut events);
                }
                self.fetched_at_end.insert(run.clone(), ended);
                let progress = self.progress(RunKind::Evaluation, run, false);
                events.push(Event::Progress(progress));
            }
        }
        self.pending.pop_front();
        if self.pending.is_empty() && !self.ready {
            self.ready = true;
            events.push(Event::Ready(Ready { id: String::new() }));
        }
        Ok(events)
    }

    /// Lists the requests of one round: every run that has not ended, and its trials.
    fn next_round(&self) -> VecDeque<PollRequest> {
        let open = |(kind, id): &&RunKey| {
            let settled = *kind == ObjectKind::Run || self.fetched_at_end.get(id) == Some(&true);
            !(self.ended(*kind, id) && settled)
        };
        let open: Vec<&RunKey> = self.keys.iter().filter(open).collect();
        let mut requests = VecDeque::new();
        for kind in RunKind::ALL {
            let of_kind = || open.iter().filter(|(of, _)| run_kind(*of) == kind);
            let many = of_kind().count() > MOST_SINGLE_RUNS;
            if many {
                requests.push_back(PollRequest::List(kind));
            }
            for (of, id) in of_kind() {
                // A list holds the newest runs; the others are requested one by one.
                let listed = many && self.runs.contains_key(id);
                if !listed && !self.ended(*of, id) {
                    requests.push_back(PollRequest::Run(kind, id.clone()));
                }
            }
        }
        let evaluations = open.iter().filter(|(of, _)| *of == ObjectKind::Evaluation);
        requests.extend(evaluations.map(|(_, id)| PollRequest::Trials(id.clone())));
        requests
    }

    fn ended(&self, kind: ObjectKind, id: &str) -> bool {
        let status = self.statuses.get(&(kind, id.to_owned(), None));
        status.is_some_and(|status| lifecycle(status) == Lifecycle::Terminal)
    }

    fn update_run(&mut self, kind: RunKind, object: &RawObject, events: &mut Vec<Event>) {
        let state = ObjectState::from_run(kind, object);
        let id = state.run_id.clone();
        // A Harbor job that had its name as id may have its real one by now. Names are compared first,
        // since reading the object takes longer.
        let is_same =
            |key: &str| key == id || (key.ends_with(&state.name) && has_outgrown_id(object, key));
        let mut keys = self.keys.iter_mut();
        match keys.find(|(of, key)| *of == state.kind && is_same(key)) {
            Some(key) => key.1.clone_from(&id),
            None => return,
        }
        self.runs.insert(id.clone(), object.clone());
        self.push_if_changed(state, events);
        events.push(Event::Progress(self.progress(kind, &id, false)));
    }

    /// Adds an event when an object is new, or its status has changed.
    fn push_if_changed(&mut self, state: ObjectState, events: &mut Vec<Event>) {
        let key = (state.kind, state.run_id.clone(), state.trial_id.clone());
        let before = self.statuses.insert(key, state.status.clone());
        if before.as_ref() == Some(&state.status) {
            return;
        }
        if before.is_none() && !self.ready {
            events.push(Event::State(state));
            return;
        }
        let at = match state.ended {
            true => state.completed_at.clone(),
            false => state.started_at.clone(),
        };
        events.push(Event::Change(Change::without_history(before, at, state)));
    }

    fn progress(&self, kind: RunKind, id: &str, gone: bool) -> Progress {
        let key = (ObjectKind::from(kind), id.to_owned(), None);
        let ended = self.ended(kind.into(), id);
        let mut progress = Progress {
            kind: Some(kind.into()),
            run_id: id.to_owned(),
            status: self.statuses.get(&key).cloned().unwrap_or_default(),
            ended,
            gone,
            settled: ended && self.fetched_at_end.get(id) == Some(&true),
            ..Progress::default()
        };
        if kind == RunKind::Run {
            progress.settled = ended;
            return progress;
        }
        let trials = self.trials.get(id);
        let states = || trials.iter().flat_map(|trials| trials.values());
        states().for_each(|trial| progress.add_trials(&trial.status, 1));
        let rewards: Vec<f64> = states().filter_map(|trial| trial.reward).collect();
        if !rewards.is_empty() {
            progress.mean_reward = Some(rewards.iter().sum::<f64>() / rewards.len() as f64);
        }
        if let Some(run) = self.runs.get(id) {
            progress.raise_to_counts_of(&RunFields::from_object(run));
            progress.take_usage_of(&RunUsage::from_object(run));
        }
        progress
    }
}
