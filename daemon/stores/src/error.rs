//! Why an object of a bucket was not read.

use docks_artifacts::source::BucketError;
use docks_proto::error::error_chain;

use crate::provider::BoxedError;

/// Why an object of a bucket was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreFailure {
    /// Not `scheme://bucket/object`.
    #[error("the remote sent an address without a bucket or an object")]
    NotAnObject,
    /// The client cannot be built: a broken credentials file, no root certificates, no account.
    #[error("could not set up access to bucket `{bucket}`")]
    Setup {
        /// The bucket.
        bucket: String,
        /// The cause.
        #[source]
        source: BoxedError,
    },
    /// There is no such object.
    #[error("bucket `{bucket}` has no such object")]
    NotFound {
        /// The bucket.
        bucket: String,
    },
    /// The bucket is private and no credentials are configured.
    #[error("bucket `{bucket}` is private and no credentials are configured for it; {hint}")]
    NoCredentials {
        /// The bucket.
        bucket: String,
        /// Which settings grant access.
        hint: &'static str,
    },
    /// The configured credentials grant no access.
    #[error("the configured credentials may not read bucket `{bucket}`; {hint}")]
    Refused {
        /// The bucket.
        bucket: String,
        /// Which settings grant access.
        hint: &'static str,
    },
    /// Any other error, such as no connection or an error response.
    #[error("could not read from bucket `{bucket}`: {why}")]
    Read {
        /// The bucket.
        bucket: String,
        /// The innermost cause; those around it repeat it, with addresses and timings.
        why: String,
    },
    /// The response ended early.
    #[error("could not read from bucket `{bucket}`: the response broke off: {why}")]
    Broken {
        /// The bucket.
        bucket: String,
        /// The innermost cause.
        why: String,
    },
}

impl StoreFailure {
    /// Returns whether the same request may succeed a moment later.
    ///
    /// `object_store` has already retried a request that failed.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Broken { .. })
    }

    /// Returns whether the address is at fault, and not the store or the credentials.
    fn is_lasting(&self) -> bool {
        matches!(self, Self::NotAnObject | Self::NotFound { .. })
    }
}

impl From<StoreFailure> for BucketError {
    fn from(failure: StoreFailure) -> Self {
        Self {
            transient: failure.is_transient(),
            lasting: failure.is_lasting(),
            message: error_chain(&failure),
        }
    }
}
