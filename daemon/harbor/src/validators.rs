//! Validators of answers: hashes of their objects.

use docks_proto::hash::Fnv1a64;
use docks_proto::object::RawObject;
use docksd_remote::{Fetched, Page, Validator};

use crate::hash::hash_texts;
use crate::snapshot::archive::Archive;

/// Returns the validator for a hash.
#[must_use]
pub fn validator(hash: u64) -> Validator {
    Validator(format!("\"harbor-{hash:016x}\""))
}

/// Changes with what is made of the same files, besides the release.
const DERIVATION: &str = concat!(env!("CARGO_PKG_VERSION"), ".1");
/// How validators begin that stand for the files of a finished job.
const FILES: &str = "harbor-files";

/// Returns the hash of a job as it is published.
pub(crate) fn hash_of_job(run: &RawObject, evaluation: &RawObject) -> u64 {
    hash_texts(
        [run, evaluation]
            .map(|object| object.text().as_bytes())
            .into_iter(),
    )
}

/// Returns the validator of the trials of a finished job: it says which files they were read from, so that a later
/// process need not read them again, and how the job was published together with them.
pub(crate) fn files_validator(archive: &Archive, job_hash: u64) -> Validator {
    Validator(format!(
        "\"{FILES}/{DERIVATION}/{:016x}/{job_hash:016x}/{}/{}/{}\"",
        archive.fingerprint, archive.has_original_name, archive.is_copy, archive.trials
    ))
}

/// Reads a validator of [`files_validator`]: the hash of the job, and what is kept of it but its UUID. `None` if it is
/// another one, or of another release.
pub(crate) fn read_files_validator(validator: &Validator) -> Option<(u64, Archive)> {
    let mut parts = validator.0.trim_matches('"').split('/');
    if parts.next() != Some(FILES) || parts.next() != Some(DERIVATION) {
        return None;
    }
    let fingerprint = u64::from_str_radix(parts.next()?, 16).ok()?;
    let job_hash = u64::from_str_radix(parts.next()?, 16).ok()?;
    let archive = Archive {
        fingerprint,
        uuid: None,
        has_original_name: parts.next()?.parse().ok()?,
        is_copy: parts.next()?.parse().ok()?,
        trials: parts.next()?.parse().ok()?,
    };
    Some((job_hash, archive))
}

/// Returns the hash of a list of objects.
#[must_use]
pub fn hash_objects(objects: &[RawObject]) -> u64 {
    hash_of_list(objects.iter().map(hash_object))
}

/// Returns the hash of one object.
pub(crate) fn hash_object(object: &RawObject) -> u64 {
    hash_texts(std::iter::once(object.text().as_bytes()))
}

/// Returns the hash of a list from those of its objects, so that a change of one does not hash them all.
pub(crate) fn hash_of_list(hashes: impl Iterator<Item = u64>) -> u64 {
    let mut hash = Fnv1a64::default();
    for of_object in hashes {
        hash.write(&of_object.to_le_bytes());
    }
    hash.finish()
}

/// Returns the value, unless `known` is its validator.
pub fn fetched<T>(
    validator: Validator,
    known: Option<&Validator>,
    value: impl FnOnce() -> T,
) -> Fetched<T> {
    if known == Some(&validator) {
        return Fetched::NotModified;
    }
    Fetched::New {
        value: value(),
        validator: Some(validator),
    }
}

/// Returns a whole list as a page.
#[must_use]
pub fn page(objects: Vec<RawObject>) -> Page {
    Page {
        total: Some(objects.len() as u64),
        objects,
        ..Page::default()
    }
}

/// Returns what is known of a list of which not everything was read yet.
pub(crate) fn partial_page(objects: Vec<RawObject>) -> Fetched<Page> {
    Fetched::New {
        value: Page {
            objects,
            is_partial: true,
            ..Page::default()
        },
        validator: None,
    }
}

/// Returns a whole list, unless `known` is its validator.
pub fn fetched_page(objects: Vec<RawObject>, known: Option<&Validator>) -> Fetched<Page> {
    fetched(validator(hash_objects(&objects)), known, || page(objects))
}
