//! Passing a request for a file on to the server that has it, and its response back.

use bytes::Bytes;
use futures_util::stream::BoxStream;
use reqwest::StatusCode;
use reqwest::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, IF_NONE_MATCH, IF_RANGE,
    LAST_MODIFIED, RANGE,
};

use super::HttpSource;
use super::response::body;
use crate::source::error::SourceError;

/// What of a request decides which part of a file is sent.
const REQUEST_HEADERS: [reqwest::header::HeaderName; 3] = [RANGE, IF_RANGE, IF_NONE_MATCH];
/// What of a response describes the part that it contains.
const RESPONSE_HEADERS: [reqwest::header::HeaderName; 5] = [
    ACCEPT_RANGES,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    ETAG,
    LAST_MODIFIED,
];

/// The response of the server that has a file.
pub struct ForwardedResponse {
    /// 200, 206, 304 or 416.
    pub status: StatusCode,
    /// The headers that describe the content.
    pub headers: HeaderMap,
    /// The content; an error means that it broke off.
    pub body: BoxStream<'static, Result<Bytes, SourceError>>,
}

impl HttpSource {
    /// Requests an address with the conditions and the range of another request.
    ///
    /// # Errors
    ///
    /// When the address is refused, or the server refuses it or gives no answer.
    pub async fn forward(
        &self,
        uri: &str,
        conditions: &HeaderMap,
    ) -> Result<ForwardedResponse, SourceError> {
        let (url, host) = self.parse_allowed(uri)?;
        let headers: Vec<_> = REQUEST_HEADERS
            .into_iter()
            .flat_map(|name| {
                let values = conditions.get_all(&name).iter();
                let values: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
                values.into_iter().map(move |value| (name.clone(), value))
            })
            .collect();
        let response = self.send(&url, &host, &headers).await?;
        let status = response.status();
        let is_part = matches!(
            status,
            StatusCode::PARTIAL_CONTENT
                | StatusCode::NOT_MODIFIED
                | StatusCode::RANGE_NOT_SATISFIABLE
        );
        if !is_part {
            self.check_status(&url, status, &host)?;
        }
        let mut headers = HeaderMap::new();
        for name in RESPONSE_HEADERS {
            if let Some(value) = response.headers().get(&name) {
                headers.insert(name, value.clone());
            }
        }
        let length = response.content_length();
        Ok(ForwardedResponse {
            status,
            headers,
            body: body(response, length, host),
        })
    }
}
