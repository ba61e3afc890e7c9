//! One range of a file (RFC 9110 §14), so that an interrupted download can be resumed.
//!
//! `headers::Range` drops a suffix that is longer than the file, which must get the whole file
//! (RFC 9110 §14.1.2), and cannot tell a range outside the file (416) from a malformed one (200), so the
//! header is parsed here.

use axum::http::{HeaderMap, header};
use headers::ETag;

use super::preconditions::allows_range;

/// Which part of a file a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestedRange {
    /// All of it.
    Whole,
    /// From the first byte to the last one, both included.
    Bytes {
        /// First byte.
        first: u64,
        /// Last byte.
        last: u64,
    },
    /// Bytes that the file does not have.
    Unsatisfiable,
}

/// Reads which part of a file of `size_bytes` with this validator is requested.
///
/// Several ranges at once, other units, and a condition that the file does not meet get the whole
/// file, as the standard allows.
pub(super) fn requested_range(headers: &HeaderMap, size_bytes: u64, etag: &ETag) -> RequestedRange {
    let mut ranges = headers.get_all(header::RANGE).iter();
    let (Some(range), None) = (ranges.next(), ranges.next()) else {
        return RequestedRange::Whole;
    };
    let spec = range.to_str().ok().and_then(|r| r.strip_prefix("bytes="));
    match spec.and_then(|spec| spec.split_once('-')) {
        Some((first, last)) if allows_range(headers, etag) => {
            parse(first.trim(), last.trim(), size_bytes)
        }
        _ => RequestedRange::Whole,
    }
}

fn parse(first: &str, last: &str, size_bytes: u64) -> RequestedRange {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    let end = size_bytes.saturating_sub(1);
    match (number(first), number(last)) {
        (Some(first), Some(last)) if last < first => RequestedRange::Whole,
        (Some(first), _) if first >= size_bytes => {
            match last.is_empty() || number(last).is_some() {
                true => RequestedRange::Unsatisfiable,
                false => RequestedRange::Whole,
            }
        }
        (Some(first), Some(last)) => RequestedRange::Bytes {
            first,
            last: last.min(end),
        },
        (Some(first), None) if last.is_empty() => RequestedRange::Bytes { first, last: end },
        (None, Some(0)) if first.is_empty() => RequestedRange::Unsatisfiable,
        (None, Some(_)) if first.is_empty() && size_bytes == 0 => RequestedRange::Unsatisfiable,
        (None, Some(count)) if first.is_empty() => RequestedRange::Bytes {
            first: size_bytes.saturating_sub(count),
            last: end,
        },
        _ => RequestedRange::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn requested(
        range: &'static str,
        condition: Option<&'static str>,
        size_bytes: u64,
    ) -> RequestedRange {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_static(range));
        if let Some(condition) = condition {
            headers.insert(header::IF_RANGE, HeaderValue::from_static(condition));
        }
        requested_range(&headers, size_bytes, &"\"v1\"".parse().unwrap())
    }

    #[test]
    fn a_range_is_limited_to_the_bytes_of_the_file() {
        let bytes = |first, last| RequestedRange::Bytes { first, last };
        for (range, expected) in [
            ("bytes=0-0", bytes(0, 0)),
            ("bytes=2-", bytes(2, 9)),
            ("bytes=2-5", bytes(2, 5)),
            ("bytes=2-99999999999999999999", bytes(2, 9)),
            ("bytes=-3", bytes(7, 9)),
            ("bytes=-30", bytes(0, 9)),
            ("bytes=10-", RequestedRange::Unsatisfiable),
            ("bytes=10-12", RequestedRange::Unsatisfiable),
            ("bytes=-0", RequestedRange::Unsatisfiable),
            ("bytes=5-2", RequestedRange::Whole),
            ("bytes=-", RequestedRange::Whole),
            ("bytes=a-", RequestedRange::Whole),
            ("bytes=0-1,4-5", RequestedRange::Whole),
            ("lines=0-1", RequestedRange::Whole),
        ] {
            assert_eq!(requested(range, None, 10), expected, "{range}");
        }
        assert_eq!(
            requested("bytes=0-", None, 0),
            RequestedRange::Unsatisfiable
        );
        assert_eq!(
            requested("bytes=-1", None, 0),
            RequestedRange::Unsatisfiable
        );
    }

    #[test]
    fn a_file_that_has_changed_is_sent_whole() {
        assert_ne!(
            requested("bytes=2-", Some("\"v1\""), 10),
            RequestedRange::Whole
        );
        for other in ["\"v2\"", "W/\"v1\"", "Wed, 21 Oct 2026 07:28:00 GMT"] {
            assert_eq!(
                requested("bytes=2-", Some(other), 10),
                RequestedRange::Whole,
                "{other}"
            );
        }
    }
}
