//! The trials of a job that has not finished: a change of one is delivered without the thousands beside it.

use std::collections::BTreeMap;

use docks_proto::object::RawObject;
use docks_proto::trial_changes::{ChangedTrial, TrialChanges, TrialPlace};
use docksd_remote::Validator;

use crate::derive::agent_names::AgentNames;
use crate::derive::job_view::JobView;
use crate::derive::reward_rules::RewardRules;
use crate::disk::file_version::FileVersion;
use crate::listed_trial::listed_trials;
use crate::utc::Utc;
use crate::validators::{hash_object, hash_of_list, validator};

/// The trials of a job as they are, and how they differ from what was delivered.
#[derive(Debug)]
pub(crate) struct LiveTrials {
    context: TrialContext,
    /// All trials, in the order of the list.
    entries: Vec<Entry>,
    /// Validator of what was delivered.
    delivered: Validator,
    /// Objects that differ from the delivered ones, by id.
    changed: BTreeMap<String, RawObject>,
    /// Delivered trials that are not in the list any more.
    removed: BTreeMap<String, Delivered>,
    /// Trials that have not ended.
    active: u64,
}

/// What the objects of all trials depend on besides their own files.
#[derive(Debug, PartialEq)]
struct TrialContext {
    run_id: String,
    agent_names: AgentNames,
    rules: RewardRules,
    started: Option<Utc>,
    /// Microseconds that local time was ahead of UTC.
    ahead_us: i64,
    is_finished: bool,
    is_active: bool,
    /// The version of the plan.
    plan: Option<FileVersion>,
}

/// One trial.
#[derive(Debug)]
struct Entry {
    id: String,
    /// What its object was made from; `None` if that depends on more than its own files.
    basis: Option<u64>,
    /// The hash of its object.
    hash: u64,
    /// As it was delivered; `None` if it was not.
    delivered: Option<Delivered>,
}

/// A trial as it was delivered.
#[derive(Debug, Clone, Copy)]
struct Delivered {
    /// The hash of its object.
    hash: u64,
    /// Its place in the list.
    at: usize,
}

impl TrialContext {
    fn of(view: &JobView<'_>, run_id: &str) -> Self {
        Self {
            run_id: run_id.to_owned(),
            agent_names: view.agent_names.clone(),
            rules: view.rules,
            started: view.times.started,
            ahead_us: view.times.ahead_us,
            is_finished: view.snapshot.is_finished(),
            is_active: view.state.is_active(),
            plan: view.snapshot.lock.version(),
        }
    }
}

impl LiveTrials {
    /// Begins with a list that is delivered whole, and returns its objects.
    pub(crate) fn begin(
        view: &JobView<'_>,
        run_id: &str,
    ) -> Result<(Self, Vec<RawObject>), serde_json::Error> {
        let mut objects = Vec::new();
        let mut entries = Vec::new();
        let mut active = 0;
        for trial in listed_trials(view) {
            active += u64::from(trial.is_active(view));
            let object = trial.to_object(view, run_id)?;
            let hash = hash_object(&object);
            let at = entries.len();
            entries.push(Entry {
                id: trial.id().into_owned(),
                basis: trial.basis(),
                hash,
                delivered: Some(Delivered { hash, at }),
            });
            objects.push(object);
        }
        let this = Self {
            context: TrialContext::of(view, run_id),
            delivered: validator(hash_of_list(entries.iter().map(|entry| entry.hash))),
            entries,
            changed: BTreeMap::new(),
            removed: BTreeMap::new(),
            active,
        };
        Ok((this, objects))
    }

    /// Finds out what differs now from what was delivered.
    pub(crate) fn update(
        &mut self,
        view: &JobView<'_>,
        run_id: &str,
    ) -> Result<(), serde_json::Error> {
        let context = TrialContext::of(view, run_id);
        let same_context = context == self.context;
        self.context = context;
        let mut earlier = EarlierEntries::new(std::mem::take(&mut self.entries));
        self.active = 0;
        for trial in listed_trials(view) {
            self.active += u64::from(trial.is_active(view));
            let id = trial.id();
            let found = earlier.take(&id);
            let basis = trial.basis();
            if let Some(entry) = &found
                && same_context
                && basis.is_some()
                && entry.basis == basis
            {
                self.entries.extend(found);
                continue;
            }
            let object = trial.to_object(view, run_id)?;
            let hash = hash_object(&object);
            let delivered = match found {
                Some(entry) => entry.delivered,
                None => self.removed.remove(&*id),
            };
            if delivered.is_some_and(|delivered| delivered.hash == hash) {
                self.changed.remove(&*id);
            } else {
                self.changed.insert(id.clone().into_owned(), object);
            }
            self.entries.push(Entry {
                id: id.into_owned(),
                basis,
                hash,
                delivered,
            });
        }
        for entry in earlier.into_rest() {
            self.changed.remove(&entry.id);
            let delivered = entry.delivered;
            self.removed
                .extend(delivered.map(|delivered| (entry.id, delivered)));
        }
        Ok(())
    }

    /// Returns how many trials differ from the delivered ones.
    pub(crate) fn changed_count(&self) -> usize {
        self.changed.len() + self.removed.len()
    }

    /// Returns the hash of the list as it is.
    pub(crate) fn hash(&self) -> u64 {
        hash_of_list(self.entries.iter().map(|entry| entry.hash))
    }

    /// Returns what changed since the last delivery, and records it as delivered as the list with a validator. `None`
    /// if the list must be delivered whole, since trials that did not change changed places.
    pub(crate) fn take_changes(&mut self, validator: &Validator) -> Option<TrialChanges> {
        let mut places = self.places()?.into_iter();
        let mut changed = Vec::new();
        for (at, entry) in self.entries.iter_mut().enumerate() {
            if let Some(object) = self.changed.remove(&entry.id) {
                let place = places.next()?;
                changed.push(ChangedTrial { object, place });
            }
            let hash = entry.hash;
            entry.delivered = Some(Delivered { hash, at });
        }
        Some(TrialChanges {
            base: std::mem::replace(&mut self.delivered, validator.clone()),
            changed,
            removed: std::mem::take(&mut self.removed).into_keys().collect(),
            active: self.active,
        })
    }

    /// Returns where each changed trial stands; `None` if the others changed places.
    fn places(&self) -> Option<Vec<TrialPlace>> {
        let is_changed = |entry: &Entry| self.changed.contains_key(&entry.id);
        // For each changed trial, the delivered place of the next one that did not change.
        let mut next = usize::MAX;
        let mut next_places = Vec::new();
        for entry in self.entries.iter().rev() {
            if is_changed(entry) {
                next_places.push(next);
                continue;
            }
            let at = entry.delivered?.at;
            if at >= next {
                return None;
            }
            next = at;
        }
        let mut places = Vec::new();
        let mut kept = None;
        let mut previous: Option<&str> = None;
        for entry in &self.entries {
            let at = entry.delivered.map(|delivered| delivered.at);
            if !is_changed(entry) {
                kept = at;
            } else {
                let next = next_places.pop()?;
                let stays = |at: &usize| *at < next && kept.is_none_or(|kept| *at > kept);
                places.push(match at.filter(stays) {
                    Some(at) => {
                        kept = Some(at);
                        TrialPlace::Kept
                    }
                    None => TrialPlace::After(previous.map(str::to_owned)),
                });
            }
            previous = Some(&entry.id);
        }
        Some(places)
    }
}

/// The entries before an update, taken out one after the other in about the order in which they stand.
struct EarlierEntries {
    entries: Vec<Option<Entry>>,
    /// The first one that was not taken yet.
    next: usize,
    /// By id, once one was not found where it was expected.
    by_id: Option<BTreeMap<String, usize>>,
}

/// How many entries are compared before all are looked up by id: trials that started have left the list of planned ones.
const LOOK_AHEAD: usize = 4;

impl EarlierEntries {
    fn new(entries: Vec<Entry>) -> Self {
        Self {
            entries: entries.into_iter().map(Some).collect(),
            next: 0,
            by_id: None,
        }
    }

    /// Takes out the entry with an id.
    fn take(&mut self, id: &str) -> Option<Entry> {
        let at = self.find(id)?;
        self.next = at + 1;
        self.entries[at].take()
    }

    fn find(&mut self, id: &str) -> Option<usize> {
        let entries = &self.entries;
        let is_it = |entry: &Option<Entry>| entry.as_ref().is_some_and(|entry| entry.id == id);
        let near = entries.iter().skip(self.next).take(LOOK_AHEAD);
        if let Some(ahead) = near.clone().position(is_it) {
            return Some(self.next + ahead);
        }
        let by_id = self.by_id.get_or_insert_with(|| {
            let all = entries.iter().enumerate();
            all.filter_map(|(at, entry)| Some((entry.as_ref()?.id.clone(), at)))
                .collect()
        });
        by_id.get(id).copied().filter(|at| entries[*at].is_some())
    }

    /// Returns those that were not taken.
    fn into_rest(self) -> impl Iterator<Item = Entry> {
        self.entries.into_iter().flatten()
    }
}
