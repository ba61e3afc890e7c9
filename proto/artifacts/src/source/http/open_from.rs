//! Requests a growing file from an offset on.

use reqwest::StatusCode;
use reqwest::header::{IF_NONE_MATCH, RANGE};

use super::HttpSource;
use super::response::{body, content_range, version, whole_response};
use crate::source::error::SourceError;
use crate::source::open::{OpenRequest, OpenResponse, Opened};
use crate::version::Version;

impl HttpSource {
    /// Requests the content from an offset on, or all of it if the server cannot send a part.
    pub(in crate::source) async fn open_from(
        &self,
        uri: &str,
        offset_bytes: u64,
        unless: Option<&Version>,
    ) -> Result<OpenResponse, SourceError> {
        let (url, host) = self.parse_allowed(uri)?;
        let range = format!("bytes={offset_bytes}-");
        let mut headers = Vec::new();
        // Without `If-Range`: the caller compares the overlapping bytes.
        headers.extend((offset_bytes > 0).then_some((RANGE, range.as_str())));
        headers.extend(unless.map(|version| (IF_NONE_MATCH, version.tag())));
        let response = self.send(&url, &host, &headers).await?;
        match response.status() {
            StatusCode::NOT_MODIFIED if unless.is_some() => return Ok(OpenResponse::Unchanged),
            StatusCode::PARTIAL_CONTENT => {
                if let Some((first, size_bytes)) = content_range(response.headers())
                    && first == offset_bytes
                {
                    return Ok(OpenResponse::Opened(Opened {
                        size_bytes: Some(size_bytes),
                        begins_at: first,
                        version: version(response.headers()),
                        body: body(response, Some(size_bytes - first), host),
                    }));
                }
            }
            StatusCode::RANGE_NOT_SATISFIABLE => {}
            status => {
                self.check_status(&url, status, &host)?;
                return Ok(OpenResponse::Opened(whole_response(response, host)));
            }
        }
        let request = OpenRequest {
            uri,
            resume: None,
            unless: None,
        };
        self.open(request).await
    }
}
