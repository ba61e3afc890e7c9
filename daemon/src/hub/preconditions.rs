//! Conditional requests and content negotiation.

use axum::http::{HeaderMap, header};
use headers::{ETag, HeaderMapExt, IfNoneMatch, IfRange};

/// Whether the client already has this version (RFC 9110 §13.1.2, compared weakly).
pub(super) fn is_not_modified(headers: &HeaderMap, etag: &ETag) -> bool {
    let condition = headers.typed_get::<IfNoneMatch>();
    condition.is_some_and(|condition| !condition.precondition_passes(etag))
}

/// Whether a requested range may be sent (RFC 9110 §13.1.5, compared strongly).
///
/// A date is too coarse for files that are being written, so it never matches; an `If-Range` that cannot be
/// read does not match either.
pub(super) fn allows_range(headers: &HeaderMap, etag: &ETag) -> bool {
    match headers.typed_try_get::<IfRange>() {
        Ok(None) => true,
        Ok(Some(condition)) => !condition.is_modified(Some(etag), None),
        Err(_) => false,
    }
}

/// Whether the client accepts gzip; what it says of gzip counts more than what it says of all others.
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter();
    let codings = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let (mut gzip, mut any) = (None, None);
    for coding in codings {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let refused = parts
            .filter_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")))
            .any(|quality| quality.parse::<f32>().is_ok_and(|quality| quality <= 0.0));
        match name.as_str() {
            "gzip" | "x-gzip" => gzip = Some(gzip.unwrap_or_default() || !refused),
            "*" => any = Some(!refused),
            _ => {}
        }
    }
    gzip.or(any).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn with(name: &'static str, value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        headers
    }

    #[test]
    fn if_none_match_is_compared_weakly() {
        let etag: ETag = "W/\"ab\"".parse().unwrap();
        let name = "if-none-match";
        for known in [
            "W/\"ab\"",
            "\"ab\"",
            "\"x\", W/\"ab\"",
            "\"a,b\",\"ab\"",
            "*",
        ] {
            assert!(is_not_modified(&with(name, known), &etag), "{known}");
        }
        for other in ["\"abc\"", "ab", ""] {
            assert!(!is_not_modified(&with(name, other), &etag), "{other}");
        }
        let mut two_lines = with(name, "\"x\"");
        two_lines.append(name, HeaderValue::from_static("\"ab\""));
        assert!(is_not_modified(&two_lines, &etag));
        assert!(!is_not_modified(&HeaderMap::new(), &etag));
    }

    #[test]
    fn if_range_is_compared_strongly() {
        let etag: ETag = "\"v1\"".parse().unwrap();
        assert!(allows_range(&HeaderMap::new(), &etag));
        assert!(allows_range(&with("if-range", "\"v1\""), &etag));
        for other in [
            "\"v2\"",
            "W/\"v1\"",
            "v1",
            "",
            "Wed, 21 Oct 2026 07:28:00 GMT",
        ] {
            assert!(!allows_range(&with("if-range", other), &etag), "{other}");
        }
    }

    #[test]
    fn gzip_is_accepted_unless_it_is_absent_or_its_quality_is_zero() {
        for accepted in ["gzip", "br, GZIP;q=0.5", "X-Gzip", "*", "*;q=0, gzip"] {
            let headers = with("accept-encoding", accepted);
            assert!(accepts_gzip(&headers), "{accepted}");
        }
        for refused in ["", "br", "gzip;q=0", "GZIP;Q=0.0, *", "identity"] {
            let headers = with("accept-encoding", refused);
            assert!(!accepts_gzip(&headers), "{refused}");
        }
    }
}
