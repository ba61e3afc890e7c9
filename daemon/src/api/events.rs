//! `GET /v1/events`: the present state, then every change, for as long as somebody reads.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::Response;
use docks_proto::event::{EventQuery, ObjectKind, Position};
use docks_proto::query::Parameters;
use docks_proto::routes::{self, RunKind};
use futures_util::stream::unfold;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::error::ApiError;
use super::revalidate::Ask;
use super::{Service, extract, resolve_id};
use crate::registry::MirroredRemote;
use crate::shutdown::ShutdownSignal;
use docksd_events::Subscription;
use docksd_mirror::StoredObject;

/// A comment is sent when nothing was said for this long: readers then know that we live, and we
/// learn whether they do.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How soon a reader that cannot go on shall come back.
const RETRY_MS: u64 = 1_000;

/// `GET /v1/events`
pub(super) async fn stream(
    State(service): State<Arc<Service>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let parameters = extract::parameters(&uri)?;
    let mut wanted = EventQuery::from_parameters(&parameters).map_err(extract::bad_parameter)?;
    let after = position(&parameters, &headers)?;
    let source = service.source(&headers, parameters.text("tenant")).await?;
    let ask = service.ask(&headers);
    for run in &mut wanted.runs {
        *run = any_run(&source, &wanted.kinds, run, ask).await?.1.id;
    }
    let place = Arc::clone(&service.watching)
        .try_acquire_owned()
        .map_err(|_| ApiError::Crowded)?;
    let reader = source.feed.subscribe(wanted, after).await?;
    source.feed.start_publishing();
    let mut heartbeat = interval(HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeat.reset();
    let telling = Telling {
        reader,
        heartbeat,
        shutdown: service.shutdown.clone(),
        service,
        _place: place,
    };
    let hello = Bytes::from(format!("retry: {RETRY_MS}\n\n"));
    let body = unfold((Some(hello), telling), |(first, mut telling)| async move {
        let piece = match first {
            Some(hello) => Some(hello),
            None => telling.next().await,
        };
        piece.map(|bytes| (Ok::<_, Infallible>(bytes), (None, telling)))
    });
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    let text = HeaderValue::from_static;
    headers.insert(header::CONTENT_TYPE, text("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, text("no-store"));
    Ok(response)
}

/// Reads where to go on: the header that readers send by themselves, or `after`.
fn position(parameters: &Parameters, headers: &HeaderMap) -> Result<Option<Position>, ApiError> {
    let given = match headers.get(routes::LAST_EVENT_ID) {
        Some(value) => String::from_utf8_lossy(value.as_bytes()).into_owned(),
        None => parameters.text("after").unwrap_or_default().to_owned(),
    };
    if given.is_empty() {
        return Ok(None);
    }
    let bad = || ApiError::Request(format!("`{given}` is no event id; leave it out to begin"));
    Position::parse(&given).ok_or_else(bad).map(Some)
}

/// Finds the run that is meant, under whichever kind it is known.
pub(super) async fn any_run(
    source: &MirroredRemote,
    kinds: &[ObjectKind],
    given: &str,
    ask: Ask,
) -> Result<(RunKind, StoredObject), ApiError> {
    let only_runs = kinds == [ObjectKind::Run];
    let only_evaluations = !kinds.is_empty() && !kinds.contains(&ObjectKind::Run);
    let first = match only_runs {
        true => RunKind::Run,
        false => RunKind::Evaluation,
    };
    match resolve_id::run(source, first, given, ask).await {
        Ok(run) => Ok((first, run)),
        Err(ApiError::NoRun { .. }) if !only_runs && !only_evaluations => {
            let run = resolve_id::run(source, RunKind::Run, given, ask).await?;
            Ok((RunKind::Run, run))
        }
        Err(error) => Err(error),
    }
}

/// One answer under way.
struct Telling {
    reader: Subscription,
    heartbeat: Interval,
    shutdown: ShutdownSignal,
    service: Arc<Service>,
    _place: OwnedSemaphorePermit,
}

impl Telling {
    /// Waits for the next bytes; `None` ends the answer, and the reader comes back.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            match self.reader.next_frame().await {
                Ok(Some(frame)) => {
                    self.heartbeat.reset();
                    self.service.note_request();
                    return Some(frame);
                }
                Ok(None) => {}
                Err(error) => {
                    let error = docks_proto::error::error_chain(&error);
                    tracing::warn!(error, "could not go on telling what changes");
                    return None;
                }
            }
            tokio::select! {
                () = self.shutdown.requested() => return None,
                goes_on = self.reader.changed() => if !goes_on {
                    return None;
                },
                _ = self.heartbeat.tick() => {
                    // Who watches is there, and the daemon stays for them.
                    self.service.note_request();
                    return Some(Bytes::from_static(b": still here\n\n"));
                }
            }
        }
    }
}
