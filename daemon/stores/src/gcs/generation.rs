//! Versions of objects at a store that speaks Google's protocol and names none in its downloads,
//! as emulators do: what its JSON interface calls the object's generation.
//!
//! A generation is never used twice and its content never changes. One that is the same before
//! and after an answer began is that of the answer, so a download may go on by it.

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
pub(super) struct ByGeneration {
    /// What sends requests.
    pub(super) connector: Connector,
    /// Where the store is, without a slash at its end.
    pub(super) endpoint: String,
}

impl HttpConnector for ByGeneration {
    fn connect(&self, _: &ClientOptions) -> Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for ByGeneration {
    async fn call(&self, request: HttpRequest) -> std::result::Result<HttpResponse, HttpError> {
        let about = about(&self.endpoint, &request.uri().to_string());
        let about = about.filter(|_| request.method() == Method::GET);
        let before = self.generation(about.as_deref()).await;
        let known = request
            .headers()
            .get(IF_NONE_MATCH)
            .map(HeaderValue::as_bytes);
        if known.is_some() && known == before.as_deref().map(str::as_bytes) {
            // Such a store does not know its own tags.
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
            && before == self.generation(about.as_deref()).await
            && let Some(tag) = before.and_then(|tag| HeaderValue::from_str(&tag).ok())
        {
            response.headers_mut().insert(ETAG, tag);
        }
        add_required_headers(response.headers_mut());
        Ok(response)
    }
}

impl ByGeneration {
    /// Returns a tag made of the generation that an object has now; none where nobody says it.
    async fn generation(&self, about: Option<&str>) -> Option<String> {
        let answer = self.connector.0.get(about?).send().await.ok()?;
        let text = answer.error_for_status().ok()?.text().await.ok()?;
        let object: serde_json::Value = serde_json::from_str(&text).ok()?;
        let generation = object.get("generation")?;
        let number = match generation.as_str() {
            Some(text) => text.parse().ok()?,
            None => generation.as_u64()?,
        };
        Some(format!("\"generation-{number}\""))
    }
}

/// Returns where the store tells about the object at an address of its own.
fn about(endpoint: &str, address: &str) -> Option<String> {
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
    use super::about;

    #[test]
    fn the_question_about_an_object_names_it_in_one_segment() {
        let about = |address| about("http://127.0.0.1:9/x", address);
        assert_eq!(
            about("http://127.0.0.1:9/x/bucket/a/b%20c.log?versionId=1").as_deref(),
            Some("http://127.0.0.1:9/x/storage/v1/b/bucket/o/a%2Fb%20c.log?fields=generation")
        );
        assert_eq!(about("http://127.0.0.1:9/x/bucket"), None);
        assert_eq!(about("http://127.0.0.1:9/x/bucket/"), None);
        assert_eq!(about("http://elsewhere/bucket/a"), None);
    }
}
