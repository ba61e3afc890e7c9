//! Waits for the first sweep where a request needs all rows of a list.
//!
//! The first fetch returns the newest rows, which is enough for most requests. A filter, another order or a
//! prefix of an id needs all rows, so it waits for the first sweep to finish. Until then each list says
//! that rows may be missing.

use std::time::Duration;

use docks_proto::freshness::CachePolicy;
use docks_proto::object::{Lifecycle, lifecycle, parse_list};
use docks_proto::query::{ListQuery, Row};
use docks_proto::routes::RunKind;

use super::error::ApiError;
use crate::registry::MirroredRemote;
use docksd_mirror::{Confirmation, Listing, Resource};

/// How long a request waits for the first sweep; after that it gets the rows that are mirrored.
const WAIT_TIMEOUT: Duration = Duration::from_secs(15);
/// How often to check; a sweep completes one list after the other, without a signal for each.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);
/// Longer lists are not searched for active runs.
const MAX_ROWS_SEARCHED: u64 = 200;

/// Whether rows that belong in the response may be missing from the mirror.
pub(super) fn may_lack_rows(query: &ListQuery, listing: &Listing) -> bool {
    let complete = listing.confirmation.as_ref().is_some_and(|c| c.complete);
    let newest_only = !query.has_filters()
        && query.sort.is_none()
        && query.limit != 0
        && query.offset.saturating_add(query.limit) <= listing.total;
    !complete && !newest_only
}

/// Waits until the mirror has the whole list, or until that cannot be expected soon.
///
/// Returns whether the mirror may have changed meanwhile.
pub(super) async fn wait_for_first_sweep(
    remote: &MirroredRemote,
    kind: RunKind,
    policy: CachePolicy,
) -> Result<bool, ApiError> {
    // Reading a large directory takes longer than a request should.
    if policy == CachePolicy::OnlyIfCached || remote.sync.reading().is_some() {
        return Ok(false);
    }
    let completed = async {
        while !is_complete(remote, kind).await? && is_first_sweep_running(remote) {
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
        Ok::<(), ApiError>(())
    };
    tokio::time::timeout(WAIT_TIMEOUT, completed)
        .await
        .unwrap_or(Ok(()))?;
    Ok(true)
}

/// Whether a sweep has fetched all rows of a list.
pub(super) async fn is_complete(remote: &MirroredRemote, kind: RunKind) -> Result<bool, ApiError> {
    let confirmed = remote.mirror.confirmation(&Resource::List(kind)).await?;
    Ok(confirmed.is_some_and(|c| c.complete))
}

fn is_first_sweep_running(remote: &MirroredRemote) -> bool {
    let health = remote.sync.health();
    health.last_sweep.is_none()
        && health.circuit == "closed"
        && remote.sync.mirror_error().is_none()
}

/// Returns why rows may be missing from a list with this confirmation, if they may.
///
/// # Errors
///
/// The mirror's error where only the mirror is in trouble: the remote can still give the whole list.
pub(super) fn missing_rows(
    remote: &MirroredRemote,
    confirmed: &Confirmation,
    policy: CachePolicy,
) -> Result<Option<&'static str>, ApiError> {
    if confirmed.complete {
        return Ok(None);
    }
    let health = remote.sync.health();
    if policy != CachePolicy::OnlyIfCached
        && health.circuit == "closed"
        && let Some(error) = remote.sync.mirror_error()
    {
        return Err(ApiError::Sync(error));
    }
    Ok(Some(if health.last_sweep.is_none() {
        "the first full sync is not finished"
    } else {
        "the remote does not return its whole list"
    }))
}

/// Whether a list contains an active run; long lists are not searched.
pub(super) fn contains_active(listing: &Listing) -> bool {
    listing.returned <= MAX_ROWS_SEARCHED
        && parse_list(&listing.body).is_ok_and(|list| {
            let mut statuses = list
                .objects
                .iter()
                .map(|object| Row::from_run(object).status);
            statuses.any(|status| lifecycle(&status) == Lifecycle::Active)
        })
}
