//! Why syncing failed.

use std::sync::Arc;
use std::time::Duration;

use docks_proto::error::{ErrorCode, ErrorDetail};
use docks_proto::paging::may_refuse_limit;

use docksd_mirror::MirrorError;
use docksd_remote::{FaultClass, RemoteError};

/// Why a refresh or an action failed; cheap to clone for everyone who waited.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SyncError {
    /// The remote gave no usable answer.
    #[error(transparent)]
    Remote(Arc<RemoteError>),
    /// The mirror could not be read or written.
    #[error(transparent)]
    Mirror(Arc<MirrorError>),
    /// The engine stopped first.
    #[error("the sync engine has stopped")]
    Stopped,
}

impl From<RemoteError> for SyncError {
    fn from(error: RemoteError) -> Self {
        Self::Remote(Arc::new(error))
    }
}

impl From<MirrorError> for SyncError {
    fn from(error: MirrorError) -> Self {
        Self::Mirror(Arc::new(error))
    }
}

impl SyncError {
    /// Returns what the failure means for the next attempt, if the remote caused it.
    #[must_use]
    pub fn class(&self) -> Option<FaultClass> {
        match self {
            Self::Remote(error) => Some(error.class()),
            _ => None,
        }
    }

    /// Returns whether a page with a smaller `limit` may succeed: the remote refused this one, or it was
    /// larger than an answer may be.
    #[must_use]
    pub fn may_refuse_limit(&self) -> bool {
        match self {
            Self::Remote(error) => match **error {
                RemoteError::Status { status, .. } => may_refuse_limit(status),
                RemoteError::Send(ref error) => error.is_too_much(),
                _ => false,
            },
            _ => false,
        }
    }

    /// Returns how long the remote wants to be left alone, uncapped.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Remote(error) => error.retry_after(),
            _ => None,
        }
    }

    /// Returns what to do about it, if the remote's error says so.
    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Remote(error) => match **error {
                RemoteError::Send(ref error) => error.hint(),
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns the error and all its causes on one line.
    #[must_use]
    pub fn chain(&self) -> String {
        docks_proto::error::error_chain(self)
    }

    /// Returns the error as it crosses the socket.
    #[must_use]
    pub fn detail(&self) -> ErrorDetail {
        let code = match self.class() {
            None if matches!(self, Self::Mirror(_)) => ErrorCode::MirrorUnusable,
            None => ErrorCode::Internal,
            Some(FaultClass::NotFound) => ErrorCode::NotFound,
            Some(FaultClass::Auth) => ErrorCode::Unauthorized,
            Some(FaultClass::RateLimited) => ErrorCode::RateLimited,
            Some(FaultClass::Rejected) => ErrorCode::RemoteBroken,
            Some(FaultClass::Outage) => ErrorCode::RemoteUnreachable,
            Some(FaultClass::Unsupported) => ErrorCode::Unsupported,
        };
        let mut detail = ErrorDetail::new(code, self.chain());
        detail.retry_after_s = self.retry_after().map(|after| after.as_secs());
        match self.hint() {
            Some(hint) => detail.hint(hint),
            None => detail,
        }
    }
}
