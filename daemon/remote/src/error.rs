//! Why a remote gave no usable answer, and whether another attempt can help.

use std::time::Duration;

use docks_proto::client::SendError;
use docks_proto::error::RemoteErrorBody;

/// Why a remote gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// No complete answer arrived.
    #[error("the request to the remote failed")]
    Send(#[source] SendError),
    /// Nothing listens at the address of the remote.
    #[error("the request to the remote failed")]
    NoServer {
        /// What failed.
        #[source]
        source: SendError,
        /// What to do about it.
        hint: String,
    },
    /// The remote answered with an error status.
    #[error("the remote answered {status}{}", body.message.as_ref().map(|m| format!(": {m}")).unwrap_or_default())]
    Status {
        /// HTTP status.
        status: u16,
        /// What it said.
        body: Box<RemoteErrorBody>,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The answer does not fit the request: a portal's HTML, truncated JSON, a list instead of an
    /// object.
    #[error("the remote sent an invalid response: {why}")]
    InvalidResponse {
        /// What is wrong with it.
        why: String,
    },
    /// It has no run with this id and returned one with this name instead, as a hub does.
    #[error("the remote returned a run other than `{id}`")]
    WrongRun {
        /// The id that was requested.
        id: String,
    },
    /// This remote cannot do this at all.
    #[error("{0}")]
    Unsupported(String),
    /// The remote cannot do this to the run in its present state.
    #[error("{message}")]
    NotPossible {
        /// Why not.
        message: String,
        /// What to do instead.
        hint: Option<String>,
        /// Whether [`Remote::stop_process`](super::Remote::stop_process) can do it by killing.
        needs_kill: bool,
    },
    /// Reading local files failed.
    #[error("could not read {}", path.display())]
    Files {
        /// Which file or directory.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is no token for the request.
    #[error("not signed in: {0}")]
    NotSignedIn(String),
}

/// What a failure means for the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultClass {
    /// The object does not exist.
    NotFound,
    /// The token is missing, refused, or lacks access; retrying soon is useless.
    Auth,
    /// The remote asks us to slow down.
    RateLimited,
    /// The request was rejected (400, 405, 409, 422, …).
    Rejected,
    /// The remote or the network is down; retry later.
    Outage,
    /// This remote does not support the request.
    Unsupported,
}

impl RemoteError {
    /// Returns what the failure means for the next attempt.
    #[must_use]
    pub fn class(&self) -> FaultClass {
        match self {
            RemoteError::Send(SendError::InvalidRequest(_)) => FaultClass::Rejected,
            RemoteError::Send(_)
            | RemoteError::NoServer { .. }
            | RemoteError::InvalidResponse { .. } => FaultClass::Outage,
            RemoteError::WrongRun { .. } => FaultClass::NotFound,
            RemoteError::Files { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                FaultClass::NotFound
            }
            RemoteError::Files { .. } => FaultClass::Outage,
            RemoteError::NotSignedIn(_) => FaultClass::Auth,
            RemoteError::Unsupported(_) | RemoteError::NotPossible { .. } => {
                FaultClass::Unsupported
            }
            RemoteError::Status { status, .. } => match status {
                404 | 410 => FaultClass::NotFound,
                401 | 403 => FaultClass::Auth,
                429 => FaultClass::RateLimited,
                // Redirects are never followed; one means that the remote moved or is another.
                300..=399 | 408 | 425 | 500.. => FaultClass::Outage,
                _ => FaultClass::Rejected,
            },
        }
    }

    /// Returns how long the remote wants to be left alone, uncapped.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            RemoteError::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
