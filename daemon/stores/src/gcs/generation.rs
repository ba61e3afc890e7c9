//! Versions for stores that speak Google's protocol but send no entity tags, such as emulators: the
//! object's generation, from the JSON API.
//!
//! A generation is never reused and its content never changes. If it is the same before and after
//! a response began, the response has that generation, so a download can resume from it.

use async_trait::async_trait;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
};
use object_store::{ClientOptions, Result};
use reqwest::header::{ETAG, HeaderValue, IF_NONE_MATCH};
use reqwest::{Method, StatusCode};

use crate::connector::{Connector, add_required_headers};

/// The client of a store that is not Google's own.
#[derive(Debug, Clone)]
pub(super) struct GenerationClient {
    /// Sends the requests.
    pub(super) connector: Connector,
    /// Address of the store, without a trailing slash.
    pub(super) endpoint: String,
}

impl HttpConnector for GenerationClient {
    fn connect(&self, _: &ClientOptions) -> Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for GenerationClient {
    async fn call(&self, request: HttpRequest) -> std::result::Result<HttpResponse, HttpError> {
        let metadata_url = metadata_url(&self.endpoint, &request.uri().to_string());
        let metadata_url = metadata_url.filter(|_| request.method() == Method::GET);
        let before = self.generation(metadata_url.as_deref()).await;
        let known = request
            .headers()
            .get(IF_NONE_MATCH)
            .map(HeaderValue::as_bytes);
        if known.is_some() && known == before.as_deref().map(str::as_bytes) {
            // The store does not know these tags itself.
            let mut same = HttpResponse::new(HttpResponseBody::from(Vec::new()));
            *same.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok(same);
        }
        let mut response = self.connector.send(request).await?;
        if !response.status().is_success() {
            return Ok(response);
        }
        if !response.headers().contains_key(ETAG)
            && before.is_some()
            && before == self.generation(metadata_url.as_deref()).await
            && let Some(tag) = before.and_then(|tag| HeaderValue::from_str(&tag).ok())
        {
            response.headers_mut().insert(ETAG, tag);
        }
        add_required_headers(response.headers_mut());
        Ok(response)
    }
}

impl GenerationClient {
    /// Returns a tag for the current generation of an object; `None` if the store reports none.
    async fn generation(&self, metadata_url: Option<&str>) -> Option<String> {
        let response = self.connector.0.get(metadata_url?).send().await.ok()?;
        let text = response.error_for_status().ok()?.text().await.ok()?;
        let object: serde_json::Value = serde_json::from_str(&text).ok()?;
        let generation = object.get("generation")?;
        let number = match generation.as_str() {
            Some(text) => text.parse().ok()?,
            None => generation.as_u64()?,
        };
        Some(format!("\"generation-{number}\""))
    }
}

/// Returns the address of an object's metadata.
fn metadata_url(endpoint: &str, address: &str) -> Option<String> {
    let rest = address.strip_prefix(endpoint)?.strip_prefix('/')?;
    let path = rest.split('?').next().unwrap_or(rest);
    let (bucket, object) = path
        .split_once('/')
        .filter(|(_, object)| !object.is_empty())?;
    let object = object.replace('/', "%2F");
    Some(format!(
        "{endpoint}/storage/v1/b/{bucket}/o/{object}?fields=generation"
    ))
}

#[cfg(test)]
mod tests {
    use super::metadata_url;

    #[test]
    fn the_metadata_url_has_the_object_in_one_segment() {
        let url = |address| metadata_url("http://127.0.0.1:9/x", address);
        assert_eq!(
            url("http://127.0.0.1:9/x/bucket/a/b%20c.log?versionId=1").as_deref(),
            Some("http://127.0.0.1:9/x/storage/v1/b/bucket/o/a%2Fb%20c.log?fields=generation")
        );
        assert_eq!(url("http://127.0.0.1:9/x/bucket"), None);
        assert_eq!(url("http://127.0.0.1:9/x/bucket/"), None);
        assert_eq!(url("http://elsewhere/bucket/a"), None);
    }
}
