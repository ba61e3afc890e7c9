//! What a remote answers.

use docks_proto::freshness::Validator;
use docks_proto::object::RawObject;

/// An answer that may be "not modified".
#[derive(Debug)]
pub enum Fetched<T> {
    /// The remote confirms the content that the validator identifies (304).
    NotModified,
    /// New content.
    New {
        /// The content.
        value: T,
        /// Validator for the next request, if the remote returns one.
        validator: Option<Validator>,
    },
}

/// One page of a list.
#[derive(Debug, Default)]
pub struct Page {
    /// Objects in the remote's order.
    pub objects: Vec<RawObject>,
    /// Number of elements that were not objects.
    pub skipped: usize,
    /// Cursor of the next page, if the remote returns one.
    pub next_cursor: Option<String>,
    /// Length of the whole list, if the remote reports it.
    pub total: Option<u64>,
    /// Whether the remote has not read its whole list yet, so that objects are missing.
    pub is_partial: bool,
}
