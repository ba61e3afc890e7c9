//! Every route, and what is done with each request before and after its handler.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Method, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use docks_proto::routes;
use futures_util::FutureExt;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;

use super::error::{ApiError, MirrorReplaced};
use super::request_checks::{self, Refusal};
use super::{
    Service, all_trials, compare, daemon, events, failures, files, forget, history, rerun, run,
    score, tasks, trial,
};

/// The routes as hyper calls them.
pub type Routes = TowerToHyperService<Router>;

/// Returns every route of the socket.
pub fn socket_routes(service: Arc<Service>) -> Routes {
    let router = tenant_routes()
        .route(routes::PING, get(daemon::ping))
        .route(routes::STATUS, get(daemon::status))
        .route(routes::EVENTS, get(events::stream))
        .route(routes::HISTORY, get(history::history))
        .route(routes::CHANGES, get(history::changes))
        .route(routes::COMPARE, get(compare::compare))
        .route(routes::SAVED_RUN, get(compare::saved_run))
        .route(routes::FAILURES, get(failures::failures))
        .route(routes::RERUN, get(rerun::rerun))
        .route(routes::SCORE, get(score::score))
        .route(routes::TASKS, get(tasks::list))
        .route(routes::TASK_HISTORY, get(tasks::history))
        .route(routes::SYNC, post(daemon::sync))
        .route(routes::FORGET, post(forget::forget))
        .route(routes::SHUTDOWN, post(daemon::shutdown));
    with_fallbacks(router, service)
}

/// Returns the routes of the Docks API, which a hub serves to other machines, too.
pub fn docks_api_routes(service: Arc<Service>) -> Routes {
    with_fallbacks(tenant_routes(), service)
}

fn tenant_routes() -> Router<Arc<Service>> {
    Router::new()
        .route("/tenants/{tenant}/runs", get(run::list))
        .route("/tenants/{tenant}/runs/{id}", get(run::get))
        .route("/tenants/{tenant}/runs/{id}/stop", post(run::stop))
        .route("/tenants/{tenant}/harbor/runs", get(run::list_evaluations))
        .route("/tenants/{tenant}/harbor/trials", get(all_trials::list))
        .route(
            "/tenants/{tenant}/harbor/runs/{id}",
            get(run::get_evaluation),
        )
        .route("/tenants/{tenant}/harbor/runs/{id}/start", post(run::start))
        .route(
            "/tenants/{tenant}/harbor/runs/{id}/cancel",
            post(run::cancel),
        )
        .route("/tenants/{tenant}/harbor/runs/{id}/pause", post(run::pause))
        .route(
            "/tenants/{tenant}/harbor/runs/{id}/resume",
            post(run::resume),
        )
        .route("/tenants/{tenant}/harbor/runs/{id}/retry", post(run::retry))
        .route(
            "/tenants/{tenant}/harbor/runs/{id}/trials",
            get(trial::list),
        )
        .route(
            "/tenants/{tenant}/harbor/runs/{id}/trials/{trial}",
            get(trial::get),
        )
        .route(
            "/tenants/{tenant}/harbor/runs/{id}/trials/{trial}/retry",
            post(trial::retry),
        )
        .route(
            "/tenants/{tenant}/harbor/runs/{id}/files",
            get(files::of_run),
        )
        .route(
            "/tenants/{tenant}/harbor/runs/{id}/trials/{trial}/files",
            get(files::of_trial),
        )
}

fn with_fallbacks(router: Router<Arc<Service>>, service: Arc<Service>) -> Routes {
    let router = router
        .fallback(|| async { ApiError::NoRoute })
        .method_not_allowed_fallback(|| async { ApiError::MethodNotAllowed })
        .with_state(service);
    TowerToHyperService::new(router)
}

/// Responds to a request of the daemon's own user, or refuses it before any handler runs.
pub async fn respond(service: &Service, routes: &Routes, request: Request<Body>) -> Response {
    service.record_request();
    let checked = request_checks::check(request.method(), request.uri(), request.headers());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = match checked {
        Err(refusal) => ApiError::Refused(refusal).into_response(),
        Ok(()) => handle(service, routes, request).await,
    };
    add_version_headers(&mut response);
    let identity = service.identity.iter();
    let identity = identity.map(|(name, value)| (name.clone(), value.clone()));
    response.headers_mut().extend(identity);
    tracing::debug!(%method, path, status = response.status().as_u16(), "answered");
    response
}

/// Calls the handler of a checked request; a read whose mirror turns out to be damaged is answered from the one that replaces it.
pub(crate) async fn handle(service: &Service, routes: &Routes, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    // A read has no body, so that it can be handled twice.
    let again = (parts.method == Method::GET).then(|| parts.clone());
    let response = call(routes, Request::from_parts(parts, body)).await;
    match again {
        Some(parts) if response.extensions().get::<MirrorReplaced>().is_some() => {
            service.registry.wait_until_rebuilt().await;
            call(routes, Request::from_parts(parts, Body::empty())).await
        }
        _ => response,
    }
}

async fn call(routes: &Routes, request: Request<Body>) -> Response {
    match AssertUnwindSafe(routes.call(request)).catch_unwind().await {
        Ok(Ok(response)) => response,
        Err(_) => ApiError::Panicked.into_response(),
    }
}

/// Refuses a client that is another user, whatever it requests.
#[must_use]
pub fn refuse_other_user() -> Response {
    let mut response = ApiError::Refused(Refusal::other_user()).into_response();
    add_version_headers(&mut response);
    response
}

/// Adds the headers that every response has: protocol and release of the daemon.
pub(crate) fn add_version_headers(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(routes::PROTOCOL, HeaderValue::from(docks_proto::PROTOCOL));
    headers.insert(
        routes::VERSION,
        HeaderValue::from_static(docks_proto::VERSION),
    );
}
