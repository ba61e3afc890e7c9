//! Why the content of an address could not be read.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::http::error::HttpError;

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
    /// From an `http(s)` address.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// From a `file` address.
    #[error(transparent)]
    File(#[from] FileError),
    /// From a bucket.
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

/// Says why a file of a jobs directory was not read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The profile is a Docks API, which has no say over files of this machine.
    #[error("the remote named a file of this machine; only a jobs directory may do that")]
    NotAllowed,
    /// Not an absolute local path.
    #[error("the remote gave a `file://` address without an absolute path of this machine")]
    NotAPath,
    /// Below the jobs directory neither by name nor after following links.
    #[error("`{}` is outside the jobs directory", path.display())]
    Outside {
        /// Which.
        path: PathBuf,
    },
    /// A directory, a device or a pipe.
    #[error("`{}` is not a regular file", path.display())]
    NotRegular {
        /// Which.
        path: PathBuf,
    },
    /// It was written anew in the meantime.
    #[error("`{}` changed while it was read", path.display())]
    Changed {
        /// Which.
        path: PathBuf,
    },
    /// Reading failed.
    #[error("could not read `{}`", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

impl FileError {
    /// Tells whether the same request may succeed a moment later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Changed { .. })
    }
}

/// Why an object of a bucket was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct BucketError {
    /// The whole reason, for people; holds no address with its query and no secret.
    pub message: String,
    /// Whether the same request may succeed a moment later.
    pub transient: bool,
}

impl BucketError {
    /// An error that stays as it is.
    #[must_use]
    pub fn permanent(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            transient: false,
        }
    }
}
