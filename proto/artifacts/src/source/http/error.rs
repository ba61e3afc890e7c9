//! Why an `http(s)` address could not be read.

/// Why an `http(s)` address could not be read.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Not a URL.
    #[error("the remote sent something that is not a URL")]
    NotAUrl,
    /// Plain `http` where it is not allowed.
    #[error(
        "plain http to {host} is not allowed, only to the profile's own API; if this host is yours, name it in \
         `artifact_hosts` of the profile"
    )]
    PlainHttp {
        /// The host.
        host: String,
    },
    /// A host without a public address, where it is not allowed.
    #[error(
        "{host} has no public address, and docks asks no local services for a remote; if this host is yours, name it \
         in `artifact_hosts` of the profile"
    )]
    NotPublic {
        /// The host.
        host: String,
    },
    /// The client cannot be built, for instance without any root certificate.
    #[error("could not set up https")]
    Setup(#[source] reqwest::Error),
    /// The profile's certificates cannot be used.
    #[error("could not set up https")]
    Trust(#[source] docks_proto::client::trust::TrustError),
    /// There was no response.
    #[error("could not download from {host}")]
    Request {
        /// The host.
        host: String,
        /// The cause, without the address.
        #[source]
        source: reqwest::Error,
    },
    /// A redirect that is not followed.
    #[error("{host} answered {status}, a redirect that is not followed")]
    Redirect {
        /// The host.
        host: String,
        /// Status code.
        status: u16,
    },
    /// An error response.
    #[error("{host} answered {status}{what}")]
    Status {
        /// The host.
        host: String,
        /// Status code.
        status: u16,
        /// What can be done about it.
        what: &'static str,
    },
    /// The response ended early.
    #[error("the response from {host} broke off")]
    Broken {
        /// The host.
        host: String,
        /// The cause, without the address.
        #[source]
        source: reqwest::Error,
    },
    /// A response without a length exceeds the limit.
    #[error("the response from {host} has no length and is larger than {limit_bytes} bytes")]
    Endless {
        /// The host.
        host: String,
        /// The limit.
        limit_bytes: u64,
    },
}

impl HttpError {
    /// Returns whether the same request may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Request { .. } | Self::Broken { .. } => true,
            Self::Status { status, .. } => is_transient_status(*status),
            _ => false,
        }
    }

    /// Returns whether the server has nothing at the address.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(
            self,
            Self::Status {
                status: 404 | 410,
                ..
            }
        )
    }

    /// Returns whether the address is at fault, and not what is between here and there.
    pub(crate) fn is_lasting(&self) -> bool {
        match self {
            Self::NotAUrl
            | Self::PlainHttp { .. }
            | Self::NotPublic { .. }
            | Self::Endless { .. } => true,
            _ => self.is_absent(),
        }
    }
}

/// Returns whether a request that got this status may succeed a moment later.
pub(super) fn is_transient_status(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502..=504)
}
