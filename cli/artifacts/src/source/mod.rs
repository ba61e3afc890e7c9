//! Where artifacts lie: opens an address and streams what is there.
//!
//! `http(s)://` in [`mod@http`], files of a jobs directory in [`mod@file`], `gs://` in
//! [`mod@gcs`]. An address comes from the remote, so each kind decides what it
//! refuses; nothing is trusted because it was listed.

pub mod file;
pub mod gcs;
pub mod http;

use bytes::Bytes;
use futures_util::stream::{BoxStream, TryStreamExt};

pub use file::FileSource;
pub use gcs::{GcsSettings, GcsSource, GoogleVariables};
pub use http::{HttpSettings, HttpSource, same_origin};

/// Something that is being read.
pub struct Opened {
    /// Size, if the source says one; only for progress.
    pub size_bytes: Option<u64>,
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
    /// From [`mod@http`].
    #[error(transparent)]
    Http(#[from] http::HttpError),
    /// From [`mod@file`].
    #[error(transparent)]
    File(#[from] file::FileError),
    /// From [`mod@gcs`].
    #[error(transparent)]
    Gcs(#[from] gcs::GcsError),
}

impl SourceError {
    /// Tells whether the same request may succeed a moment later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Http(error) => error.may_pass(),
            // `object_store` has its own retries, and a file does not heal.
            Self::NoAddress | Self::UnknownScheme { .. } | Self::File(_) | Self::Gcs(_) => false,
        }
    }
}

/// All the places that may be read.
#[derive(Debug)]
pub struct Sources {
    http: HttpSource,
    files: FileSource,
    gcs: GcsSource,
}

impl Sources {
    /// Puts the places together.
    pub fn new(http: HttpSource, files: FileSource, gcs: GcsSource) -> Self {
        Self { http, files, gcs }
    }

    /// Opens an address.
    pub async fn open(&self, uri: &str) -> Result<Opened, SourceError> {
        let (scheme, _) = uri.split_once("://").ok_or(SourceError::NoAddress)?;
        match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => {
                let (size_bytes, body) = self.http.open(uri).await?;
                Ok(Opened {
                    size_bytes,
                    body: Box::pin(body.map_err(SourceError::from)),
                })
            }
            "file" => {
                let (size_bytes, body) = self.files.open(uri).await?;
                Ok(Opened {
                    size_bytes: Some(size_bytes),
                    body: Box::pin(body.map_err(SourceError::from)),
                })
            }
            "gs" => {
                let (size_bytes, body) = self.gcs.open(uri).await?;
                Ok(Opened {
                    size_bytes: Some(size_bytes),
                    body: Box::pin(body.map_err(SourceError::from)),
                })
            }
            scheme => Err(SourceError::UnknownScheme {
                scheme: scheme
                    .chars()
                    .filter(char::is_ascii_graphic)
                    .take(20)
                    .collect(),
            }),
        }
    }
}
