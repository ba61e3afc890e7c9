//! The daemon's own Docks API routes, bound to the shared jobs directory.

use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use axum::response::Response;
use docks_proto::path_encoding::encode_path;
use docks_proto::routes;

use crate::api::Service;
use crate::api::actor::Actor;
use crate::api::router::{Routes, docks_api_routes, handle};

/// Calls the daemon's handlers for one jobs directory.
pub(super) struct LocalApi {
    service: Arc<Service>,
    routes: Routes,
    /// The jobs directory as the daemon's own header gives it.
    jobs: HeaderValue,
}

impl LocalApi {
    /// Binds the routes to a jobs directory.
    pub(super) fn new(service: Arc<Service>, jobs: &Path) -> Self {
        let jobs = encode_path(jobs);
        Self {
            routes: docks_api_routes(Arc::clone(&service)),
            service,
            jobs: HeaderValue::from_str(&jobs).expect("it is percent-encoded"),
        }
    }

    /// Calls a handler for a client that carries something out.
    pub(super) async fn act(
        &self,
        actor: Actor,
        method: Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Response {
        let mut request = self.request(method, uri, headers);
        request.extensions_mut().insert(actor);
        self.send(request).await
    }

    /// Calls a handler for a client that reads.
    pub(super) async fn call(&self, method: Method, uri: &Uri, headers: &HeaderMap) -> Response {
        self.send(self.request(method, uri, headers)).await
    }

    /// Builds a request to a handler. Of the headers only `Cache-Control` is passed on, so no request
    /// can select another remote.
    fn request(&self, method: Method, uri: &Uri, headers: &HeaderMap) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = uri.clone();
        let inner = request.headers_mut();
        inner.insert(routes::HARBOR_JOBS, self.jobs.clone());
        for value in headers.get_all(header::CACHE_CONTROL) {
            inner.append(header::CACHE_CONTROL, value.clone());
        }
        request
    }

    async fn send(&self, request: Request<Body>) -> Response {
        let mut response = handle(&self.service, &self.routes, request).await;
        // The body may still be replaced by one of another length.
        response.headers_mut().remove(header::CONTENT_LENGTH);
        response
    }
}
