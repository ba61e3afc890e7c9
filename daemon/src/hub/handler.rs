//! One request: refused, or answered as the daemon would, in a form for other machines.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use docks_proto::error::{ErrorBody, ErrorCode, ErrorDetail};
use docks_proto::path_encoding::encode_path;
use docks_proto::routes;
use docks_proto::settings::LOCAL_TENANT;
use docksd_response_cache::ResponseCache;
use futures_util::FutureExt;
use http_body_util::BodyExt;
use hyper::service::Service as _;
use percent_encoding::percent_decode_str;

use super::Hub;
use super::artifact_urls::Addresses;
use super::encoded_response::{self, EncodedResponse, is_known, takes_gzip};
use super::unauthenticated_slot::Proof;
use super::{artifact, request_checks};
use crate::api::error::ApiError;
use crate::api::{Routes, Service, shared_router, sign};

/// Names of this machine that a hub without a token answers to.
const OWN_NAME: &str = "localhost";

/// Answers whoever may ask.
pub(super) struct Answerer {
    hub: Arc<Hub>,
    service: Arc<Service>,
    routes: Routes,
    pub(super) addresses: Addresses,
    cache: ResponseCache<EncodedResponse>,
    /// The jobs directory as the daemon's own header wants it.
    jobs: HeaderValue,
    /// Hosts that are answered without a token; `None` where there is one.
    only: Option<Vec<String>>,
}

impl Answerer {
    /// Puts a hub before the daemon's handlers.
    pub(super) fn new(hub: Arc<Hub>, service: Arc<Service>) -> Self {
        let jobs = encode_path(&hub.jobs);
        let named = hub.settings.url.as_deref().and_then(|url| {
            let uri: Uri = url.parse().ok()?;
            uri.host().map(str::to_owned)
        });
        let only = [OWN_NAME.to_owned()].into_iter().chain(named).collect();
        Self {
            routes: shared_router(Arc::clone(&service)),
            addresses: Addresses::new(&hub.jobs),
            cache: ResponseCache::new(encoded_response::LIMITS),
            jobs: HeaderValue::from_str(&jobs).expect("it is percent-encoded"),
            only: hub.keeper.is_none().then_some(only),
            hub,
            service,
        }
    }

    /// Returns the hub.
    pub(super) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Answers one request; nothing looks at its path before the token is known to be good.
    pub(super) async fn answer(&self, request: Request<Body>, proof: &Proof) -> Response {
        let (method, uri, headers) = (request.method(), request.uri(), request.headers());
        let host = match request_checks::check(method, uri, headers, self.only.as_deref()) {
            Ok(host) => host,
            Err(refusal) => return ApiError::Refused(refusal).into_response(),
        };
        if let Some(keeper) = &self.hub.keeper
            && !keeper.admits(headers)
        {
            return unauthorized();
        }
        proof.show();
        self.service.note_request();
        let counts = &self.hub.counts;
        counts.requests.fetch_add(1, Ordering::Relaxed);
        let (method, path) = (method.clone(), uri.path().to_owned());
        let answering = self.admitted(request, &host);
        let mut response = AssertUnwindSafe(answering)
            .catch_unwind()
            .await
            .unwrap_or_else(|_| ApiError::Panicked.into_response());
        if response.status() == StatusCode::NOT_MODIFIED {
            counts.not_modified.fetch_add(1, Ordering::Relaxed);
        }
        sign(&mut response);
        tracing::debug!(%method, path, status = response.status().as_u16(), "answered over TCP");
        response
    }

    async fn admitted(&self, request: Request<Body>, host: &Authority) -> Response {
        let (parts, _) = request.into_parts();
        if let Some(refused) = foreign_tenant(parts.uri.path()) {
            return refused;
        }
        let base = match &self.hub.settings.url {
            Some(url) => url.clone(),
            None => format!("{}://{host}", self.hub.scheme()),
        };
        let reads = matches!(parts.method, Method::GET | Method::HEAD);
        if !reads && self.hub.settings.read_only {
            let why = "This hub is read-only.";
            let hint = "Ask whoever shares it to stop the run.";
            return coded(StatusCode::FORBIDDEN, ErrorCode::Forbidden, why, Some(hint));
        }
        if !reads {
            let response = self.ask(parts.method, &parts.uri, &parts.headers).await;
            return self.written(response, &base).await;
        }
        let mut response = match artifact::asked(parts.uri.path()) {
            Some(asked) => self.artifact(asked, &parts.headers).await,
            None => {
                let response = self.ask(Method::GET, &parts.uri, &parts.headers).await;
                self.shaped(response, &parts.uri, &base, &parts.headers)
                    .await
            }
        };
        if parts.method == Method::HEAD {
            *response.body_mut() = Body::empty();
        }
        response
    }

    /// Asks the daemon's own handlers about the shared directory, whatever else the request says.
    pub(super) async fn ask(&self, method: Method, uri: &Uri, headers: &HeaderMap) -> Response {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = uri.clone();
        let inner = request.headers_mut();
        inner.insert(routes::HARBOR_JOBS, self.jobs.clone());
        for value in headers.get_all(header::CACHE_CONTROL) {
            inner.append(header::CACHE_CONTROL, value.clone());
        }
        let Ok(mut response) = self.routes.call(request).await;
        // Its body may still get another length.
        response.headers_mut().remove(header::CONTENT_LENGTH);
        response
    }

    /// Writes addresses into an answer that is not kept.
    async fn written(&self, response: Response, base: &str) -> Response {
        if response.status() != StatusCode::OK {
            return response;
        }
        let (parts, body) = response.into_parts();
        match whole(body).await {
            Ok(body) => Response::from_parts(parts, self.addresses.write(&body, base).into()),
            Err(failed) => failed,
        }
    }

    /// Gives a good answer its addresses, validator and coding, or says that the client has it.
    async fn shaped(
        &self,
        response: Response,
        uri: &Uri,
        base: &str,
        headers: &HeaderMap,
    ) -> Response {
        if response.status() != StatusCode::OK {
            return response;
        }
        let (mut parts, body) = response.into_parts();
        let source = match whole(body).await {
            Ok(source) => source,
            Err(failed) => return failed,
        };
        let asked = uri.path_and_query().map_or("/", |both| both.as_str());
        let question = format!("{base} {asked}");
        let ready = match self.cache.get(&question, &source) {
            Some(ready) => ready,
            None => {
                let body = self.addresses.write(&source, base);
                let ready = Arc::new(EncodedResponse::new(source, body));
                self.cache.insert(&question, &ready);
                ready
            }
        };
        parts.headers.insert(header::ETAG, ready.tag.clone());
        let vary = HeaderValue::from_static("accept-encoding");
        parts.headers.insert(header::VARY, vary);
        if is_known(headers, &ready.tag) {
            parts.status = StatusCode::NOT_MODIFIED;
            parts.headers.remove(header::CONTENT_TYPE);
            return Response::from_parts(parts, Body::empty());
        }
        if takes_gzip(headers)
            && let Some(packed) = packed(&ready).await
        {
            let gzip = HeaderValue::from_static("gzip");
            parts.headers.insert(header::CONTENT_ENCODING, gzip);
            return Response::from_parts(parts, packed.into());
        }
        Response::from_parts(parts, ready.body.clone().into())
    }
}

/// Refuses paths below another tenant than ours. A jobs directory has none, but paths do; it is
/// one name only, so that one hub is one remote.
fn foreign_tenant(path: &str) -> Option<Response> {
    let below = path.strip_prefix("/tenants/").unwrap_or_default();
    let tenant = below.split('/').next().unwrap_or_default();
    if tenant.is_empty() {
        return Some(ApiError::NoRoute.into_response());
    }
    if percent_decode_str(tenant).eq(LOCAL_TENANT.bytes()) {
        return None;
    }
    let why = format!("This hub has one tenant, `{LOCAL_TENANT}`.");
    let hint = format!("Set `tenant_id` to `{LOCAL_TENANT}`.");
    let code = ErrorCode::Forbidden;
    Some(coded(StatusCode::FORBIDDEN, code, &why, Some(&hint)))
}

/// Compresses off the runtime's threads: a long list takes milliseconds.
async fn packed(ready: &Arc<EncodedResponse>) -> Option<Bytes> {
    if ready.is_packed() {
        return ready.packed();
    }
    let ready = Arc::clone(ready);
    let packing = tokio::task::spawn_blocking(move || ready.packed());
    packing.await.ok().flatten()
}

async fn whole(body: Body) -> Result<Bytes, Response> {
    // Our own handlers answer with bytes that are there already.
    let collected = body.collect().await;
    collected
        .map(|collected| collected.to_bytes())
        .map_err(|_| ApiError::Panicked.into_response())
}

/// Answers with a coded error in FastAPI's envelope.
pub(super) fn coded(
    status: StatusCode,
    code: ErrorCode,
    message: &str,
    hint: Option<&str>,
) -> Response {
    let mut detail = ErrorDetail::new(code, message);
    detail.hint = hint.map(str::to_owned);
    (status, axum::Json(ErrorBody { detail })).into_response()
}

fn unauthorized() -> Response {
    let why = "The token is missing or wrong.";
    let hint =
        "Whoever runs the hub sees it with `docks hub token`; sign in with `docks auth login`.";
    let code = ErrorCode::Unauthorized;
    let mut response = coded(StatusCode::UNAUTHORIZED, code, why, Some(hint));
    let bearer = HeaderValue::from_static("Bearer");
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, bearer);
    response
}
