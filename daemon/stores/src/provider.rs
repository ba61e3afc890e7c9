//! What the kinds of object stores have in common.

use std::sync::Arc;
use std::time::Duration;

use object_store::{ObjectStore, RetryConfig};

use crate::connector::Connector;

pub(crate) type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// How the requests to a bucket are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Signing {
    /// Not at all.
    Unsigned,
    /// With configured credentials.
    Configured,
    /// With the credentials that the cloud gives this machine.
    Machine,
}

/// One kind of object store.
pub(crate) trait Provider: Send + Sync {
    /// Lists how to sign, in the order in which to try until the store accepts one.
    fn signing_modes(&self) -> &'static [Signing];

    /// Builds the client of one bucket.
    fn build(
        &self,
        bucket: &str,
        signing: Signing,
        connector: Connector,
    ) -> Result<Arc<dyn ObjectStore>, BoxedError>;

    /// Returns whether this is a valid bucket name; it becomes part of a URL.
    fn is_bucket_name(&self, bucket: &str) -> bool;

    /// Says which settings grant access.
    fn credentials_hint(&self) -> &'static str;
}

/// Retries twice; the default keeps a user waiting for three minutes.
pub(crate) fn retry_config() -> RetryConfig {
    RetryConfig {
        max_retries: 2,
        retry_timeout: Duration::from_secs(30),
        ..RetryConfig::default()
    }
}
