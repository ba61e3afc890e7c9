//! Why the content of an address could not be read.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::http::error::HttpError;

/// Why the content of an address could not be read. No message contains the query of an address.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Not an address.
    #[error("the remote sent something that is not an address")]
    NoAddress,
    /// An unknown scheme.
    #[error("docks cannot download from `{scheme}://` addresses")]
    UnknownScheme {
        /// The scheme.
        scheme: String,
    },
    /// The content ended early, without an error.
    #[error("the content ended after {got_bytes} of {size_bytes} bytes")]
    Short {
        /// Bytes received.
        got_bytes: u64,
        /// Bytes announced.
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
    /// Returns whether the same request may succeed a moment later.
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

    /// Returns whether the address itself is at fault: it cannot be read, or nothing is there.
    ///
    /// Everything else can pass within hours, also what [`is_transient`](Self::is_transient) denies:
    /// a store that is down, a disk that is not mounted, credentials that someone renews.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::NoAddress | Self::UnknownScheme { .. } => true,
            Self::Short { .. } => false,
            Self::Http(error) => error.is_lasting(),
            Self::File(error) => error.is_lasting(),
            Self::Bucket(error) => error.lasting,
        }
    }
}

/// Why a local file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The profile is a Docks API, which must not name local files.
    #[error("the remote sent the address of a local file, which only a jobs directory may do")]
    NotAllowed,
    /// Not an absolute local path.
    #[error("the remote sent a `file://` address without an absolute local path")]
    NotAPath,
    /// Outside the jobs directory, by name or after following links.
    #[error("`{}` is outside the jobs directory", path.display())]
    Outside {
        /// The path.
        path: PathBuf,
    },
    /// Not in the data directory of a `harbor serve` that belongs to this user.
    #[error("`{}` is not a file of a `harbor serve` of yours", path.display())]
    NoServer {
        /// The path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A directory, a device or a pipe.
    #[error("`{}` is not a regular file", path.display())]
    NotRegular {
        /// The path.
        path: PathBuf,
    },
    /// The file was rewritten while it was read.
    #[error("`{}` changed while it was read", path.display())]
    Changed {
        /// The path.
        path: PathBuf,
    },
    /// Reading failed.
    #[error("could not read `{}`", path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl FileError {
    /// Returns whether the same request may succeed a moment later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Changed { .. })
    }

    fn is_lasting(&self) -> bool {
        match self {
            Self::NotAllowed | Self::NotAPath | Self::Outside { .. } | Self::NotRegular { .. } => {
                true
            }
            Self::Changed { .. } | Self::Read { .. } | Self::NoServer { .. } => false,
        }
    }
}

/// Why an object of a bucket was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct BucketError {
    /// The whole message for the user, without any secret or query of an address.
    pub message: String,
    /// Whether the same request may succeed a moment later.
    pub transient: bool,
    /// Whether the address is at fault, as in [`SourceError::is_lasting`].
    #[serde(default)]
    pub lasting: bool,
}

impl BucketError {
    /// Creates an error that a later request would get again.
    #[must_use]
    pub fn permanent(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            transient: false,
            lasting: false,
        }
    }
}
