//! What can be confirmed by the remote, and when that last happened.

use docks_proto::freshness::Validator;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;

/// A list or an object whose freshness is stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Resource {
    /// A list of runs.
    List(RunKind),
    /// One run.
    Run(RunKind, String),
    /// The trials of one evaluation run.
    Trials(String),
}

/// When the remote last confirmed a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// When the confirming request began.
    pub at: UnixMs,
    /// Validator of its response.
    pub validator: Option<Validator>,
    /// Whether the mirror holds all of the resource; a list is complete once a sweep has finished.
    pub complete: bool,
}
