//! The mirrored trials, so that a restart does not ask the server for their results again.

use async_trait::async_trait;
use docks_proto::object::RawObject;

/// Reads the mirror of the remote.
#[async_trait]
pub trait Archive: Send + Sync + 'static {
    /// Returns the trials of a run; none if they cannot be read.
    async fn trials(&self, run: &str) -> Vec<RawObject>;
}
