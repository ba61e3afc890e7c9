//! Maps each error of a request to a status and a coded error; nothing else does.

mod detail;
mod registry;
mod remote;
#[cfg(test)]
mod tests;

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use docks_proto::error::{Candidate, ErrorBody, ErrorCode, ErrorDetail};
use docks_proto::id::InvalidId;
use docks_proto::query::QueryError;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;

use self::detail::{CHECK_ADDRESS, SEE_LOGS, USE_CACHED, mirror_failure, sentence};
use super::request_checks::Refusal;
use crate::registry::RegistryError;
use docksd_mirror::MirrorError;
use docksd_sync::SyncError;

/// Why a request cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Refused before any handler ran.
    #[error("{}", .0.reason)]
    Refused(Refusal),
    /// No such route.
    #[error("there is nothing at this path")]
    NoRoute,
    /// The route does not support the method.
    #[error("this path does not support that method")]
    MethodNotAllowed,
    /// The query of a list is invalid.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// An id is invalid.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// The request is invalid otherwise.
    #[error("{0}")]
    BadRequest(String),
    /// The remote can't be opened.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The mirror failed.
    #[error("the mirror failed")]
    Mirror(#[from] MirrorError),
    /// A name or prefix matches several objects.
    #[error("`{name}` matches several")]
    Ambiguous {
        /// The name or prefix.
        name: String,
        /// The objects that it matches.
        candidates: Vec<Candidate>,
    },
    /// No such run.
    #[error("no run `{name}`")]
    RunNotFound {
        /// Kind of run.
        kind: RunKind,
        /// The id, name or prefix.
        name: String,
        /// When the remote no longer had it; `None` if it was never there.
        gone_at: Option<UnixMs>,
    },
    /// No such trial.
    #[error("no trial `{name}` in run `{run}`")]
    TrialNotFound {
        /// The run's id.
        run: String,
        /// The id, name or prefix.
        name: String,
    },
    /// No trial of any run is at such a task.
    #[error("no task `{name}`")]
    TaskNotFound {
        /// The name, or its beginning.
        name: String,
    },
    /// The folder of a trial or a run cannot be read.
    #[error("could not read the folder of {what}: {source}")]
    Folder {
        /// The trial or run.
        what: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Only cached answers were allowed, and nothing is cached.
    #[error("nothing is cached")]
    NotCached,
    /// The remote did not answer, and the mirror has no usable answer.
    #[error("the remote did not answer")]
    Sync(#[source] SyncError),
    /// The remote did not confirm the answer within the requested age.
    #[error("the remote could not confirm the answer")]
    FreshnessUnmet(#[source] SyncError),
    /// The remote took longer than any request waits.
    #[error("the remote took longer than {} s", .0.as_secs())]
    TooSlow(Duration),
    /// The same for a request that required a fresh answer.
    #[error("the remote did not confirm the answer within {} s", .0.as_secs())]
    FreshnessTimedOut(Duration),
    /// As many clients watch as the daemon allows.
    #[error("too many clients are watching")]
    TooManyWatchers,
    /// A handler panicked, which is a bug.
    #[error("a handler failed")]
    Panicked,
}

impl ApiError {
    /// Returns the status and the coded error of the response.
    #[must_use]
    pub fn status_and_detail(&self) -> (StatusCode, ErrorDetail) {
        use ErrorCode as Code;
        let invalid = |status, message: String| {
            let detail = ErrorDetail::new(Code::InvalidRequest, sentence(&message));
            (status, detail)
        };
        let message = || sentence(&self.to_string());
        match self {
            ApiError::Refused(refusal) => (refusal.status, refusal.detail()),
            ApiError::NoRoute => (
                StatusCode::NOT_FOUND,
                ErrorDetail::new(Code::NotFound, message()),
            ),
            ApiError::MethodNotAllowed => invalid(StatusCode::METHOD_NOT_ALLOWED, self.to_string()),
            ApiError::Query(error) => invalid(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
            ApiError::Id(error) => invalid(StatusCode::BAD_REQUEST, error.to_string()),
            ApiError::BadRequest(reason) => invalid(StatusCode::BAD_REQUEST, reason.clone()),
            ApiError::Registry(error) => registry::status_and_detail(error),
            ApiError::Mirror(error) => mirror_failure(error),
            ApiError::Ambiguous { name, candidates } => {
                let message = format!("`{name}` matches more than one.");
                let mut detail =
                    ErrorDetail::new(Code::AmbiguousId, message).hint("Type more of the id.");
                detail.candidates.clone_from(candidates);
                (StatusCode::CONFLICT, detail)
            }
            ApiError::RunNotFound {
                kind,
                name,
                gone_at,
            } => (StatusCode::NOT_FOUND, run_not_found(*kind, name, *gone_at)),
            ApiError::TrialNotFound { run, .. } => {
                let hint = format!("Try `docks runs trials {run}`.");
                (
                    StatusCode::NOT_FOUND,
                    ErrorDetail::new(Code::TrialNotFound, message()).hint(hint),
                )
            }
            ApiError::TaskNotFound { .. } => (
                StatusCode::NOT_FOUND,
                ErrorDetail::new(Code::NotFound, message()).hint("Try `docks tasks list`."),
            ),
            ApiError::Folder { source, .. } => {
                let hint = match source.kind() {
                    std::io::ErrorKind::PermissionDenied => {
                        "Check its permissions; docksd reads it as its own user."
                    }
                    _ => "Check that its disk is mounted, and `docks daemon status`.",
                };
                let detail = ErrorDetail::new(Code::RemoteUnreachable, message()).hint(hint);
                (StatusCode::GATEWAY_TIMEOUT, detail)
            }
            ApiError::NotCached => {
                let detail = ErrorDetail::new(Code::NotCached, "Nothing is cached to answer from.");
                (
                    StatusCode::GATEWAY_TIMEOUT,
                    detail.hint("Try again without `--offline`."),
                )
            }
            ApiError::Sync(error) => remote::status_and_detail(error),
            ApiError::FreshnessUnmet(error) => remote::freshness_unmet(error),
            ApiError::TooSlow(_) => (
                StatusCode::GATEWAY_TIMEOUT,
                ErrorDetail::new(Code::RemoteUnreachable, message()).hint(CHECK_ADDRESS),
            ),
            ApiError::FreshnessTimedOut(_) => (
                StatusCode::GATEWAY_TIMEOUT,
                ErrorDetail::new(Code::FreshnessUnmet, message()).hint(USE_CACHED),
            ),
            ApiError::TooManyWatchers => {
                let mut detail = ErrorDetail::new(Code::RateLimited, message());
                detail.retry_after_s = Some(10);
                (StatusCode::SERVICE_UNAVAILABLE, detail)
            }
            ApiError::Panicked => (
                StatusCode::INTERNAL_SERVER_ERROR,
                ErrorDetail::new(Code::Internal, "The daemon hit an internal error.")
                    .hint(SEE_LOGS),
            ),
        }
    }
}

fn run_not_found(kind: RunKind, name: &str, gone_at: Option<UnixMs>) -> ErrorDetail {
    let (noun, list) = match kind {
        RunKind::Run => ("run", "docks runs list"),
        RunKind::Evaluation => ("evaluation run", "docks runs eval-list"),
    };
    let message = match gone_at {
        Some(at) => format!(
            "The {noun} `{name}` has been gone from the remote since {}.",
            at.rfc3339()
        ),
        None => format!("No {noun} `{name}`."),
    };
    ErrorDetail::new(ErrorCode::RunNotFound, message).hint(format!("Try `{list}`."))
}

/// Marks the response to a request that failed because its mirror was damaged, or replaced meanwhile.
#[derive(Debug, Clone, Copy)]
pub(super) struct MirrorReplaced;

impl ApiError {
    /// Whether the mirror was damaged, or closed: while the daemon runs, because it was damaged.
    fn is_of_replaced_mirror(&self) -> bool {
        let is_replaced =
            |error: &MirrorError| error.is_corrupt() || matches!(error, MirrorError::Closed);
        match self {
            ApiError::Mirror(error) => is_replaced(error),
            ApiError::Sync(error) | ApiError::FreshnessUnmet(error) => match error {
                SyncError::Mirror(error) => is_replaced(error),
                SyncError::Stopped => true,
                SyncError::Remote(_) => false,
            },
            _ => false,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, detail) = self.status_and_detail();
        let is_of_replaced_mirror = self.is_of_replaced_mirror();
        let retry_after_s = detail.retry_after_s;
        let mut response = (status, Json(ErrorBody { detail })).into_response();
        if let Some(seconds) = retry_after_s {
            let value = HeaderValue::from(seconds);
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        if is_of_replaced_mirror {
            response.extensions_mut().insert(MirrorReplaced);
        }
        response
    }
}
