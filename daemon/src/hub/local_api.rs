//! The daemon's own Docks API routes, bound to what the hub shares.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, Uri, header};
use axum::response::{IntoResponse, Response};
use docks_artifacts::source::Sources;

use super::share::OpenShare;
use crate::api::Service;
use crate::api::actor::Actor;
use crate::api::error::ApiError;
use crate::api::router::{Routes, docks_api_routes, handle};
use crate::registry::MirroredRemote;

/// Calls the daemon's handlers for what a hub shares.
pub(super) struct LocalApi {
    service: Arc<Service>,
    routes: Routes,
}

impl LocalApi {
    /// Binds the routes.
    pub(super) fn new(service: Arc<Service>) -> Self {
        Self {
            routes: docks_api_routes(Arc::clone(&service)),
            service,
        }
    }

    /// Calls a handler for a client that carries something out.
    pub(super) async fn act(
        &self,
        share: &OpenShare,
        actor: Actor,
        method: Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Response {
        let Some(mut request) = request(share, method, uri, headers) else {
            return ApiError::NoRoute.into_response();
        };
        request.extensions_mut().insert(actor);
        self.send(request).await
    }

    /// Calls a handler for a client that reads.
    pub(super) async fn call(
        &self,
        share: &OpenShare,
        method: Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Response {
        match request(share, method, uri, headers) {
            Some(request) => self.send(request).await,
            None => ApiError::NoRoute.into_response(),
        }
    }

    async fn send(&self, request: Request<Body>) -> Response {
        let mut response = handle(&self.service, &self.routes, request).await;
        // The body may still be replaced by one of another length.
        response.headers_mut().remove(header::CONTENT_LENGTH);
        response
    }

    /// Returns where the artifacts of a mirrored remote are read, with the credentials of its profile.
    pub(super) fn artifact_sources(&self, remote: &MirroredRemote) -> Sources {
        let variables = &self.service.config.prefetch.variables;
        self.service.registry.artifact_sources(remote, variables)
    }
}

/// Builds a request to a handler. Of the headers only `Cache-Control` is passed on, so no request can
/// select another remote.
fn request(
    share: &OpenShare,
    method: Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Option<Request<Body>> {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method;
    *request.uri_mut() = share.inner_uri(uri)?;
    let inner = request.headers_mut();
    let (name, value) = &share.selector;
    inner.insert(name.clone(), value.clone());
    for value in headers.get_all(header::CACHE_CONTROL) {
        inner.append(header::CACHE_CONTROL, value.clone());
    }
    Some(request)
}
