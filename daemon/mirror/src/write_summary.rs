//! What a write changed.

/// What a write changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriteSummary {
    /// New objects.
    pub inserted: u64,
    /// Objects whose text changed, and tombstones that were revived.
    pub updated: u64,
    /// Objects whose text is the stored one, and objects of a response older than what is stored.
    pub unchanged: u64,
    /// Objects that a complete response no longer contains.
    pub removed: u64,
    /// Rows added to the history.
    pub events: u64,
    /// Trials of the response that have not ended.
    pub active: u64,
    /// Objects whose stored text was kept because the response reopened them (terminal → active);
    /// a second, later response that agrees is accepted.
    pub deferred: u64,
    /// Whether an empty response for a run with trials was ignored.
    pub ignored_empty_list: bool,
    /// Whether nothing was written, since the changes are of another version of the list than the stored one.
    pub has_other_base: bool,
}
