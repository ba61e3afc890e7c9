//! What failed at the remote, and whether trying again can help.

use std::time::Duration;

use docks_proto::client::SendError;
use docks_proto::error::RemoteErrorBody;

/// Says why a remote gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// No whole answer arrived.
    #[error("could not ask the remote")]
    Send(#[source] SendError),
    /// The remote answered with an error status.
    #[error("the remote answered {status}{}", body.message.as_ref().map(|m| format!(": {m}")).unwrap_or_default())]
    Status {
        /// HTTP status.
        status: u16,
        /// What it said.
        body: Box<RemoteErrorBody>,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The answer is no answer to the question: HTML of a portal, cut JSON, a list for an object.
    #[error("the remote's answer makes no sense: {why}")]
    InvalidResponse {
        /// What is wrong with it.
        why: String,
    },
    /// It has no run of that id, but one that the text finds, too: a hub takes names.
    #[error("the remote answered with another run than `{id}`")]
    WrongRun {
        /// What was asked for.
        id: String,
    },
    /// This remote cannot do that at all.
    #[error("{0}")]
    Unsupported(String),
    /// It can do that, but not to this run as it is.
    #[error("{message}")]
    NotPossible {
        /// Why not.
        message: String,
        /// What to do instead.
        hint: Option<String>,
        /// Whether [`Remote::kill`](super::Remote::kill) can do it.
        needs_kill: bool,
    },
    /// Reading local files failed.
    #[error("could not read {}", path.display())]
    Files {
        /// Which.
        path: std::path::PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// There is no token to ask with.
    #[error("not signed in: {0}")]
    NotSignedIn(String),
}

/// What a failure means for the next try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultClass {
    /// The object is not there.
    NotFound,
    /// The token is missing, refused, or lacks access; asking again soon is useless.
    Auth,
    /// We are asked to slow down.
    RateLimited,
    /// The question was refused as such (400, 405, 409, 422, …).
    Rejected,
    /// The remote or the way to it is out of order; try later.
    Outage,
    /// This remote does not do that.
    Unsupported,
}

impl RemoteError {
    /// Returns what the failure means for the next try.
    #[must_use]
    pub fn class(&self) -> FaultClass {
        match self {
            RemoteError::Send(SendError::InvalidRequest(_)) => FaultClass::Rejected,
            RemoteError::Send(_) | RemoteError::InvalidResponse { .. } => FaultClass::Outage,
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
                // Redirects are never followed, so one is a remote that moved or is not ours.
                300..=399 | 408 | 425 | 500.. => FaultClass::Outage,
                _ => FaultClass::Rejected,
            },
        }
    }

    /// Returns when the remote wants to be asked again, uncapped.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            RemoteError::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
