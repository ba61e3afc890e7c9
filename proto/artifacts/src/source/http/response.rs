//! What a response contains: a whole object, or the rest of one.

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderMap};

use super::error::{HttpError, is_transient_status};
use crate::source::error::SourceError;
use crate::source::open::Opened;
use crate::version::{ResumePoint, Version};

/// Longest response without a length, in bytes. A compressed response never states its length, and
/// a few megabytes on the wire must not fill a disk.
const MAX_BYTES_WITHOUT_LENGTH: u64 = 8 << 30;

/// Reads the response to a resumed request; `None` if the download must start over.
pub(super) fn resumed_response(
    response: reqwest::Response,
    at: &ResumePoint,
    host: &str,
) -> Result<Option<Opened>, HttpError> {
    match response.status() {
        StatusCode::PARTIAL_CONTENT => {}
        // The whole object, of any version, saves a second request.
        StatusCode::OK => return Ok(Some(whole_response(response, host.to_owned()))),
        StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PRECONDITION_FAILED => return Ok(None),
        status if is_transient_status(status.as_u16()) => {
            return Err(HttpError::Status {
                host: host.to_owned(),
                status: status.as_u16(),
                what: "",
            });
        }
        _ => return Ok(None),
    }
    let Some((begins_at, size_bytes)) = content_range(response.headers()) else {
        return Ok(None);
    };
    // Not every server honours `If-Range`, so the response is checked.
    let same = version(response.headers()).as_ref() == Some(&at.version)
        && begins_at == at.offset_bytes
        && at.size_bytes.is_none_or(|size| size == size_bytes);
    Ok(same.then(|| Opened {
        size_bytes: Some(size_bytes),
        begins_at,
        version: Some(at.version.clone()),
        body: body(response, Some(size_bytes - begins_at), host.to_owned()),
    }))
}

pub(super) fn whole_response(response: reqwest::Response, host: String) -> Opened {
    let size_bytes = response.content_length();
    Opened {
        size_bytes,
        begins_at: 0,
        version: version(response.headers()),
        body: body(response, size_bytes, host),
    }
}

pub(super) fn version(headers: &HeaderMap) -> Option<Version> {
    Version::from_strong_tag(headers.get(ETAG)?.to_str().ok()?)
}

/// Parses `bytes FIRST-LAST/SIZE` into first and size, if the range reaches the end.
pub(super) fn content_range(headers: &HeaderMap) -> Option<(u64, u64)> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, size) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, size): (u64, u64, u64) =
        (first.parse().ok()?, last.parse().ok()?, size.parse().ok()?);
    (first <= last && last.checked_add(1) == Some(size)).then_some((first, size))
}

pub(super) fn body(
    response: reqwest::Response,
    size_bytes: Option<u64>,
    host: String,
) -> BoxStream<'static, Result<Bytes, SourceError>> {
    let mut seen = 0_u64;
    let body = response.bytes_stream().map(move |chunk| {
        let chunk = chunk.map_err(|source| HttpError::Broken {
            host: host.clone(),
            source: source.without_url(),
        })?;
        seen += chunk.len() as u64;
        if size_bytes.is_none() && seen > MAX_BYTES_WITHOUT_LENGTH {
            return Err(HttpError::Endless {
                host: host.clone(),
                limit_bytes: MAX_BYTES_WITHOUT_LENGTH,
            });
        }
        Ok(chunk)
    });
    body.map(|chunk| chunk.map_err(SourceError::from)).boxed()
}
