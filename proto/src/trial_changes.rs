//! What changed in the list of a run's trials, so that a long list need not be sent and stored whole for one trial.

use crate::freshness::Validator;
use crate::object::RawObject;

/// What changed in the list of a run's trials since an earlier version of it.
///
/// The trials that are not named stand in both versions in the same order.
#[derive(Debug, Clone)]
pub struct TrialChanges {
    /// Validator of the earlier version. To any other one, the changes do not apply.
    pub base: Validator,
    /// New trials, and those whose object changed, in the order of the list.
    pub changed: Vec<ChangedTrial>,
    /// Ids of the trials that the list no longer contains.
    pub removed: Vec<String>,
    /// Trials of the new version that have not ended.
    pub active: u64,
}

/// A trial that is new, or whose object changed.
#[derive(Debug, Clone)]
pub struct ChangedTrial {
    /// The trial.
    pub object: RawObject,
    /// Where it stands in the list.
    pub place: TrialPlace,
}

/// Where a trial stands in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrialPlace {
    /// Where it stood before.
    Kept,
    /// Right after the trial with this id, or at the beginning without one: it is new, or stood elsewhere before.
    After(Option<String>),
}
