//! Why an `http(s)` address could not be read.

/// Says why an `http(s)` address gave nothing whole.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Not a URL.
    #[error("the remote gave something that is no URL")]
    NotAUrl,
    /// Plain `http` where it is not allowed.
    #[error("plain http to {host} is refused; only https, or http on this machine, is safe")]
    PlainHttp {
        /// To whom.
        host: String,
    },
    /// The client cannot be made, for instance without any root certificate.
    #[error("could not set up https")]
    Setup(#[source] reqwest::Error),
    /// The profile's certificates cannot be read.
    #[error("could not set up https: {0}")]
    CaFile(Box<dyn std::error::Error + Send + Sync>),
    /// No answer.
    #[error("could not get it from {host}")]
    Request {
        /// From whom.
        host: String,
        /// Cause, without the address.
        #[source]
        source: reqwest::Error,
    },
    /// A redirect that is not followed.
    #[error("{host} answered {status}, a redirect that is not followed to another place")]
    Redirect {
        /// Who.
        host: String,
        /// What.
        status: u16,
    },
    /// An error answer.
    #[error("{host} answered {status}{what}")]
    Status {
        /// Who.
        host: String,
        /// What.
        status: u16,
        /// What can be done about it.
        what: &'static str,
    },
    /// The answer stopped before its end.
    #[error("the answer of {host} broke off")]
    Broken {
        /// Whose.
        host: String,
        /// Cause, without the address.
        #[source]
        source: reqwest::Error,
    },
    /// More than we take without knowing how much there will be.
    #[error("the answer of {host} has no length and is larger than {limit_bytes} bytes")]
    Endless {
        /// Whose.
        host: String,
        /// The limit.
        limit_bytes: u64,
    },
}

impl HttpError {
    /// Tells whether the same request may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Request { .. } | Self::Broken { .. } => true,
            Self::Status { status, .. } => is_transient_status(*status),
            _ => false,
        }
    }
}

/// Returns whether a request that got this status may succeed a moment later.
pub(super) fn is_transient_status(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502..=504)
}
