//! A request to open an address, and its response.

use bytes::Bytes;
use futures_util::stream::BoxStream;

use super::error::SourceError;
use crate::version::{ResumePoint, Version};

/// A request to open an address.
#[derive(Debug, Clone, Copy)]
pub struct OpenRequest<'a> {
    /// The address.
    pub uri: &'a str,
    /// Bytes that were already downloaded; only the rest is needed, if the version is the same.
    pub resume: Option<&'a ResumePoint>,
    /// Nothing is needed if this is still the version.
    pub unless: Option<&'a Version>,
}

/// The response of a source.
pub enum OpenResponse {
    /// The source still has the named version.
    Unchanged,
    /// The content.
    Opened(Opened),
}

/// Content that is being read.
pub struct Opened {
    /// Size of the whole object in bytes, if the source reports it.
    pub size_bytes: Option<u64>,
    /// Where the body begins: at the resume point, or at 0.
    pub begins_at: u64,
    /// Version of the object, if the source reports a strong one.
    pub version: Option<Version>,
    /// The content; an error means that it broke off.
    pub body: BoxStream<'static, Result<Bytes, SourceError>>,
}
