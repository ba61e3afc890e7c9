//! Answers on their way out: body, freshness, total.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use docks_proto::freshness::{AnsweredBy, Freshness};
use docks_proto::routes;

use super::revalidate::{Ask, freshness, is_too_old};
use crate::list_response::ListResponse;
use crate::registry::MirroredRemote;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Sends a list that was asked before at this version of the mirror, if its age is of no matter.
pub(super) fn ready(
    source: &MirroredRemote,
    question: &str,
    ask: Ask,
    now: Duration,
) -> Option<Response> {
    if !ask.takes_anything() {
        return None;
    }
    let version = source.mirror.data_version();
    let answer = source.lists.get(question, &version)?;
    if is_too_old(source, &answer.confirmed, answer.volatility) {
        return None;
    }
    Some(send(source, &answer, AnsweredBy::Mirror, now))
}

/// Sends a list and keeps it ready.
pub(super) fn list(
    source: &MirroredRemote,
    question: &str,
    answer: ListResponse,
    from: AnsweredBy,
    now: Duration,
) -> Response {
    let answer = Arc::new(answer);
    source.lists.insert(question, &answer);
    send(source, &answer, from, now)
}

fn send(
    source: &MirroredRemote,
    answer: &ListResponse,
    from: AnsweredBy,
    now: Duration,
) -> Response {
    if answer.is_mark_due(now) {
        source.sync.mark_watched(&answer.resource);
    }
    let mut freshness = freshness(source, &answer.confirmed, answer.volatility, from);
    if freshness.stale_reason.is_none() {
        freshness.stale_reason = answer.incomplete.map(str::to_owned);
    }
    let mut response = Response::new(Body::from(answer.body.clone()));
    freshness.write_headers(response.headers_mut());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(routes::TOTAL, HeaderValue::from(answer.total));
    if let Some(seen) = answer.status_seen {
        let seen = if seen { "true" } else { "false" };
        headers.insert(routes::STATUS_SEEN, HeaderValue::from_static(seen));
    }
    response
}

/// Sends one object as the remote sent it.
pub(super) fn object(text: String, freshness: &Freshness) -> Response {
    let mut response = Response::new(Body::from(text));
    freshness.write_headers(response.headers_mut());
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}
