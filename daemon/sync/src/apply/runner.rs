//! What all steps share: the remote, the mirror, and the counts of one step.

use docks_proto::object::{RawObject, RunFields};
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;

use docksd_mirror::{
    Confirmation, Mirror, MirrorError, Provenance, Resource, RunBatch, WriteSummary,
};
use docksd_remote::{Remote, RemoteError, Validator};

use crate::error::SyncError;

/// Carries out one step and counts what it does.
pub(super) struct StepRunner<'a> {
    pub(super) remote: &'a dyn Remote,
    pub(super) mirror: &'a Mirror,
    /// When the step began: what it reads is at least as new.
    pub(super) began: UnixMs,
    pub(super) requests: u64,
    pub(super) not_modified: u64,
    pub(super) changed: bool,
    pub(super) contradicts: bool,
    pub(super) reopens: bool,
    pub(super) unproved: bool,
}

impl<'a> StepRunner<'a> {
    pub(super) fn new(remote: &'a dyn Remote, mirror: &'a Mirror, began: UnixMs) -> Self {
        Self {
            remote,
            mirror,
            began,
            requests: 0,
            not_modified: 0,
            changed: false,
            contradicts: false,
            reopens: false,
            unproved: false,
        }
    }

    /// Stores polled runs.
    pub(super) async fn store_runs(
        &mut self,
        kind: RunKind,
        objects: Vec<RawObject>,
    ) -> Result<(), MirrorError> {
        self.store_batch(RunBatch {
            kind,
            objects,
            observed_at: self.began,
            provenance: Provenance::Polled,
        })
        .await
    }

    pub(super) async fn store_batch(&mut self, batch: RunBatch) -> Result<(), MirrorError> {
        let written = self.mirror.upsert_runs(batch).await?;
        self.count(written);
        Ok(())
    }

    /// Counts what a write changed.
    pub(super) fn count(&mut self, written: WriteSummary) {
        self.changed |= written.inserted + written.updated + written.removed > 0;
        self.reopens |= written.deferred > 0;
    }

    /// Records that the mirror held the resource as the remote had it when the step began.
    pub(super) async fn confirm(
        &self,
        resource: Resource,
        validator: Option<Validator>,
        complete: bool,
    ) -> Result<(), MirrorError> {
        let confirmation = Confirmation {
            at: self.began,
            validator,
            complete,
        };
        self.mirror
            .record_confirmation(resource, confirmation)
            .await
    }
}

/// Returns whether the object has this id.
pub(super) fn has_id(object: &RawObject, id: &str) -> bool {
    RunFields::from_object(object).id.text().as_deref() == Some(id)
}

/// The error for a 304 that answers a request without a validator.
pub(super) fn unexpected_not_modified() -> SyncError {
    RemoteError::InvalidResponse {
        why: "304 to a request without a validator".to_owned(),
    }
    .into()
}
