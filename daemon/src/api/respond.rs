//! Builds responses: the body, its freshness, its total.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use docks_proto::freshness::{AnsweredBy, Freshness};
use docks_proto::routes;

use super::revalidate::{FreshnessRequirement, is_too_old, list_freshness_of};
use crate::list_response::ListResponse;
use crate::registry::MirroredRemote;
use docksd_mirror::Resource;
use docksd_remote::Reading;
use docksd_sync::SyncError;

/// Why rows may be missing while there is no room for them.
const OUT_OF_ROOM: &str = "the disk with the mirror is full; make room on it, and syncing continues by itself \
                           (`docks daemon status` shows the mirror's file)";

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Responds with the cached list, if it was made from this version of the mirror and the
/// request accepts any age.
pub(super) fn cached_list(
    remote: &MirroredRemote,
    cache_key: &str,
    requirement: FreshnessRequirement,
    now: Duration,
) -> Option<Response> {
    if !requirement.accepts_any_age() {
        return None;
    }
    let version = remote.mirror.data_version();
    let list = remote.lists.get(cache_key, &version)?;
    if is_too_old(remote, &list.confirmed, list.volatility) {
        return None;
    }
    Some(list_response(remote, &list, AnsweredBy::Mirror, now))
}

/// Responds with a list and caches it.
pub(super) fn list(
    remote: &MirroredRemote,
    cache_key: &str,
    list: ListResponse,
    answered_by: AnsweredBy,
    now: Duration,
) -> Response {
    let list = Arc::new(list);
    remote.lists.insert(cache_key, &list);
    list_response(remote, &list, answered_by, now)
}

fn list_response(
    remote: &MirroredRemote,
    list: &ListResponse,
    answered_by: AnsweredBy,
    now: Duration,
) -> Response {
    if list.is_mark_due(now) {
        remote.sync.mark_watched(&list.resource);
    }
    let kind = match list.resource {
        Resource::List(kind) => Some(kind),
        Resource::Run(..) | Resource::Trials(_) => None,
    };
    let mut freshness =
        list_freshness_of(remote, kind, &list.confirmed, list.volatility, answered_by);
    freshness.incomplete = list.incomplete.map(|why| {
        // Not with the list, which may be cached: that the disk is full changes nothing in the mirror.
        if is_out_of_room(remote) {
            return OUT_OF_ROOM.to_owned();
        }
        match remote.sync.reading() {
            Some(Reading { done, total }) => format!("{done} of {total} jobs are read so far"),
            None => why.to_owned(),
        }
    });
    freshness.notice = remote.notices.for_list(list.total == 0);
    let mut response = Response::new(Body::from(list.body.clone()));
    freshness.write_headers(response.headers_mut());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(routes::TOTAL, HeaderValue::from(list.total));
    if let Some(seen) = list.status_seen {
        let seen = if seen { "true" } else { "false" };
        headers.insert(routes::STATUS_SEEN, HeaderValue::from_static(seen));
    }
    response
}

/// Whether the mirror could not be written because there is no room for it.
fn is_out_of_room(remote: &MirroredRemote) -> bool {
    let error = remote.sync.mirror_error();
    matches!(error, Some(SyncError::Mirror(error)) if error.is_out_of_room())
}

/// Responds with one object as the remote sent it.
pub(super) fn object(text: String, freshness: &Freshness) -> Response {
    let mut response = Response::new(Body::from(text));
    freshness.write_headers(response.headers_mut());
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}
