//! `Retry-After`, in every form that servers send.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, header};

/// Longest wait that a remote can impose: an error in its clock must not stop us for a day.
pub const MAX_RETRY_WAIT: Duration = Duration::from_secs(600);

/// Wait if the remote sends an instant but no `Date`, so the difference is unknown.
const UNKNOWN_WAIT: Duration = Duration::from_secs(60);

/// Parses `Retry-After` (RFC 9110 §10.2.3), capped at [`MAX_RETRY_WAIT`].
///
/// An instant is relative to the response's `Date`, so a wrong clock on either side does not
/// matter. Absent, negative and meaningless values are `None`; an instant in the past is a wait of
/// zero.
#[must_use]
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = seconds(text).or_else(|| until(text, headers))?;
    Some(wait.min(MAX_RETRY_WAIT))
}

fn seconds(text: &str) -> Option<Duration> {
    let numeric = text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let number: f64 = numeric.then(|| text.parse().ok())??;
    Some(Duration::from_secs_f64(
        number.min(MAX_RETRY_WAIT.as_secs_f64()),
    ))
}

fn until(text: &str, headers: &HeaderMap) -> Option<Duration> {
    let then = httpdate::parse_http_date(text).ok()?;
    let date: Option<SystemTime> = headers
        .get(header::DATE)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| httpdate::parse_http_date(v).ok());
    Some(date.map_or(UNKNOWN_WAIT, |now| {
        then.duration_since(now).unwrap_or(Duration::ZERO)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn read(value: Option<&'static str>, date: Option<&'static str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        if let Some(value) = value {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(value));
        }
        if let Some(date) = date {
            headers.insert(header::DATE, HeaderValue::from_static(date));
        }
        retry_after(&headers).map(|wait| wait.as_secs())
    }

    #[test]
    fn every_form_of_retry_after_gives_a_bounded_wait() {
        let noon = Some("Tue, 24 Nov 2026 12:00:00 GMT");
        assert_eq!(read(None, noon), None);
        assert_eq!(read(Some("7"), None), Some(7));
        assert_eq!(read(Some(" 1.5 "), None), Some(1));
        assert_eq!(
            read(Some("Tue, 24 Nov 2026 12:00:30 GMT"), noon),
            Some(30),
            "an instant counts from the answer's own date"
        );
        assert_eq!(read(Some("Tue, 24 Nov 2026 11:00:00 GMT"), noon), Some(0));
        assert_eq!(read(Some("Tue, 24 Nov 2026 12:00:30 GMT"), None), Some(60));
        assert_eq!(read(Some("Sat, 24 Nov 2035 12:00:30 GMT"), noon), Some(600));
        assert_eq!(read(Some("315360000"), None), Some(600));
        assert_eq!(
            read(Some("99999999999999999999999999999999"), None),
            Some(600)
        );
        for garbage in ["-5", "soon", "", "inf", "NaN", "1e9", ".", "1.2.3"] {
            assert_eq!(read(Some(garbage), noon), None, "{garbage}");
        }
    }
}
