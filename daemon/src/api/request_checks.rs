//! Request hygiene: what is refused before any handler runs.
//!
//! The socket is for programs of this user. A browser that was tricked into
//! talking to it through some bridge gives itself away by its headers.

use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use docks_proto::error::{ErrorCode, ErrorDetail};

/// Largest body that is let in; no route reads one.
const MOST_BODY_BYTES: u64 = 1 << 20;

/// Names that mean us.
const OUR_NAMES: [&str; 2] = ["localhost", "docks"];

/// A request that no handler sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Status of the answer.
    pub status: StatusCode,
    /// Why.
    pub why: &'static str,
}

impl Refusal {
    /// Refuses with a status and the reason.
    #[must_use]
    pub const fn new(status: StatusCode, why: &'static str) -> Self {
        Self { status, why }
    }

    /// Refuses whoever is not the daemon's own user.
    #[must_use]
    pub const fn stranger() -> Self {
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
        ErrorDetail::new(code, self.why)
    }
}

/// Checks the head of a request.
///
/// # Errors
///
/// The [`Refusal`] to answer with.
pub fn check(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
    const BAD: StatusCode = StatusCode::BAD_REQUEST;
    if uri.scheme().is_some() || uri.authority().is_some() || method == Method::CONNECT {
        let why = "The request must name a path, not another server.";
        return Err(Refusal::new(BAD, why));
    }
    host(headers)?;
    from_a_page(headers)?;
    body(headers)
}

/// Refuses what a browser sends for a page.
pub(crate) fn from_a_page(headers: &HeaderMap) -> Result<(), Refusal> {
    let from_a_page = headers.contains_key(header::ORIGIN)
        || headers.contains_key(header::REFERER)
        || headers.keys().any(|k| k.as_str().starts_with("sec-fetch-"));
    if from_a_page {
        let why = "Requests that come from a web page are refused.";
        return Err(Refusal::new(StatusCode::FORBIDDEN, why));
    }
    Ok(())
}

fn host(headers: &HeaderMap) -> Result<(), Refusal> {
    const BAD: StatusCode = StatusCode::BAD_REQUEST;
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        let why = "The request must have exactly one Host header.";
        return Err(Refusal::new(BAD, why));
    };
    let host = host.to_str().unwrap_or_default();
    let name = match host.split_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        Some(_) => "",
        None => host,
    };
    if OUR_NAMES.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
        return Ok(());
    }
    let why = "The Host is not ours; it must be `docks` or `localhost`.";
    Err(Refusal::new(StatusCode::FORBIDDEN, why))
}

/// Refuses bodies that are too long, or whose length is unclear.
pub(crate) fn body(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        // No route needs a body without a length, and two lengths in one request are an attack.
        let why = "Bodies must come with a Content-Length and nothing else.";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, why));
    }
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else {
        return Ok(());
    };
    let length = length.to_str().ok().and_then(|t| t.parse::<u64>().ok());
    match length {
        Some(length) if length > MOST_BODY_BYTES => Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "The body is larger than 1 MiB.",
        )),
        Some(_) if lengths.next().is_none() => Ok(()),
        _ => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "The Content-Length makes no sense.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn verdict(path: &str, headers: &[(&'static str, &'static str)]) -> Option<u16> {
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
    fn only_our_own_names_are_a_host() {
        for fine in [
            "docks",
            "localhost",
            "LocalHost",
            "docks:1",
            "localhost:8080",
        ] {
            assert_eq!(verdict("/", &[("host", fine)]), None, "{fine}");
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
            assert_eq!(verdict("/", &[("host", foreign)]), Some(403), "{foreign}");
        }
        assert_eq!(verdict("/", &[]), Some(400));
        let twice = [("host", "docks"), ("host", "docks")];
        assert_eq!(verdict("/", &twice), Some(400));
    }

    #[test]
    fn pages_other_servers_and_odd_bodies_are_refused() {
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
            assert_eq!(verdict("/v1/status", &headers), Some(status), "{name}");
        }
        let absolute = verdict("http://docks/v1/status", &[("host", "docks")]);
        assert_eq!(absolute, Some(400));
        assert_eq!(
            verdict("/", &[("host", "docks"), ("content-length", "0")]),
            None
        );
    }
}
