//! What went wrong, as status and code; nowhere else.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use docks_proto::error::{Candidate, ErrorBody, ErrorCode, ErrorDetail};
use docks_proto::id::InvalidId;
use docks_proto::query::QueryError;
use docks_proto::routes::RunKind;
use docks_proto::settings::SettingsError;
use docks_proto::time::UnixMs;

use super::request_checks::Refusal;
use crate::registry::RegistryError;
use docksd_mirror::MirrorError;
use docksd_remote::{FaultClass, RemoteError};
use docksd_sync::SyncError;

/// Why a request has no good answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Refused before any handler.
    #[error("{}", .0.why)]
    Refused(Refusal),
    /// No such route.
    #[error("there is nothing at this path")]
    NoRoute,
    /// The route has other methods.
    #[error("this path has no such method")]
    NoMethod,
    /// The question is wrong.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// An id is none.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// The request is wrong otherwise.
    #[error("{0}")]
    Request(String),
    /// There is no such remote.
    #[error(transparent)]
    Source(#[from] RegistryError),
    /// The mirror failed.
    #[error("the mirror failed")]
    Mirror(#[from] MirrorError),
    /// A name or prefix fits several objects.
    #[error("`{given}` fits several")]
    Ambiguous {
        /// What was given.
        given: String,
        /// What it fits.
        candidates: Vec<Candidate>,
    },
    /// No such run.
    #[error("no run `{given}`")]
    NoRun {
        /// Family.
        kind: RunKind,
        /// What was given.
        given: String,
        /// Since when it is gone, if it was there.
        gone_at: Option<UnixMs>,
    },
    /// No such trial.
    #[error("no trial `{given}` in run `{run}`")]
    NoTrial {
        /// The run's id.
        run: String,
        /// What was given.
        given: String,
    },
    /// Only cached answers were allowed.
    #[error("nothing is cached")]
    NotCached,
    /// The remote gave no answer, and none that is cached will do.
    #[error("the remote gave no answer")]
    Sync(#[source] SyncError),
    /// The remote gave no answer within the asked age.
    #[error("not confirmed in time")]
    Unmet(#[source] SyncError),
    /// The remote took longer than anybody waits.
    #[error("the remote took longer than {} s", .0.as_secs())]
    TooSlow(Duration),
    /// As above, for a request that asked for a fresh answer.
    #[error("not confirmed within {} s", .0.as_secs())]
    UnmetInTime(Duration),
    /// As many watch as can.
    #[error("too many watch at once")]
    Crowded,
    /// A defect.
    #[error("a handler failed")]
    Panicked,
}

impl ApiError {
    /// Returns what the client is told.
    #[must_use]
    pub fn told(&self) -> (StatusCode, ErrorDetail) {
        use ErrorCode as Code;
        const GATEWAY: StatusCode = StatusCode::GATEWAY_TIMEOUT;
        match self {
            ApiError::Refused(refusal) => (refusal.status, refusal.detail()),
            ApiError::NoRoute => (
                StatusCode::NOT_FOUND,
                new(Code::NotFound, "There is nothing at this path."),
            ),
            ApiError::NoMethod => (
                StatusCode::METHOD_NOT_ALLOWED,
                new(Code::InvalidRequest, "This path has no such method."),
            ),
            ApiError::Query(bad) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                new(Code::InvalidRequest, sentence(&bad.to_string())),
            ),
            ApiError::Id(bad) => (
                StatusCode::BAD_REQUEST,
                new(Code::InvalidRequest, sentence(&bad.to_string())),
            ),
            ApiError::Request(why) => (
                StatusCode::BAD_REQUEST,
                new(Code::InvalidRequest, sentence(why)),
            ),
            ApiError::Source(none) => no_source(none),
            ApiError::Mirror(error) => internal(error),
            ApiError::Ambiguous { given, candidates } => {
                let message = format!("`{given}` fits more than one.");
                let mut detail = new(Code::AmbiguousId, message).hint("Write more of the id.");
                detail.candidates.clone_from(candidates);
                (StatusCode::CONFLICT, detail)
            }
            ApiError::NoRun {
                kind,
                given,
                gone_at,
            } => (StatusCode::NOT_FOUND, no_run(*kind, given, *gone_at)),
            ApiError::NoTrial { run, given } => {
                let message = format!("No trial `{given}` in run `{run}`.");
                let hint = format!("Try `docks runs trials {run}`.");
                (
                    StatusCode::NOT_FOUND,
                    new(Code::TrialNotFound, message).hint(hint),
                )
            }
            ApiError::NotCached => {
                let detail = new(Code::NotCached, "There is nothing cached to answer from.");
                (GATEWAY, detail.hint("Try again without `--offline`."))
            }
            ApiError::Sync(error) => no_answer(error),
            ApiError::Unmet(error) => unmet(error),
            ApiError::TooSlow(_) => (
                GATEWAY,
                new(Code::RemoteUnreachable, sentence(&self.to_string())).hint(ADDRESS),
            ),
            ApiError::UnmetInTime(_) => (
                GATEWAY,
                new(Code::FreshnessUnmet, sentence(&self.to_string())).hint(OLDER),
            ),
            ApiError::Crowded => {
                let mut detail = new(Code::RateLimited, sentence(&self.to_string()));
                detail.retry_after_s = Some(10);
                (StatusCode::SERVICE_UNAVAILABLE, detail)
            }
            ApiError::Panicked => (
                StatusCode::INTERNAL_SERVER_ERROR,
                new(Code::Internal, "The daemon failed inside.").hint(LOGS),
            ),
        }
    }
}

fn new(code: ErrorCode, message: impl Into<String>) -> ErrorDetail {
    ErrorDetail::new(code, message)
}

const ADDRESS: &str = "Check the network, and the address with `docks config explain`.";
const OLDER: &str = "Without `--fresh` or `--max-age` you get what is cached, with its age.";
const LOGS: &str = "See `docks daemon logs`.";

/// Makes a sentence of an error's text: a capital and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string());
    let stop = if text.ends_with('.') { "" } else { "." };
    format!("{}{}{stop}", first.unwrap_or_default(), letters.as_str())
}

fn internal(error: &MirrorError) -> (StatusCode, ErrorDetail) {
    if matches!(error, MirrorError::Closed) {
        return ending();
    }
    let message = sentence(&docks_proto::error::error_chain(error));
    tracing::error!(error = message, "the mirror failed");
    (
        StatusCode::INTERNAL_SERVER_ERROR,
        ErrorDetail::new(ErrorCode::Internal, message).hint(LOGS),
    )
}

fn ending() -> (StatusCode, ErrorDetail) {
    let mut detail = ErrorDetail::new(ErrorCode::ShuttingDown, "The daemon is ending.");
    detail.retry_after_s = Some(1);
    (StatusCode::SERVICE_UNAVAILABLE, detail)
}

fn no_run(kind: RunKind, given: &str, gone_at: Option<UnixMs>) -> ErrorDetail {
    let (what, list) = match kind {
        RunKind::Run => ("run", "docks runs list"),
        RunKind::Evaluation => ("evaluation run", "docks runs eval-list"),
    };
    let message = match gone_at {
        Some(at) => format!(
            "The {what} `{given}` is gone from the remote since {}.",
            at.rfc3339()
        ),
        None => format!("No {what} `{given}`."),
    };
    ErrorDetail::new(ErrorCode::RunNotFound, message).hint(format!("Try `{list}`."))
}

fn no_source(none: &RegistryError) -> (StatusCode, ErrorDetail) {
    let message = sentence(&docks_proto::error::error_chain(none));
    let (status, code) = match none {
        RegistryError::Closed => return ending(),
        RegistryError::Mirror { source, .. } => {
            tracing::error!(error = message, "a mirror cannot be opened");
            if matches!(source, MirrorError::Closed) {
                return ending();
            }
            (StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Internal)
        }
        RegistryError::BadRequest(_) => (StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest),
        RegistryError::TenantMismatch { .. } => (StatusCode::NOT_FOUND, ErrorCode::UnknownProfile),
        RegistryError::Remote { source, .. } if source.class() == FaultClass::NotFound => {
            (StatusCode::NOT_FOUND, ErrorCode::NotFound)
        }
        RegistryError::Remote { .. } => (StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest),
        RegistryError::Settings(SettingsError::UnknownProfile { .. }) => {
            (StatusCode::NOT_FOUND, ErrorCode::UnknownProfile)
        }
        RegistryError::Settings(
            SettingsError::NothingSetUp { .. } | SettingsError::NoTenant { .. },
        ) => (StatusCode::UNAUTHORIZED, ErrorCode::NotSignedIn),
        RegistryError::Settings(_) => (StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest),
    };
    let mut detail = ErrorDetail::new(code, message);
    detail.hint = match none {
        RegistryError::Settings(error) => error.hint(),
        RegistryError::TenantMismatch { .. } => {
            Some("Name the profile in `Docks-Profile`.".to_owned())
        }
        RegistryError::Remote {
            source: RemoteError::Files { .. },
            ..
        } => Some("Name the directory that holds the folders of the jobs.".to_owned()),
        _ => None,
    };
    (status, detail)
}

/// Tells what the remote's failure means when nothing that is cached will do.
fn no_answer(error: &SyncError) -> (StatusCode, ErrorDetail) {
    use ErrorCode as Code;
    let remote = match error {
        SyncError::Remote(remote) => remote,
        SyncError::Mirror(error) => return internal(error),
        SyncError::Stopped => return ending(),
    };
    let status = match &**remote {
        RemoteError::Status { status, .. } => Some(*status),
        _ => None,
    };
    let (status, code, hint) = match remote.class() {
        FaultClass::NotFound => (StatusCode::NOT_FOUND, Code::NotFound, None),
        FaultClass::Auth if matches!(&**remote, RemoteError::NotSignedIn(_)) => (
            StatusCode::UNAUTHORIZED,
            Code::NotSignedIn,
            Some("Try `docks auth login`."),
        ),
        FaultClass::Auth if status == Some(403) => (
            StatusCode::FORBIDDEN,
            Code::Forbidden,
            Some("Check that you may use this tenant."),
        ),
        FaultClass::Auth => (
            StatusCode::UNAUTHORIZED,
            Code::Unauthorized,
            Some("Try `docks auth login`."),
        ),
        FaultClass::RateLimited => (StatusCode::TOO_MANY_REQUESTS, Code::RateLimited, None),
        // Not 501: that is said of servers that do not know the method at all.
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
            (StatusCode::BAD_GATEWAY, Code::RemoteBroken, Some(ADDRESS))
        }
        FaultClass::Outage => (
            StatusCode::GATEWAY_TIMEOUT,
            Code::RemoteUnreachable,
            Some(ADDRESS),
        ),
    };
    let mut detail = ErrorDetail::new(code, sentence(&error.chain()));
    detail.hint = said_by(remote).or(hint.map(str::to_owned));
    detail.retry_after_s = error.retry_after().map(|wait| wait.as_secs());
    (status, detail)
}

/// Returns the remote's own hint, which knows more than ours.
fn said_by(remote: &RemoteError) -> Option<String> {
    match remote {
        RemoteError::Status { body, .. } => body.hint.clone(),
        RemoteError::NotPossible { hint, .. } => hint.clone(),
        _ => None,
    }
}

/// Tells the same when a fresh answer was asked for: an outage then means that it is not fresh.
fn unmet(error: &SyncError) -> (StatusCode, ErrorDetail) {
    let (status, detail) = no_answer(error);
    match detail.code {
        ErrorCode::RemoteUnreachable | ErrorCode::RemoteBroken => {
            let message = format!("The remote could not confirm the answer: {}", error.chain());
            let mut unmet = ErrorDetail::new(ErrorCode::FreshnessUnmet, sentence(&message));
            unmet.hint = Some(OLDER.to_owned());
            unmet.retry_after_s = detail.retry_after_s;
            (StatusCode::GATEWAY_TIMEOUT, unmet)
        }
        _ => (status, detail),
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, detail) = self.told();
        let wait = detail.retry_after_s;
        let mut response = (status, Json(ErrorBody { detail })).into_response();
        if let Some(seconds) = wait {
            let value = HeaderValue::from(seconds);
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use docks_proto::client::SendError;
    use docks_proto::error::RemoteErrorBody;

    fn status(status: u16) -> SyncError {
        SyncError::from(RemoteError::Status {
            status,
            body: Box::new(RemoteErrorBody::default()),
            retry_after: Some(Duration::from_secs(7)),
        })
    }

    fn told(error: ApiError) -> (u16, ErrorCode) {
        let (status, detail) = error.told();
        assert!(detail.message.ends_with('.'), "{}", detail.message);
        (status.as_u16(), detail.code)
    }

    #[test]
    fn each_failure_of_the_remote_has_its_own_code() {
        let timeout = || {
            SyncError::from(RemoteError::Send(SendError::Timeout {
                to: "https://a.example".into(),
                after_ms: 1,
            }))
        };
        for (error, expected) in [
            (status(401), (401, ErrorCode::Unauthorized)),
            (status(403), (403, ErrorCode::Forbidden)),
            (status(404), (404, ErrorCode::NotFound)),
            (status(409), (409, ErrorCode::Unsupported)),
            (status(422), (422, ErrorCode::InvalidRequest)),
            (status(429), (429, ErrorCode::RateLimited)),
            (status(500), (502, ErrorCode::RemoteBroken)),
            (timeout(), (504, ErrorCode::RemoteUnreachable)),
            (SyncError::Stopped, (503, ErrorCode::ShuttingDown)),
        ] {
            assert_eq!(told(ApiError::Sync(error)), expected);
        }
        assert_eq!(
            told(ApiError::Unmet(timeout())),
            (504, ErrorCode::FreshnessUnmet)
        );
        assert_eq!(
            told(ApiError::Unmet(status(429))),
            (429, ErrorCode::RateLimited)
        );
    }

    #[test]
    fn the_time_to_wait_is_a_header_as_well() {
        let response = ApiError::Sync(status(429)).into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "7");
    }
}
