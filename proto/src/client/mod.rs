//! The typed client: one set of calls over two transports.
//!
//! [`unix`] reaches the daemon, [`https`] a remote. [`Client`] turns calls into
//! requests and answers into bodies that are known to be answers; what a list
//! needs from a remote whose paging is unknown is in [`list_all_runs`].

pub mod body;
pub mod ca_file;
mod calls;
mod events;
mod exchange;
pub mod https;
mod list_all;
pub mod retry;
pub mod unix;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

pub use calls::{Answer, Client, ClientError};
pub use events::{EventMessage, EventStream};
pub use exchange::Exchange;
pub use https::{HttpsTransport, Limits};
pub use list_all::{list_all_runs, list_all_trials};
pub use retry::retry_after;
pub use unix::{Deadlines, UnixTransport};

/// One HTTP request, complete before it is sent.
#[derive(Debug, Clone)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Path and query below the base, starting with `/`.
    pub path: String,
    /// Headers; the transport adds `Host`, `Authorization` and what it needs itself.
    pub headers: HeaderMap,
    /// Body; empty for none.
    pub body: Bytes,
}

impl Request {
    /// Starts a `GET`.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// Starts a `POST` without body.
    #[must_use]
    pub fn post(path: impl Into<String>) -> Self {
        Self {
            method: Method::POST,
            ..Self::get(path)
        }
    }
}

/// One HTTP answer, read to its end.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, decompressed.
    pub body: Bytes,
}

/// Says why a request has no answer. None of the texts holds a token or a body.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Nobody listens there, or the name is unknown.
    #[error("could not connect to {to}")]
    Connect {
        /// Origin or socket.
        to: String,
        /// Cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// TLS did not accept the other side.
    #[error("could not trust {to}")]
    Tls {
        /// Origin.
        to: String,
        /// Cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer in time.
    #[error("{to} did not answer within {after_ms} ms")]
    Timeout {
        /// Origin or socket.
        to: String,
        /// How long we waited.
        after_ms: u64,
    },
    /// The connection broke before the answer was whole.
    #[error("the answer of {to} broke off")]
    Broken {
        /// Origin or socket.
        to: String,
        /// Cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer, decompressed, is larger than we take.
    #[error("the answer of {to} is larger than {limit_bytes} bytes")]
    TooLarge {
        /// Origin or socket.
        to: String,
        /// The limit.
        limit_bytes: u64,
    },
    /// The request cannot be sent: bad base URL, bad id.
    #[error("this request cannot be sent: {0}")]
    InvalidRequest(String),
}

/// A way to whoever answers.
#[derive(Debug)]
pub enum Transport {
    /// To the daemon.
    Unix(UnixTransport),
    /// To a remote.
    Https(Box<HttpsTransport>),
}

impl Transport {
    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    ///
    /// [`SendError`] when there is none.
    pub async fn send(&self, request: Request) -> Result<Reply, SendError> {
        match self {
            Transport::Unix(unix) => unix.send(request).await,
            Transport::Https(https) => https.send(request).await,
        }
    }
}
