//! The trials of a job that has not finished: a change of one is delivered without the thousands beside it.

use std::collections::BTreeMap;

use docks_proto::object::RawObject;
use docks_proto::trial_changes::{ChangedTrial, TrialChanges, TrialPlace};
use docksd_remote::Validator;

use crate::derive::agent_names::AgentNames;
use crate::derive::job_view::JobView;
use crate::derive::trial_table::TrialTable;
use crate::derive::trial_view::JobContext;
use crate::listed_trial::{ListedTrial, TrialBasis, listed_trials};
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
    of_trials: JobContext,
    started: Option<Utc>,
    is_active: bool,
    /// What the plan was read from.
    plan: Option<u64>,
}

/// One trial.
#[derive(Debug)]
struct Entry {
    id: String,
    /// What its object was made from; `None` if that depends on more than its own files.
    basis: Option<TrialBasis>,
    /// The hash of its object.
    hash: u64,
    /// As it was delivered; `None` if it was not.
    delivered: Option<Delivered>,
}

impl Entry {
    /// Whether it differs from what was delivered.
    fn is_changed(&self) -> bool {
        let delivered = self.delivered.as_ref();
        delivered.is_none_or(|delivered| delivered.hash != self.hash)
    }
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
            agent_names: view.figures.agent_names.clone(),
            of_trials: view.context,
            started: view.times.started,
            is_active: view.state.is_active(),
            plan: view.snapshot.lock.digest(),
        }
    }
}

impl LiveTrials {
    /// Begins with a list that is delivered whole, and returns its objects.
    pub(crate) fn begin(
        view: &JobView<'_>,
        table: &TrialTable,
        run_id: &str,
    ) -> Result<(Self, Vec<RawObject>), serde_json::Error> {
        let mut objects = Vec::new();
        let mut entries = Vec::new();
        let mut active = 0;
        for trial in listed_trials(view, table) {
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
        table: &TrialTable,
        run_id: &str,
    ) -> Result<(), serde_json::Error> {
        let context = TrialContext::of(view, run_id);
        let same_context = context == self.context;
        self.context = context;
        self.active = 0;
        let listed = listed_trials(view, table);
        let listed: Vec<ListedTrial<'_>> = listed
            .inspect(|trial| self.active += u64::from(trial.is_active(view)))
            .collect();
        let same = |(trial, entry): &(&ListedTrial<'_>, &Entry)| {
            same_context && entry.basis.is_some() && trial.basis() == entry.basis
        };
        // Most trials stay as they are and where they are.
        let head = listed.iter().zip(&self.entries).take_while(same).count();
        let listed_ends = listed.iter().skip(head).rev();
        let ends = listed_ends.zip(self.entries.iter().skip(head).rev());
        let tail = ends.take_while(same).count();
        let end = self.entries.len() - tail;
        let mut earlier = EarlierEntries::new(self.entries.splice(head..end, []));
        let between = listed.iter().take(listed.len() - tail).skip(head);
        let between: Vec<(&ListedTrial<'_>, Option<Entry>)> = between
            .map(|trial| (trial, earlier.take_next(trial.basis())))
            .collect();
        let mut earlier = earlier.into_rest();
        let mut entries = Vec::with_capacity(between.len());
        for (trial, found) in between {
            if same_context && found.is_some() {
                entries.extend(found);
                continue;
            }
            let id = trial.id();
            let basis = trial.basis();
            let found = found.or_else(|| earlier.remove(&*id));
            if let Some(entry) = &found
                && same_context
                && basis.is_some()
                && entry.basis == basis
            {
                entries.extend(found);
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
            entries.push(Entry {
                id: id.into_owned(),
                basis,
                hash,
                delivered,
            });
        }
        for (id, entry) in earlier {
            self.changed.remove(&id);
            let delivered = entry.delivered;
            self.removed
                .extend(delivered.map(|delivered| (id, delivered)));
        }
        self.entries.splice(head..head, entries);
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
            if entry.is_changed() {
                let object = self.changed.remove(&entry.id)?;
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
        // For each changed trial, the delivered place of the next one that did not change.
        let mut next = usize::MAX;
        let mut next_places = Vec::new();
        for entry in self.entries.iter().rev() {
            if entry.is_changed() {
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
            if !entry.is_changed() {
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

/// Entries before an update, in their order. Those of trials that stay as they are are found without looking at their ids.
struct EarlierEntries {
    entries: Vec<Option<Entry>>,
    /// The first one after the last that was taken.
    next: usize,
}

/// How many entries are looked at for the next trial: those of trials that changed or are gone are in between.
const LOOK_AHEAD: usize = 8;

impl EarlierEntries {
    fn new(entries: impl Iterator<Item = Entry>) -> Self {
        Self {
            entries: entries.map(Some).collect(),
            next: 0,
        }
    }

    /// Takes out the entry of the next trial, if it was made from the same.
    fn take_next(&mut self, basis: Option<TrialBasis>) -> Option<Entry> {
        basis?;
        let with_basis = |at: &usize| self.entries.get(*at).is_some_and(has_basis);
        let ahead = (self.next..self.entries.len()).filter(with_basis);
        let is_it = |at: &usize| {
            let entry = self.entries.get(*at).and_then(Option::as_ref);
            entry.is_some_and(|entry| entry.basis == basis)
        };
        let at = ahead.take(LOOK_AHEAD).find(is_it)?;
        self.next = at + 1;
        self.entries.get_mut(at)?.take()
    }

    /// Returns those that were not taken, by id.
    fn into_rest(self) -> BTreeMap<String, Entry> {
        let rest = self.entries.into_iter().flatten();
        rest.map(|entry| (entry.id.clone(), entry)).collect()
    }
}

fn has_basis(entry: &Option<Entry>) -> bool {
    entry.as_ref().is_some_and(|entry| entry.basis.is_some())
}
