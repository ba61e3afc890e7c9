//! Coded errors and hints that several kinds of errors share.

use axum::http::StatusCode;
use docks_proto::error::{ErrorCode, ErrorDetail, error_chain};

use docksd_mirror::MirrorError;

/// Hint for a remote that is out of reach.
pub(super) const CHECK_ADDRESS: &str =
    "Check the network, and the address with `docks config explain`.";
/// Hint for an answer that could not be confirmed.
pub(super) const USE_CACHED: &str =
    "Without `--fresh` or `--max-age` you get the cached answer, with its age.";
/// Hint for a failure of the daemon.
pub(super) const SEE_LOGS: &str = "See `docks daemon logs`.";

/// Turns the text of an error into a sentence: a capital letter and a full stop.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string());
    let stop = if text.ends_with('.') { "" } else { "." };
    format!("{}{}{stop}", first.unwrap_or_default(), letters.as_str())
}

/// Responds to a failure of the mirror, and logs it.
pub(super) fn mirror_failure(error: &MirrorError) -> (StatusCode, ErrorDetail) {
    if matches!(error, MirrorError::Closed) {
        return shutting_down();
    }
    let message = sentence(&error_chain(error));
    tracing::error!(error = message, "the mirror failed");
    (
        StatusCode::INTERNAL_SERVER_ERROR,
        ErrorDetail::new(ErrorCode::MirrorUnusable, message).hint(SEE_LOGS),
    )
}

/// Responds to a request that came during the shutdown; the next daemon can answer it.
pub(super) fn shutting_down() -> (StatusCode, ErrorDetail) {
    let mut detail = ErrorDetail::new(ErrorCode::ShuttingDown, "The daemon is shutting down.");
    detail.retry_after_s = Some(1);
    (StatusCode::SERVICE_UNAVAILABLE, detail)
}
