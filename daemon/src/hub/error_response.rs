//! Errors that only a hub responds with.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use docks_proto::error::{ErrorBody, ErrorCode, ErrorDetail};

/// Responds with a coded error.
pub(super) fn coded_error(
    status: StatusCode,
    code: ErrorCode,
    message: &str,
    hint: &str,
) -> Response {
    let detail = ErrorDetail::new(code, message).hint(hint);
    (status, axum::Json(ErrorBody { detail })).into_response()
}

/// Responds to a request without the token; the same for every path.
pub(super) fn unauthorized() -> Response {
    let message = "The token is missing or wrong.";
    let hint = "Ask the owner of the hub for it (`docks hub token` shows it), then sign in with \
                `docks auth login`.";
    let code = ErrorCode::Unauthorized;
    let mut response = coded_error(StatusCode::UNAUTHORIZED, code, message, hint);
    let bearer = HeaderValue::from_static("Bearer");
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, bearer);
    response
}

/// Responds to a request with the token on a connection for which there is no place.
pub(super) fn full() -> Response {
    let message = "The hub has as many connections as it may have.";
    let hint = "Try again, or raise the limit on open files (`ulimit -n`) of the hub.";
    let code = ErrorCode::RateLimited;
    let mut response = coded_error(StatusCode::SERVICE_UNAVAILABLE, code, message, hint);
    let head = response.headers_mut();
    head.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    head.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
