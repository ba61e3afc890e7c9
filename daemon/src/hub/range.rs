//! One range of a file (RFC 9110 §14), so that a download that broke off can be resumed.

use axum::http::{HeaderMap, HeaderValue, header};

/// Which part of a file is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// From the first byte to the last one, both included.
    Bytes {
        /// First byte.
        first: u64,
        /// Last byte.
        last: u64,
    },
    /// Nothing that the file has.
    Beyond,
}

/// Reads which part of a file of `size_bytes` with validator `tag` is asked for.
///
/// Several ranges at once, other units, and a condition that the file does not meet get the
/// whole file, as the standard allows.
pub(super) fn part(headers: &HeaderMap, size_bytes: u64, tag: &HeaderValue) -> Part {
    let mut ranges = headers.get_all(header::RANGE).iter();
    let (Some(range), None) = (ranges.next(), ranges.next()) else {
        return Part::Whole;
    };
    // Dates are too coarse for files that are being written.
    let meets = headers
        .get(header::IF_RANGE)
        .is_none_or(|condition| condition == tag);
    let spec = range.to_str().ok().and_then(|r| r.strip_prefix("bytes="));
    match spec.and_then(|spec| spec.split_once('-')) {
        Some((first, last)) if meets => read(first.trim(), last.trim(), size_bytes),
        _ => Part::Whole,
    }
}

fn read(first: &str, last: &str, size_bytes: u64) -> Part {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    let end = size_bytes.saturating_sub(1);
    match (number(first), number(last)) {
        (Some(first), Some(last)) if last < first => Part::Whole,
        (Some(first), _) if first >= size_bytes => {
            match last.is_empty() || number(last).is_some() {
                true => Part::Beyond,
                false => Part::Whole,
            }
        }
        (Some(first), Some(last)) => Part::Bytes {
            first,
            last: last.min(end),
        },
        (Some(first), None) if last.is_empty() => Part::Bytes { first, last: end },
        (None, Some(0)) if first.is_empty() => Part::Beyond,
        (None, Some(_)) if first.is_empty() && size_bytes == 0 => Part::Beyond,
        (None, Some(count)) if first.is_empty() => Part::Bytes {
            first: size_bytes.saturating_sub(count),
            last: end,
        },
        _ => Part::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(range: &'static str, condition: Option<&'static str>, size_bytes: u64) -> Part {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_static(range));
        if let Some(condition) = condition {
            headers.insert(header::IF_RANGE, HeaderValue::from_static(condition));
        }
        part(&headers, size_bytes, &HeaderValue::from_static("\"v1\""))
    }

    #[test]
    fn a_range_is_what_the_file_has_of_it() {
        let bytes = |first, last| Part::Bytes { first, last };
        for (range, expected) in [
            ("bytes=0-0", bytes(0, 0)),
            ("bytes=2-", bytes(2, 9)),
            ("bytes=2-5", bytes(2, 5)),
            ("bytes=2-99999999999999999999", bytes(2, 9)),
            ("bytes=-3", bytes(7, 9)),
            ("bytes=-30", bytes(0, 9)),
            ("bytes=10-", Part::Beyond),
            ("bytes=10-12", Part::Beyond),
            ("bytes=-0", Part::Beyond),
            ("bytes=5-2", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=a-", Part::Whole),
            ("bytes=0-1,4-5", Part::Whole),
            ("lines=0-1", Part::Whole),
        ] {
            assert_eq!(asked(range, None, 10), expected, "{range}");
        }
        assert_eq!(asked("bytes=0-", None, 0), Part::Beyond);
        assert_eq!(asked("bytes=-1", None, 0), Part::Beyond);
    }

    #[test]
    fn a_file_that_changed_is_sent_whole() {
        assert_ne!(asked("bytes=2-", Some("\"v1\""), 10), Part::Whole);
        for other in ["\"v2\"", "W/\"v1\"", "Wed, 21 Oct 2026 07:28:00 GMT"] {
            assert_eq!(asked("bytes=2-", Some(other), 10), Part::Whole, "{other}");
        }
    }
}
