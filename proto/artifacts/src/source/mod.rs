//! Where artifacts lie: opens an address and streams what is there.
//!
//! `http(s)://` in [`mod@http`], files of a jobs directory in [`mod@file`], `gs://`, `s3://` and
//! `az://` in [`mod@bucket`]. An address comes from the remote, so each kind decides what it
//! refuses; nothing is trusted because it was listed.

pub mod bucket;
pub mod file;
pub mod http;
mod settings;
mod signature;
pub mod store_helper;

use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::digest::Sha256;
use crate::version::{ResumePoint, Version};

pub use bucket::{BucketError, BucketReader};
pub use file::FileSource;
pub use http::{HttpSettings, HttpSource, same_origin};
pub use settings::SourceSettings;
pub use signature::display_uri;
pub use store_helper::StoreHelper;

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

/// Says why an address gave no whole content. No text holds an address with its query.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// No address at all.
    #[error("the remote gave something that is no address")]
    NoAddress,
    /// A kind of address that this program does not know.
    #[error("`{scheme}://` is no place that docks can download from")]
    UnknownScheme {
        /// Which.
        scheme: String,
    },
    /// It ended before its end, and said nothing of it.
    #[error("it ended after {got_bytes} of {size_bytes} bytes")]
    Short {
        /// What came.
        got_bytes: u64,
        /// What was announced.
        size_bytes: u64,
    },
    /// From [`mod@http`].
    #[error(transparent)]
    Http(#[from] http::HttpError),
    /// From [`mod@file`].
    #[error(transparent)]
    File(#[from] file::FileError),
    /// From [`mod@bucket`].
    #[error(transparent)]
    Bucket(#[from] BucketError),
}

impl SourceError {
    /// Tells whether the same request may succeed a moment later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Short { .. } => true,
            Self::Http(error) => error.is_transient(),
            Self::File(error) => error.is_transient(),
            Self::Bucket(error) => error.transient,
            Self::NoAddress | Self::UnknownScheme { .. } => false,
        }
    }
}

/// All the places that may be read.
#[derive(Debug)]
pub struct Sources {
    /// `http(s)://`.
    pub http: HttpSource,
    /// `file://`.
    pub files: FileSource,
    /// `gs://`, `s3://`, `az://`.
    pub buckets: Box<dyn BucketReader>,
}

impl Sources {
    /// Opens an address.
    ///
    /// # Errors
    ///
    /// Why nothing can be read there.
    pub async fn open(&self, request: OpenRequest<'_>) -> Result<OpenResponse, SourceError> {
        match scheme(request.uri)?.as_str() {
            "http" | "https" => self.http.open(request).await,
            "file" => self.files.open(request).await,
            "gs" | "s3" | "az" => self.buckets.open(request).await,
            other => Err(SourceError::UnknownScheme {
                scheme: other.to_owned(),
            }),
        }
    }

    /// Asks another machine for what lies behind a place, unless it still has that version.
    ///
    /// The answer begins at that place or, where a part cannot be had, at 0.
    ///
    /// # Errors
    ///
    /// As [`Sources::open`].
    pub(crate) async fn open_from(
        &self,
        uri: &str,
        offset_bytes: u64,
        unless: Option<&Version>,
    ) -> Result<OpenResponse, SourceError> {
        match scheme(uri)?.as_str() {
            "http" | "https" => self.http.open_from(uri, offset_bytes, unless).await,
            "gs" | "s3" | "az" => self.buckets.open_from(uri, offset_bytes, unless).await,
            other => Err(SourceError::UnknownScheme {
                scheme: other.to_owned(),
            }),
        }
    }

    /// Returns the size of what lies at an address, without reading it.
    ///
    /// # Errors
    ///
    /// As [`Sources::open`].
    pub async fn size(&self, uri: &str) -> Result<Option<u64>, SourceError> {
        match scheme(uri)?.as_str() {
            "gs" | "s3" | "az" => self.buckets.size(uri).await.map(Some),
            // A signature is often good for a GET only, so the body is dropped unread.
            _ => {
                let request = OpenRequest {
                    uri,
                    resume: None,
                    unless: None,
                };
                match self.open(request).await? {
                    OpenResponse::Opened(opened) => Ok(opened.size_bytes),
                    OpenResponse::Unchanged => Ok(None),
                }
            }
        }
    }

    /// Returns what stands for an address on disk, the same however it is signed today.
    ///
    /// What a token opened is told apart by the API that the token is for.
    #[must_use]
    pub fn cache_key(&self, uri: &str) -> Sha256 {
        let owner = self.http.authenticating_api(uri).unwrap_or_default();
        Sha256::of_text(&format!("{owner}\0{}", signature::without_signature(uri)))
    }
}

/// Tells whether an address is a file of this machine.
#[must_use]
pub fn is_local(uri: &str) -> bool {
    scheme(uri).is_ok_and(|scheme| scheme == "file")
}

/// Returns the scheme in lower case, short and printable.
fn scheme(uri: &str) -> Result<String, SourceError> {
    let (scheme, _) = uri.split_once("://").ok_or(SourceError::NoAddress)?;
    Ok(scheme
        .chars()
        .filter(char::is_ascii_graphic)
        .take(20)
        .collect::<String>()
        .to_ascii_lowercase())
}
