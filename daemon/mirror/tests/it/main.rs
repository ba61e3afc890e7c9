//! Tests of the mirror on real files, in one binary so that it is linked once.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails where a step fails, shared helpers included"
)]

mod damage;
mod facts;
mod faults;
mod files;
mod for_sync;
mod lists_and_ids;
mod merging;
mod migrations;
mod provisional_ids;
mod support;
mod trial_changes;
