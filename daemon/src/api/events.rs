//! `GET /v1/events`: the current state, then every change, for as long as the client reads.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use docks_proto::event::{EventQuery, Position};
use docks_proto::query::Parameters;
use docks_proto::routes;
use futures_util::stream::unfold;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::Service;
use super::error::ApiError;
use super::extract::{QueryParameters, bad_parameter};
use super::resolve_id::resolve_watched_run;
use crate::shutdown::ShutdownSignal;
use docksd_events::Subscription;

/// After this long without an event a comment is sent. It shows the client that the daemon is alive, and the
/// daemon whether the client is.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);
/// How long a client should wait before it reconnects.
const RETRY_MS: u64 = 1_000;

/// `GET /v1/events`
pub(super) async fn stream(
    State(service): State<Arc<Service>>,
    QueryParameters(parameters): QueryParameters,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let mut filter = EventQuery::from_parameters(&parameters).map_err(bad_parameter)?;
    let after = resume_position(&parameters, &headers)?;
    let tenant = parameters.text("tenant");
    let remote = service.open_for_reading(&headers, tenant).await?;
    let requirement = service.freshness_requirement(&headers);
    let renames_seen = remote.mirror.rename_count();
    let mut known_by_name = Vec::new();
    for run in &mut filter.runs {
        let resolved = resolve_watched_run(&remote, &filter.kinds, run, requirement).await?;
        if *run != resolved {
            known_by_name.push(resolved.clone());
        }
        *run = resolved;
    }
    let slot = Arc::clone(&service.watchers)
        .try_acquire_owned()
        .map_err(|_| ApiError::TooManyWatchers)?;
    let subscription = remote.feed.subscribe(filter, after).await?;
    let mut subscription = subscription.with_renames_after(renames_seen);
    if after.is_some() {
        // The client has been told the state of these, but perhaps under an id that was provisional.
        subscription.introduce(known_by_name).await?;
    }
    remote.feed.start_publishing();
    let mut heartbeat = interval(HEARTBEAT_INTERVAL);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeat.reset();
    let stream = EventStream {
        subscription,
        heartbeat,
        shutdown: service.shutdown.clone(),
        service,
        _slot: slot,
    };
    let retry = Bytes::from(format!("retry: {RETRY_MS}\n\n"));
    let body = unfold((Some(retry), stream), |(retry, mut stream)| async move {
        let bytes = match retry {
            Some(retry) => Some(retry),
            None => stream.next().await,
        };
        bytes.map(|bytes| (Ok::<_, Infallible>(bytes), (None, stream)))
    });
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    let text = HeaderValue::from_static;
    headers.insert(header::CONTENT_TYPE, text("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, text("no-store"));
    Ok(response)
}

/// Reads where to resume: the header that clients of event streams send on their own, or `after`.
fn resume_position(
    parameters: &Parameters,
    headers: &HeaderMap,
) -> Result<Option<Position>, ApiError> {
    let id = match headers.get(routes::LAST_EVENT_ID) {
        Some(value) => String::from_utf8_lossy(value.as_bytes()).into_owned(),
        None => parameters.text("after").unwrap_or_default().to_owned(),
    };
    if id.is_empty() {
        return Ok(None);
    }
    let invalid = || {
        let message =
            format!("`{id}` is not an event id; leave it out to start from the current state");
        ApiError::BadRequest(message)
    };
    Position::parse(&id).ok_or_else(invalid).map(Some)
}

/// The body of one response.
struct EventStream {
    subscription: Subscription,
    heartbeat: Interval,
    shutdown: ShutdownSignal,
    service: Arc<Service>,
    _slot: OwnedSemaphorePermit,
}

impl EventStream {
    /// Waits for the next bytes; `None` ends the response, and the client reconnects.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            match self.subscription.next_frame().await {
                Ok(Some(frame)) => {
                    self.heartbeat.reset();
                    self.service.record_request();
                    return Some(frame);
                }
                Ok(None) => {}
                Err(error) => {
                    let error = docks_proto::error::error_chain(&error);
                    tracing::warn!(error, "could not continue an event stream");
                    return None;
                }
            }
            tokio::select! {
                () = self.shutdown.requested() => return None,
                open = self.subscription.changed() => if !open {
                    return None;
                },
                _ = self.heartbeat.tick() => {
                    // While a client watches, the daemon must not exit for idleness.
                    self.service.record_request();
                    return Some(Bytes::from_static(b": still here\n\n"));
                }
            }
        }
    }
}
