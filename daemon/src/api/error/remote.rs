//! Errors of the remote, for requests that the mirror alone cannot answer.

use axum::http::StatusCode;
use docks_proto::error::{ErrorCode, ErrorDetail};

use super::detail::{CHECK_ADDRESS, USE_CACHED, mirror_failure, sentence, shutting_down};
use docksd_remote::{FaultClass, RemoteError};
use docksd_sync::SyncError;

/// Returns the status and the coded error.
pub(super) fn status_and_detail(error: &SyncError) -> (StatusCode, ErrorDetail) {
    use ErrorCode as Code;
    const LOG_IN: Option<&str> = Some("Try `docks auth login`.");
    let remote = match error {
        SyncError::Remote(remote) => remote,
        SyncError::Mirror(error) => return mirror_failure(error),
        SyncError::Stopped => return shutting_down(),
    };
    let status = match &**remote {
        RemoteError::Status { status, .. } => Some(*status),
        _ => None,
    };
    let (status, code, hint) = match remote.class() {
        FaultClass::NotFound => (StatusCode::NOT_FOUND, Code::NotFound, None),
        FaultClass::Auth if matches!(&**remote, RemoteError::NotSignedIn(_)) => {
            (StatusCode::UNAUTHORIZED, Code::NotSignedIn, LOG_IN)
        }
        FaultClass::Auth if status == Some(403) => (
            StatusCode::FORBIDDEN,
            Code::Forbidden,
            Some("Check that you have access to this tenant."),
        ),
        FaultClass::Auth => (StatusCode::UNAUTHORIZED, Code::Unauthorized, LOG_IN),
        FaultClass::RateLimited => (StatusCode::TOO_MANY_REQUESTS, Code::RateLimited, None),
        // Not 501, which means that a server does not know the method at all.
        FaultClass::Unsupported => match &**remote {
            RemoteError::NotPossible {
                needs_kill: true, ..
            } => (StatusCode::CONFLICT, Code::NeedsKill, None),
            _ => (StatusCode::CONFLICT, Code::Unsupported, None),
        },
        FaultClass::Rejected if status == Some(409) => {
            (StatusCode::CONFLICT, Code::Unsupported, None)
        }
        FaultClass::Rejected if status.is_some() => {
            (StatusCode::UNPROCESSABLE_ENTITY, Code::InvalidRequest, None)
        }
        FaultClass::Rejected => (StatusCode::BAD_REQUEST, Code::InvalidRequest, None),
        FaultClass::Outage
            if status.is_some() || matches!(&**remote, RemoteError::InvalidResponse { .. }) =>
        {
            (
                StatusCode::BAD_GATEWAY,
                Code::RemoteBroken,
                Some(CHECK_ADDRESS),
            )
        }
        FaultClass::Outage => (
            StatusCode::GATEWAY_TIMEOUT,
            Code::RemoteUnreachable,
            Some(CHECK_ADDRESS),
        ),
    };
    let mut detail = ErrorDetail::new(code, sentence(&error.chain()));
    detail.hint = remote_hint(remote).or(hint.map(str::to_owned));
    detail.retry_after_s = error.retry_after().map(|wait| wait.as_secs());
    (status, detail)
}

/// Returns the remote's own hint, which is better informed than ours.
fn remote_hint(remote: &RemoteError) -> Option<String> {
    match remote {
        RemoteError::Status { body, .. } => body.hint.clone(),
        RemoteError::NotPossible { hint, .. } => hint.clone(),
        RemoteError::NoServer { hint, .. } => Some(hint.clone()),
        RemoteError::Send(error) => error.hint().map(sentence),
        _ => None,
    }
}

/// Returns what to do about a response that was more than is read at once, which a later attempt will be, too.
fn too_much(error: &SyncError) -> Option<String> {
    match error {
        SyncError::Remote(remote) => match &**remote {
            RemoteError::Send(error) => error.hint().map(sentence),
            _ => None,
        },
        _ => None,
    }
}

/// Returns the same for a request that requires a fresh answer: an outage then means that the
/// cached answer is not fresh enough.
pub(super) fn freshness_unmet(error: &SyncError) -> (StatusCode, ErrorDetail) {
    let (status, detail) = status_and_detail(error);
    match detail.code {
        ErrorCode::RemoteUnreachable | ErrorCode::RemoteBroken => {
            let message = format!("The remote could not confirm the answer: {}", error.chain());
            let mut unmet = ErrorDetail::new(ErrorCode::FreshnessUnmet, sentence(&message));
            unmet.hint = Some(match too_much(error) {
                Some(what_to_do) => format!("{what_to_do} {USE_CACHED}"),
                None => USE_CACHED.to_owned(),
            });
            unmet.retry_after_s = detail.retry_after_s;
            (StatusCode::GATEWAY_TIMEOUT, unmet)
        }
        _ => (status, detail),
    }
}
