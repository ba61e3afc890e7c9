//! Trials that arrived, before they are written.

use std::collections::{HashMap, HashSet};

use docks_proto::freshness::Validator;
use docks_proto::object::{Lifecycle, RawObject, lifecycle};
use docks_proto::query::Row as Columns;
use docks_proto::time::UnixMs;
use docks_proto::trial::Trial;
use docks_proto::trial_changes::{TrialChanges, TrialPlace};
use docks_statistics::trial::{TrialFacts, encode};

use super::vocabulary::Vocabulary;
use crate::merge_policy::{MergeDecision, ObjectTimes, StoredState, decide};
use crate::provenance::Provenance;

/// The trials of one response, with everything that is read from their texts.
pub(crate) struct TrialBatch {
    pub(crate) run: String,
    pub(super) trials: Vec<IncomingTrial>,
    pub(super) vocabulary: Vocabulary,
    /// When the request began.
    pub(super) at: UnixMs,
    pub(super) provenance: Provenance,
    /// Trials that have not ended.
    pub(super) active: u64,
}

/// Changes of a list of trials, with everything that is read from the texts.
pub(crate) struct ChangeBatch {
    /// The changed trials.
    pub(crate) batch: TrialBatch,
    /// Where each of them stands.
    pub(super) places: Vec<TrialPlace>,
    /// Ids of trials that the list no longer contains.
    pub(super) removed: Vec<String>,
    /// Validator of the list that the changes begin with.
    pub(super) base: Validator,
}

impl ChangeBatch {
    /// Parses the objects; called before the batch is queued, as [`TrialBatch::from_objects`].
    pub(crate) fn from_changes(
        run: &str,
        changes: TrialChanges,
        at: UnixMs,
        provenance: Provenance,
    ) -> Self {
        let changed = changes.changed.into_iter();
        let (objects, places): (Vec<RawObject>, Vec<TrialPlace>) =
            changed.map(|trial| (trial.object, trial.place)).unzip();
        let mut batch = TrialBatch::from_objects(run, objects, at, provenance);
        batch.active = changes.active;
        Self {
            batch,
            places,
            removed: changes.removed,
            base: changes.base,
        }
    }
}

impl TrialBatch {
    /// Parses the objects; called before the batch is queued, to spare the writer thread that work.
    pub(crate) fn from_objects(
        run: &str,
        objects: Vec<RawObject>,
        at: UnixMs,
        provenance: Provenance,
    ) -> Self {
        let trials = last_of_each_id(objects);
        let mut vocabulary = Vocabulary::default();
        let mut active = 0;
        for trial in &trials {
            vocabulary.add_trial(&trial.columns);
            active += u64::from(lifecycle(&trial.columns.status) == Lifecycle::Active);
        }
        Self {
            run: run.to_owned(),
            trials,
            vocabulary,
            at,
            provenance,
            active,
        }
    }
}

/// A trial that arrived, with the columns read from it.
pub(super) struct IncomingTrial {
    pub(super) object: RawObject,
    pub(super) columns: Columns,
    pub(super) times: ObjectTimes,
    /// What figures are made of, encoded.
    pub(super) facts: Vec<u8>,
    /// Its row in the mirror, once looked up.
    pub(super) stored: Option<StoredTrial>,
}

/// The stored row of a trial that arrived.
pub(super) struct StoredTrial {
    pub(super) seq: i64,
    pub(super) position: i64,
    pub(super) state: StoredState,
}

impl IncomingTrial {
    pub(super) fn from_object(object: RawObject) -> Self {
        let trial = Trial::from_object(&object);
        let columns = Columns::from_trial_fields(&object, &trial);
        let facts = TrialFacts {
            id: columns.id.as_str().into(),
            ..TrialFacts::from_trial(&trial)
        };
        let facts = encode(&facts);
        let times = ObjectTimes {
            created_ms: columns.created.map(|at| at.0),
            started_ms: columns.started.map(|at| at.0),
            updated_ms: None,
            completed_ms: columns.completed.map(|at| at.0),
        };
        Self {
            object,
            columns,
            times,
            facts,
            stored: None,
        }
    }

    /// Decides what to do with the trial; `None` when it is not stored.
    pub(super) fn decision(&self, at: UnixMs, provenance: Provenance) -> Option<MergeDecision> {
        let state = &self.stored.as_ref()?.state;
        let status = &self.columns.status;
        Some(decide(state, status, self.times, at.0, provenance))
    }

    /// Whether the trial revives a tombstone.
    pub(super) fn is_revived(&self, at: UnixMs, provenance: Provenance) -> bool {
        let is_tombstone = |stored: &StoredTrial| stored.state.gone_ms.is_some();
        self.stored.as_ref().is_some_and(is_tombstone)
            && self.decision(at, provenance) == Some(MergeDecision::Replace)
    }
}

/// Parses the objects; of several with one id, the last one counts.
fn last_of_each_id(objects: Vec<RawObject>) -> Vec<IncomingTrial> {
    let mut trials: Vec<IncomingTrial> = objects
        .into_iter()
        .map(IncomingTrial::from_object)
        .collect();
    let last: HashMap<&str, usize> = trials
        .iter()
        .enumerate()
        .map(|(index, trial)| (trial.columns.id.as_str(), index))
        .collect();
    if last.len() < trials.len() {
        let kept: HashSet<usize> = last.into_values().collect();
        let mut index = 0..;
        trials.retain(|_| index.next().is_some_and(|index| kept.contains(&index)));
    }
    trials
}
