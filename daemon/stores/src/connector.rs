//! The HTTP client that `object_store` uses here.
//!
//! `object_store` has one of its own, but only together with HTTP/2, which no download here needs.

use async_trait::async_trait;
use http_body_util::BodyExt;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use object_store::{ClientOptions, Result};
use reqwest::header::{ETAG, HeaderMap, HeaderValue, LAST_MODIFIED};

/// Gives `object_store` the client that this program uses for downloads.
#[derive(Debug, Clone)]
pub(crate) struct Connector(pub(crate) reqwest::Client);

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Connector {
    async fn call(&self, request: HttpRequest) -> std::result::Result<HttpResponse, HttpError> {
        let mut response = self.send(request).await?;
        if response.status().is_success() {
            add_required_headers(response.headers_mut());
        }
        Ok(response)
    }
}

impl Connector {
    /// Sends a request as it is; its response may have any status.
    ///
    /// # Errors
    ///
    /// [`HttpError`] with the kind that decides whether `object_store` tries again.
    pub(crate) async fn send(
        &self,
        request: HttpRequest,
    ) -> std::result::Result<HttpResponse, HttpError> {
        let request = request.map(reqwest::Body::wrap);
        let request = reqwest::Request::try_from(request).map_err(http_error)?;
        let response = self.0.execute(request).await.map_err(http_error)?;
        let response: http::Response<reqwest::Body> = response.into();
        Ok(response.map(|body| HttpResponseBody::new(body.map_err(http_error))))
    }
}

/// Classifies a failure: an interrupted request is repeated, a body that cannot be decoded is not.
fn http_error(error: reqwest::Error) -> HttpError {
    let kind = if error.is_timeout() {
        HttpErrorKind::Timeout
    } else if error.is_connect() {
        HttpErrorKind::Connect
    } else if error.is_decode() {
        HttpErrorKind::Decode
    } else if error.is_request() || error.is_body() {
        HttpErrorKind::Interrupted
    } else {
        HttpErrorKind::Unknown
    };
    HttpError::new(kind, error)
}

/// Adds what `object_store` insists on and emulators leave out.
///
/// The tag is weak and new each time: it proves nothing, so nothing is resumed on it, neither
/// here nor inside `object_store`, which compares tags.
pub(crate) fn add_required_headers(headers: &mut HeaderMap) {
    if !headers.contains_key(ETAG) {
        let tag = format!("W/\"{:016x}\"", fastrand::u64(..));
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            headers.insert(ETAG, tag);
        }
    }
    if !headers.contains_key(LAST_MODIFIED) {
        let epoch = HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT");
        headers.insert(LAST_MODIFIED, epoch);
    }
}
