//! What went wrong in a failed request, found in the causes of its error.

/// Returns the innermost cause of an error.
pub(super) fn root_cause<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> &'a (dyn std::error::Error + 'static) {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause
}

/// Whether the failure says nothing about the remote, because an earlier response can have caused
/// it: the server closed the connection before it responded, or what it sent is not a response. The
/// latter are bytes beyond the declared end of the response before, which arrive when the kept
/// connection is already used again.
pub(super) fn may_be_of_earlier_response(error: &reqwest::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    let mut next = std::error::Error::source(error).filter(|_| !error.is_connect());
    while let Some(cause) = next {
        if let Some(hyper) = cause.downcast_ref::<hyper::Error>()
            && (hyper.is_incomplete_message() || hyper.is_canceled() || is_no_response(hyper))
        {
            return true;
        }
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return matches!(io.kind(), ConnectionReset | BrokenPipe | ConnectionAborted);
        }
        next = cause.source();
    }
    false
}

fn is_no_response(error: &hyper::Error) -> bool {
    error.is_parse() && !error.is_parse_too_large()
}

/// Returns the TLS error among the causes; an `io::Error` hides its inner error from `source`.
pub(super) fn tls_error<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return Some(error);
        }
        let inner = error
            .downcast_ref::<std::io::Error>()
            .and_then(|io| io.get_ref());
        if let Some(found) = inner.and_then(|inner| tls_error(inner)) {
            return Some(found);
        }
        next = error.source();
    }
    None
}
