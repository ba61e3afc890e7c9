//! A request to open an address, and its answer.

use bytes::Bytes;
use futures_util::stream::BoxStream;

use super::error::SourceError;
use crate::version::{ResumePoint, Version};

/// What is asked of a place.
#[derive(Debug, Clone, Copy)]
pub struct OpenRequest<'a> {
    /// Which address.
    pub uri: &'a str,
    /// Bytes that are there already; only the rest is wanted, if they are still right.
    pub resume: Option<&'a ResumePoint>,
    /// Nothing is wanted if this is still the version.
    pub unless: Option<&'a Version>,
}

/// What a place answers.
pub enum OpenResponse {
    /// The version that was named is still the one.
    Unchanged,
    /// Something to read.
    Opened(Opened),
}

/// Something that is being read.
pub struct Opened {
    /// Size of the whole, if the source says one.
    pub size_bytes: Option<u64>,
    /// Where the body begins: at the resume point, or at 0.
    pub begins_at: u64,
    /// Which version it is, if the source says so in a way that can be relied on.
    pub version: Option<Version>,
    /// Its content; an error means that it broke off.
    pub body: BoxStream<'static, Result<Bytes, SourceError>>,
}
