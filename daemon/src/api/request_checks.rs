//! Checks the head of a request before any handler runs.
//!
//! The socket is for programs of this user. A browser that was tricked into talking to it through
//! some bridge reveals itself by its headers.

use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use docks_proto::error::{ErrorCode, ErrorDetail};

/// Largest accepted body; no route reads one.
const MAX_BODY_BYTES: u64 = 1 << 20;

/// Names by which clients may address the daemon.
const OWN_NAMES: [&str; 2] = ["localhost", "docks"];

/// Why a request is refused before any handler runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Status of the response.
    pub status: StatusCode,
    /// The reason, a sentence for people.
    pub reason: &'static str,
}

impl Refusal {
    /// Creates a refusal.
    #[must_use]
    pub const fn new(status: StatusCode, reason: &'static str) -> Self {
        Self { status, reason }
    }

    /// Refuses a client that is not the daemon's own user.
    #[must_use]
    pub const fn other_user() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "This socket belongs to another user.",
        )
    }

    /// Returns the coded error.
    #[must_use]
    pub fn detail(self) -> ErrorDetail {
        let code = if self.status == StatusCode::FORBIDDEN {
            ErrorCode::ForbiddenRequest
        } else {
            ErrorCode::InvalidRequest
        };
        ErrorDetail::new(code, self.reason)
    }
}

/// Checks the head of a request.
///
/// # Errors
///
/// The [`Refusal`] to respond with.
pub fn check(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
    check_target(method, uri)?;
    check_host(headers)?;
    refuse_web_pages(headers)?;
    check_body_length(headers)
}

/// Refuses requests that are meant for a proxy.
pub(crate) fn check_target(method: &Method, uri: &Uri) -> Result<(), Refusal> {
    if uri.scheme().is_some() || uri.authority().is_some() || method == Method::CONNECT {
        let reason = "The request must name a path, not another server.";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, reason));
    }
    Ok(())
}

/// Refuses what a browser sends on behalf of a web page.
pub(crate) fn refuse_web_pages(headers: &HeaderMap) -> Result<(), Refusal> {
    let from_web_page = headers.contains_key(header::ORIGIN)
        || headers.contains_key(header::REFERER)
        || headers.keys().any(|k| k.as_str().starts_with("sec-fetch-"));
    if from_web_page {
        let reason = "Requests from web pages are refused.";
        return Err(Refusal::new(StatusCode::FORBIDDEN, reason));
    }
    Ok(())
}

fn check_host(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        let reason = "The request must have exactly one Host header.";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, reason));
    };
    let host = host.to_str().unwrap_or_default();
    let name = match host.split_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        Some(_) => "",
        None => host,
    };
    if OWN_NAMES.iter().any(|own| name.eq_ignore_ascii_case(own)) {
        return Ok(());
    }
    let reason = "The Host header must be `docks` or `localhost`.";
    Err(Refusal::new(StatusCode::FORBIDDEN, reason))
}

/// Refuses bodies that are too long, or whose length is unclear.
pub(crate) fn check_body_length(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        // No route needs a body without a length, and two lengths in one request are an attack.
        let reason = "A body must have a Content-Length and no Transfer-Encoding.";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, reason));
    }
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else {
        return Ok(());
    };
    let length = length.to_str().ok().and_then(|t| t.parse::<u64>().ok());
    match length {
        Some(length) if length > MAX_BODY_BYTES => Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "The body is larger than 1 MiB.",
        )),
        Some(_) if lengths.next().is_none() => Ok(()),
        _ => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "The Content-Length header is not valid.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn refused_status(path: &str, headers: &[(&'static str, &'static str)]) -> Option<u16> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        let checked = check(&Method::GET, &path.parse().unwrap(), &map);
        checked.err().map(|refusal| refusal.status.as_u16())
    }

    #[test]
    fn only_our_own_names_are_accepted_as_host() {
        for accepted in [
            "docks",
            "localhost",
            "LocalHost",
            "docks:1",
            "localhost:8080",
        ] {
            assert_eq!(
                refused_status("/", &[("host", accepted)]),
                None,
                "{accepted}"
            );
        }
        for foreign in [
            "evil.example",
            "docks.evil.example",
            "localhost:evil",
            "localhost:1:2",
            "127.0.0.1",
            "[::1]",
            "localhost.",
            "",
            "docks:99999",
        ] {
            assert_eq!(
                refused_status("/", &[("host", foreign)]),
                Some(403),
                "{foreign}"
            );
        }
        assert_eq!(refused_status("/", &[]), Some(400));
        let twice = [("host", "docks"), ("host", "docks")];
        assert_eq!(refused_status("/", &twice), Some(400));
    }

    #[test]
    fn web_pages_proxy_requests_and_unclear_bodies_are_refused() {
        for (name, value, status) in [
            ("origin", "null", 403),
            ("referer", "http://localhost/", 403),
            ("sec-fetch-site", "same-origin", 403),
            ("sec-fetch-mode", "cors", 403),
            ("transfer-encoding", "chunked", 400),
            ("content-length", "1048577", 413),
            ("content-length", "-1", 400),
        ] {
            let headers = [("host", "docks"), (name, value)];
            assert_eq!(
                refused_status("/v1/status", &headers),
                Some(status),
                "{name}"
            );
        }
        let absolute = refused_status("http://docks/v1/status", &[("host", "docks")]);
        assert_eq!(absolute, Some(400));
        assert_eq!(
            refused_status("/", &[("host", "docks"), ("content-length", "0")]),
            None
        );
    }
}
