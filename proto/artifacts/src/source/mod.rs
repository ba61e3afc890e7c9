//! Sources of artifacts: opens an address and streams its content.
//!
//! `http(s)://` is in [`mod@http`], files of a jobs directory are in [`mod@file`], and `gs://`,
//! `s3://` and `az://` in [`mod@bucket`]. Addresses come from the remote and are not trusted; each
//! kind of source decides which ones it refuses.

pub mod bucket;
mod error;
pub mod file;
pub mod http;
mod open;
mod settings;
mod signature;
pub mod store_helper;

use crate::owner::{AddressKey, AddressOwner};
use crate::version::Version;

pub use bucket::BucketReader;
pub use error::{BucketError, FileError, SourceError};
pub use file::FileSource;
pub use http::{ForwardedResponse, HttpSettings, HttpSource, same_origin};
pub use open::{OpenRequest, OpenResponse, Opened};
pub use settings::SourceSettings;
pub use signature::display_uri;
pub use store_helper::StoreHelper;

/// All sources that may be read.
#[derive(Debug)]
pub struct Sources {
    /// `http(s)://`.
    pub http: HttpSource,
    /// `file://`.
    pub files: FileSource,
    /// `gs://`, `s3://`, `az://`.
    pub buckets: Box<dyn BucketReader>,
    /// Whose addresses they are.
    pub owner: AddressOwner,
}

impl Sources {
    /// Opens an address.
    ///
    /// # Errors
    ///
    /// When the address is refused or cannot be read.
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

    /// Requests the content of a remote address from an offset on, unless it still has that version.
    ///
    /// The content begins at the offset or, if the source cannot send a part, at 0.
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

    /// Returns the size of the content of an address in bytes, without reading it.
    ///
    /// # Errors
    ///
    /// As [`Sources::open`].
    pub async fn size(&self, uri: &str) -> Result<Option<u64>, SourceError> {
        match scheme(uri)?.as_str() {
            "gs" | "s3" | "az" => self.buckets.size(uri).await.map(Some),
            // A signature is often valid only for GET, so this sends one and drops the body unread.
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

    /// Returns the cache key of an address; it does not depend on the signature of the address, but on
    /// whose address it is.
    #[must_use]
    pub fn cache_key(&self, uri: &str) -> AddressKey {
        let api = self.http.authenticating_api(uri).unwrap_or_default();
        let address = format!("{api}\0{}", signature::without_signature(uri));
        let scheme = scheme(uri).unwrap_or_default();
        self.owner.address_key(&scheme, &address)
    }
}

/// Returns whether an address is a local file.
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
