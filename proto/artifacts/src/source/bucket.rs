//! Objects of buckets (`gs://`, `s3://`, `az://`), whatever reads them.

use async_trait::async_trait;

use super::error::SourceError;
use super::open::{OpenRequest, OpenResponse};
use crate::version::Version;

/// Reads objects of buckets.
///
/// The daemon's implementation talks to the stores; that of the command line uses a helper process,
/// [`StoreHelper`](super::StoreHelper), so that it need not contain the clients of all stores.
#[async_trait]
pub trait BucketReader: std::fmt::Debug + Send + Sync {
    /// Opens an object.
    ///
    /// # Errors
    ///
    /// [`SourceError::Bucket`] if the object cannot be read.
    async fn open(&self, request: OpenRequest<'_>) -> Result<OpenResponse, SourceError>;

    /// Opens an object at an offset, or at 0 if the store cannot send a part; with `unless`,
    /// only if the object has another version.
    ///
    /// # Errors
    ///
    /// As [`BucketReader::open`].
    async fn open_from(
        &self,
        uri: &str,
        offset_bytes: u64,
        unless: Option<&Version>,
    ) -> Result<OpenResponse, SourceError>;

    /// Returns the size of an object in bytes, without reading it.
    ///
    /// # Errors
    ///
    /// As [`BucketReader::open`].
    async fn size(&self, uri: &str) -> Result<u64, SourceError>;
}
