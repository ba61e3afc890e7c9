//! Validators of answers: hashes of their objects.

use docks_proto::object::RawObject;
use docksd_remote::{Fetched, Page, Validator};

use crate::hash::hash_texts;

/// Returns the validator for a hash.
pub(crate) fn validator(hash: u64) -> Validator {
    Validator(format!("\"harbor-{hash:016x}\""))
}

/// Returns the hash of objects.
pub(crate) fn hash_objects(objects: &[RawObject]) -> u64 {
    hash_texts(objects.iter().map(|object| object.text().as_bytes()))
}

/// Returns the value, unless `known` is the validator of the same hash.
pub(crate) fn fetched<T>(
    hash: u64,
    known: Option<&Validator>,
    value: impl FnOnce() -> T,
) -> Fetched<T> {
    let validator = validator(hash);
    if known == Some(&validator) {
        return Fetched::NotModified;
    }
    Fetched::New {
        value: value(),
        validator: Some(validator),
    }
}

/// Returns a whole list as a page.
pub(crate) fn page(objects: Vec<RawObject>) -> Page {
    Page {
        total: Some(objects.len() as u64),
        objects,
        ..Page::default()
    }
}

/// Returns a whole list, unless `known` is its validator.
pub(crate) fn fetched_page(objects: Vec<RawObject>, known: Option<&Validator>) -> Fetched<Page> {
    fetched(hash_objects(&objects), known, || page(objects))
}
