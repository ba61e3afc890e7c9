//! The typed client: one set of calls over two transports.
//!
//! [`unix`] connects to the daemon, [`https`] to a remote. [`Client`] turns calls into requests, and
//! responses into checked answers; what a list
//! needs from a remote whose paging is unknown is in [`list_all_runs`].

mod answer;
pub mod body;
mod calls;
mod certificate_verifier;
mod comparisons;
mod events;
mod exchange;
mod expectation;
mod failures;
pub mod https;
mod list_all;
mod rerun;
pub mod retry;
mod score;
mod tasks;
pub mod trust;
pub mod unix;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

pub use answer::{Answer, ClientError};
pub use calls::Client;
pub use events::{EventMessage, EventStream};
pub use exchange::Exchange;
pub use expectation::Expectation;
pub use https::{HttpsTransport, Limits};
pub use list_all::{list_all_runs, list_all_trials};
pub use retry::retry_after;
pub use unix::{Deadlines, UnixTransport, check_peer};

/// An HTTP request.
#[derive(Debug, Clone)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Path and query below the base, starting with `/`.
    pub path: String,
    /// Headers; the transport adds `Host`, `Authorization` and others that it needs.
    pub headers: HeaderMap,
    /// Body; empty for none.
    pub body: Bytes,
}

impl Request {
    /// Creates a `GET` request.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// Creates a `POST` request without a body.
    #[must_use]
    pub fn post(path: impl Into<String>) -> Self {
        Self {
            method: Method::POST,
            ..Self::get(path)
        }
    }
}

/// An HTTP response with its whole body.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, decompressed.
    pub body: Bytes,
}

/// Why a request has no response. No text contains a token or a body.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Nothing listens there, or the name is unknown.
    #[error("could not connect to {to}")]
    Connect {
        /// Origin or socket.
        to: String,
        /// Cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// TLS rejected the server's certificate.
    #[error("could not trust {to}")]
    Tls {
        /// Origin.
        to: String,
        /// Cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There was no response in time.
    #[error("{to} did not answer within {after_ms} ms")]
    Timeout {
        /// Origin or socket.
        to: String,
        /// How long we waited.
        after_ms: u64,
    },
    /// The connection broke before the response was complete.
    #[error("the response of {to} broke off")]
    Broken {
        /// Origin or socket.
        to: String,
        /// Cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The response, decompressed, is larger than the limit.
    #[error("the response of {to} is larger than {limit_bytes} bytes")]
    TooLarge {
        /// Origin or socket.
        to: String,
        /// The limit.
        limit_bytes: u64,
    },
    /// The response has more elements than are read of one.
    #[error("the response of {to} has more than {limit} elements")]
    TooManyElements {
        /// Origin.
        to: String,
        /// How many are read.
        limit: usize,
    },
    /// The request cannot be sent: invalid base URL or id.
    #[error("this request cannot be sent: {0}")]
    InvalidRequest(String),
}

impl SendError {
    /// Whether the response is more than is read at once; a part of it may be read.
    #[must_use]
    pub fn is_too_much(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::TooManyElements { .. })
    }

    /// Returns what to do about a response that is more than is read at once.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        let hint = "ask for fewer rows with --limit, or report it to the operator of the remote: docks reads no more of one \
                    response, so that no remote can use up the memory of this machine";
        self.is_too_much().then_some(hint)
    }
}

/// A connection to the daemon or to a remote.
#[derive(Debug)]
pub enum Transport {
    /// The daemon.
    Unix(UnixTransport),
    /// A remote.
    Https(Box<HttpsTransport>),
}

impl Transport {
    /// Returns the socket or the origin, for messages.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Transport::Unix(unix) => unix.name(),
            Transport::Https(https) => https.origin(),
        }
    }

    /// Sends a request and reads the whole response.
    ///
    /// # Errors
    ///
    /// [`SendError`].
    pub async fn send(&self, request: Request) -> Result<Reply, SendError> {
        match self {
            Transport::Unix(unix) => unix.send(request).await,
            Transport::Https(https) => https.send(request).await,
        }
    }
}
