//! What an earlier process mirrored, so that a restart does not ask the server for all of it again.

use async_trait::async_trait;
use docks_proto::object::RawObject;
use docks_proto::routes::RunKind;
use docksd_remote::Validator;

/// Reads the mirror of the remote.
#[async_trait]
pub trait Archive: Send + Sync + 'static {
    /// Returns all runs of a kind; none if they cannot be read.
    async fn runs(&self, kind: RunKind) -> Vec<RawObject>;

    /// Returns the trials of a run; none if they cannot be read.
    async fn trials(&self, run: &str) -> Vec<RawObject>;

    /// Returns the validator with which the trials of a run were stored.
    async fn trials_validator(&self, run: &str) -> Option<Validator>;
}
