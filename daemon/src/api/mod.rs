//! What is answered on the socket.
//!
//! Handlers decode, call and encode. What to fetch and when is for
//! [`docksd_sync`]; what is stored, for [`docksd_mirror`].

mod all_trials;
mod daemon;
pub mod error;
mod events;
mod extract;
mod history;
pub mod request_checks;
mod resolve_id;
mod respond;
mod revalidate;
mod run;
pub mod serve;
mod status_seen;
mod trial;
mod wait_for_first_sweep;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use docks_proto::freshness::CachePolicy;
use docks_proto::routes;
use docks_proto::time::UnixMs;
use futures_util::FutureExt;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;

use self::error::ApiError;
use self::request_checks::Refusal;
use self::revalidate::Ask;
use crate::config::Config;
use crate::cron::Schedule;
use crate::registry::{MirroredRemote, Registry};
use crate::shutdown::ShutdownSignal;

/// What every handler can reach.
pub struct Service {
    /// The remotes.
    pub registry: Arc<Registry>,
    /// The cron jobs.
    pub schedule: Schedule,
    /// How we were told to behave.
    pub config: Config,
    /// What the hub counts, if there is one.
    pub hub: Option<Arc<crate::hub::Counts>>,
    /// The way to end.
    pub shutdown: ShutdownSignal,
    /// Places for those who watch.
    pub watching: Arc<tokio::sync::Semaphore>,
    /// Monotonic time at which we started.
    pub started: Duration,
    /// Monotonic time of the last request, in milliseconds.
    pub last_request_ms: AtomicU64,
}

impl Service {
    async fn source(
        &self,
        headers: &HeaderMap,
        tenant: Option<&str>,
    ) -> Result<Arc<MirroredRemote>, ApiError> {
        let pick = extract::pick(headers)?;
        Ok(self.registry.open(pick, tenant).await?)
    }

    fn ask(&self, headers: &HeaderMap) -> Ask {
        Ask {
            allowed: CachePolicy::from_headers(headers),
            began: self.wall(),
        }
    }

    fn wall(&self) -> UnixMs {
        self.registry.clock().wall()
    }

    fn monotonic(&self) -> Duration {
        self.registry.clock().monotonic()
    }

    /// Returns how long nobody has asked anything.
    #[must_use]
    pub fn idle(&self) -> Duration {
        let last = Duration::from_millis(self.last_request_ms.load(Ordering::Relaxed));
        self.monotonic().saturating_sub(last)
    }

    pub(crate) fn note_request(&self) {
        let now_ms = u64::try_from(self.monotonic().as_millis()).unwrap_or(u64::MAX);
        self.last_request_ms.store(now_ms, Ordering::Relaxed);
    }
}

/// The routes as hyper calls them.
pub type Routes = TowerToHyperService<Router>;

/// Returns every route.
pub fn router(service: Arc<Service>) -> Routes {
    let router = tenant_routes()
        .route(routes::STATUS, get(daemon::status))
        .route(routes::EVENTS, get(events::stream))
        .route(routes::HISTORY, get(history::of_one))
        .route(routes::CHANGES, get(history::changes))
        .route(routes::SYNC, post(daemon::sync))
        .route(routes::SHUTDOWN, post(daemon::shutdown));
    finish(router, service)
}

/// Returns the Docks API's own routes, which a hub answers to other machines, too.
pub fn shared_router(service: Arc<Service>) -> Routes {
    finish(tenant_routes(), service)
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
        .route(
            "/tenants/{tenant}/harbor/runs/{id}/trials",
            get(trial::list),
        )
        .route(
            "/tenants/{tenant}/harbor/runs/{id}/trials/{trial}",
            get(trial::get),
        )
}

fn finish(router: Router<Arc<Service>>, service: Arc<Service>) -> Routes {
    let router = router
        .fallback(|| async { ApiError::NoRoute })
        .method_not_allowed_fallback(|| async { ApiError::NoMethod })
        .with_state(service);
    TowerToHyperService::new(router)
}

/// Answers one request of our own user, or refuses it before any handler runs.
pub async fn answer(service: &Service, routes: &Routes, request: Request<Body>) -> Response {
    service.note_request();
    let checked = request_checks::check(request.method(), request.uri(), request.headers());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = match checked {
        Err(refusal) => ApiError::Refused(refusal).into_response(),
        Ok(()) => {
            let handled = AssertUnwindSafe(routes.call(request)).catch_unwind().await;
            match handled {
                Ok(Ok(response)) => response,
                Err(_) => ApiError::Panicked.into_response(),
            }
        }
    };
    sign(&mut response);
    tracing::debug!(%method, path, status = response.status().as_u16(), "answered");
    response
}

/// Refuses whoever is not our user, whatever is asked.
#[must_use]
pub fn refuse_stranger() -> Response {
    let mut response = ApiError::Refused(Refusal::stranger()).into_response();
    sign(&mut response);
    response
}

/// Says who answers, on every answer.
pub(crate) fn sign(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(routes::PROTOCOL, HeaderValue::from(docks_proto::PROTOCOL));
    headers.insert(
        routes::VERSION,
        HeaderValue::from_static(docks_proto::VERSION),
    );
}
