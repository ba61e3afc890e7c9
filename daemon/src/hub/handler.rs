//! Responds to one request: refuses it, or answers as the daemon would, in a form for other machines.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use docks_proto::error::ErrorCode;
use docks_proto::routes;
use docksd_response_cache::ResponseCache;
use futures_util::FutureExt;
use headers::HeaderMapExt;
use http_body_util::BodyExt;

use super::artifact::{self, ArtifactPath};
use super::artifact_urls::ArtifactUrls;
use super::encoded_response::{self, EncodedResponse};
use super::error_response::{coded_error, full, unauthorized};
use super::failed_tokens::FailedTokens;
use super::listener::Hub;
use super::local_api::LocalApi;
use super::places::Place;
use super::preconditions::{accepts_gzip, is_not_modified};
use super::python_client;
use super::request_checks;
use super::share::Share;
use super::token_auth::{self, Grant, TokenVerifier};
use crate::api::Service;
use crate::api::actor::Actor;
use crate::api::error::ApiError;
use crate::api::router::add_version_headers;

/// The name of this machine under which a hub without a token may be addressed.
const OWN_NAME: &str = "localhost";

/// Responds to the requests of a hub.
pub(super) struct HubHandler {
    hub: Arc<Hub>,
    service: Arc<Service>,
    api: LocalApi,
    cache: ResponseCache<EncodedResponse>,
    failed_tokens: FailedTokens,
    /// Names by which a hub without a token may be addressed; `None` if it requires a token.
    allowed_hosts: Option<Vec<String>>,
}

impl HubHandler {
    /// Puts a hub in front of the daemon's handlers.
    pub(super) fn new(hub: Arc<Hub>, service: Arc<Service>) -> Self {
        let proxy = hub.settings.url.as_deref().and_then(|url| {
            let uri: Uri = url.parse().ok()?;
            uri.host().map(str::to_owned)
        });
        let own = [OWN_NAME.to_owned()].into_iter().chain(proxy).collect();
        Self {
            api: LocalApi::new(Arc::clone(&service)),
            cache: ResponseCache::new(encoded_response::LIMITS),
            failed_tokens: FailedTokens::default(),
            allowed_hosts: hub.verifier.is_none().then_some(own),
            hub,
            service,
        }
    }

    /// Returns the hub.
    pub(super) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Responds to one request. Its path is not read before the token is verified.
    pub(super) async fn respond(&self, request: Request<Body>, place: &Place) -> Response {
        let (method, uri, headers) = (request.method(), request.uri(), request.headers());
        let allowed_hosts = self.allowed_hosts.as_deref();
        let host = match request_checks::check(method, uri, headers, allowed_hosts) {
            Ok(host) => host,
            Err(refusal) => return ApiError::Refused(refusal).into_response(),
        };
        let mut grant = None;
        if let Some(verifier) = &self.hub.verifier {
            place.begin_verifying();
            match verified(verifier, headers).await {
                Some(shown) => grant = Some(shown),
                None => {
                    place.end_verifying();
                    let showed_token = headers.contains_key(header::AUTHORIZATION);
                    let delay = self.failed_tokens.record(place.address(), showed_token);
                    if !delay.is_zero() {
                        tokio::time::sleep(delay).await;
                    }
                    return unauthorized();
                }
            }
        }
        if !place.authenticate() {
            return full();
        }
        self.service.record_request();
        let counters = &self.hub.counters;
        counters.requests.fetch_add(1, Ordering::Relaxed);
        let (method, path) = (method.clone(), uri.path().to_owned());
        let responding = self.respond_authenticated(request, &host, grant.as_ref());
        let mut response = AssertUnwindSafe(responding)
            .catch_unwind()
            .await
            .unwrap_or_else(|_| ApiError::Panicked.into_response());
        if response.status() == StatusCode::NOT_MODIFIED {
            counters.not_modified.fetch_add(1, Ordering::Relaxed);
        }
        add_version_headers(&mut response);
        tracing::debug!(%method, path, status = response.status().as_u16(), "answered over TCP");
        response
    }

    async fn respond_authenticated(
        &self,
        request: Request<Body>,
        host: &Authority,
        grant: Option<&Grant>,
    ) -> Response {
        let (parts, _) = request.into_parts();
        let share = match self.share(parts.uri.path()) {
            Ok(share) => share,
            Err(refused) => return *refused,
        };
        let base = match &self.hub.settings.url {
            Some(url) => url.clone(),
            None => format!("{}://{host}", self.hub.scheme()),
        };
        let is_read = matches!(parts.method, Method::GET | Method::HEAD);
        if !is_read && let Some(refused) = refuse_change(share, grant) {
            return refused;
        }
        let share = match share.open(&self.service).await {
            Ok(share) => share,
            Err(error) => return error.into_response(),
        };
        if !is_read {
            let for_python = python_client::is_python_client(&parts.headers);
            let (actor, method) = (actor(grant), parts.method);
            let called = self
                .api
                .act(&share, actor, method, &parts.uri, &parts.headers);
            return with_artifact_urls(&share.urls, called.await, &base, for_python).await;
        }
        let mut response = match ArtifactPath::parse(parts.uri.path()) {
            Some(path) => artifact::respond(&self.api, &share, path, &parts.headers).await,
            None => {
                let (uri, headers) = (&parts.uri, &parts.headers);
                let called = self.api.call(&share, Method::GET, uri, headers).await;
                self.encoded(&share.urls, called, uri, &base, headers).await
            }
        };
        if parts.method == Method::HEAD {
            *response.body_mut() = Body::empty();
        }
        response
    }

    /// Returns what a path is about. Paths below another tenant than the hub's are refused.
    fn share(&self, path: &str) -> Result<&Share, Box<Response>> {
        let shares = &self.hub.shares;
        if let Some(share) = shares.iter().find(|share| share.has(path)) {
            return Ok(share);
        }
        let below = path.strip_prefix("/tenants/").unwrap_or_default();
        if below.split('/').next().unwrap_or_default().is_empty() {
            return Err(Box::new(ApiError::NoRoute.into_response()));
        }
        let (message, hint) = match &shares[..] {
            [only] => {
                let tenant = only.tenant();
                (
                    format!("This hub has one tenant, `{tenant}`."),
                    format!("Set `tenant_id` to `{tenant}`."),
                )
            }
            several => {
                let tenants: Vec<String> = several
                    .iter()
                    .map(|share| format!("`{}`", share.tenant()))
                    .collect();
                (
                    format!("This hub has the tenants {}.", tenants.join(", ")),
                    "Set `tenant_id` to one of them.".to_owned(),
                )
            }
        };
        let code = ErrorCode::Forbidden;
        let refused = coded_error(StatusCode::FORBIDDEN, code, &message, &hint);
        Err(Box::new(refused))
    }

    /// Rewrites the URLs in a good response, adds its validator and compresses it, or responds that the
    /// client already has it.
    async fn encoded(
        &self,
        urls: &ArtifactUrls,
        response: Response,
        uri: &Uri,
        base: &str,
        headers: &HeaderMap,
    ) -> Response {
        if response.status() != StatusCode::OK {
            return response;
        }
        let (mut parts, body) = response.into_parts();
        let source = match collect(body).await {
            Ok(source) => source,
            Err(failed) => return failed,
        };
        let path = uri.path_and_query().map_or("/", |both| both.as_str());
        // Both change the validator: a page may stay the same while the list gets shorter.
        let total = parts.headers.get(routes::TOTAL);
        let total = total.and_then(|total| total.to_str().ok());
        let total = total.unwrap_or_default().to_owned();
        let for_python = python_client::is_python_client(headers);
        let key = format!("{base} {path} {total} {for_python}");
        let encoded = match self.cache.get(&key, &source) {
            Some(encoded) => encoded,
            None => {
                let body = rewrite(urls, &source, base, for_python);
                let encoded = Arc::new(EncodedResponse::new(source, body, &total));
                self.cache.insert(&key, &encoded);
                encoded
            }
        };
        parts.headers.typed_insert(encoded.etag.clone());
        let vary = HeaderValue::from_static("accept-encoding, content-type, user-agent");
        parts.headers.insert(header::VARY, vary);
        if is_not_modified(headers, &encoded.etag) {
            parts.status = StatusCode::NOT_MODIFIED;
            parts.headers.remove(header::CONTENT_TYPE);
            return Response::from_parts(parts, Body::empty());
        }
        if accepts_gzip(headers)
            && let Some(gzip) = encoded.gzip().await
        {
            let coding = HeaderValue::from_static("gzip");
            parts.headers.insert(header::CONTENT_ENCODING, coding);
            return Response::from_parts(parts, gzip.into());
        }
        Response::from_parts(parts, encoded.body.clone().into())
    }
}

/// Returns what the token of a request permits, if it is valid.
async fn verified(verifier: &Arc<TokenVerifier>, headers: &HeaderMap) -> Option<Grant> {
    let shown = token_auth::shown_token(headers)?;
    let verifier = Arc::clone(verifier);
    // The files of the tokens are looked at each time.
    let verifying = tokio::task::spawn_blocking(move || verifier.verify(&shown));
    verifying.await.ok().flatten()
}

/// Returns who carries something out, for the log and the history.
fn actor(grant: Option<&Grant>) -> Actor {
    Actor(match grant {
        Some(Grant {
            name: Some(name), ..
        }) => Arc::clone(name),
        Some(_) => "the shared token".into(),
        None => "no token".into(),
    })
}

/// Refuses to change anything, if the share or the token is read-only.
fn refuse_change(share: &Share, grant: Option<&Grant>) -> Option<Response> {
    let message = if share.read_only {
        "This hub is read-only.".to_owned()
    } else {
        let grant = grant.filter(|grant| grant.read_only)?;
        let name = grant.name.as_deref().unwrap_or_default();
        format!("The token `{name}` is read-only.")
    };
    let hint = "Ask the owner of the hub to stop the run.";
    let code = ErrorCode::Forbidden;
    Some(coded_error(StatusCode::FORBIDDEN, code, &message, hint))
}

/// Rewrites the URLs in a response that is not cached.
async fn with_artifact_urls(
    urls: &ArtifactUrls,
    response: Response,
    base: &str,
    for_python: bool,
) -> Response {
    if response.status() != StatusCode::OK {
        return response;
    }
    let (parts, body) = response.into_parts();
    match collect(body).await {
        Ok(body) => Response::from_parts(parts, rewrite(urls, &body, base, for_python).into()),
        Err(failed) => failed,
    }
}

fn rewrite(urls: &ArtifactUrls, body: &Bytes, base: &str, for_python: bool) -> Bytes {
    let body = urls.rewrite(body, base);
    match for_python {
        true => python_client::rewrite(&body),
        false => body,
    }
}

/// Collects the body of one of the daemon's own responses, whose bytes are in memory already.
async fn collect(body: Body) -> Result<Bytes, Response> {
    let collected = body.collect().await;
    collected
        .map(|collected| collected.to_bytes())
        .map_err(|_| ApiError::Panicked.into_response())
}
