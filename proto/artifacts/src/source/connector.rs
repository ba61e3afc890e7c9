//! The HTTP client that `object_store` uses here.

use async_trait::async_trait;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService,
};
use object_store::{ClientOptions, Result};
use reqwest::header::{ETAG, HeaderMap, HeaderValue, LAST_MODIFIED};

/// Gives `object_store` the client that this program uses for downloads.
#[derive(Debug, Clone)]
pub(super) struct Connector(pub(super) reqwest::Client);

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Connector {
    async fn call(&self, request: HttpRequest) -> std::result::Result<HttpResponse, HttpError> {
        let mut response = self.0.call(request).await?;
        if response.status().is_success() {
            name_something(response.headers_mut());
        }
        Ok(response)
    }
}

/// Adds what `object_store` insists on and emulators leave out.
///
/// The tag is weak and new each time: it proves nothing, so nothing is resumed on it, neither
/// here nor inside `object_store`, which compares tags.
pub(super) fn name_something(headers: &mut HeaderMap) {
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
