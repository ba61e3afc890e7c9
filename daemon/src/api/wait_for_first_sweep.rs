//! Whether the mirror has all rows that a question is about.
//!
//! The first contact brings the newest rows, which answers most questions at
//! once. A filter, another order or a prefix asks about all of them, and waits
//! for the first sweep; when it must not or cannot wait, the answer says so.

use std::time::Duration;

use docks_proto::freshness::CachePolicy;
use docks_proto::object::{Lifecycle, lifecycle, parse_list};
use docks_proto::query::{ListQuery, Row};
use docks_proto::routes::RunKind;

use super::error::ApiError;
use crate::registry::MirroredRemote;
use docksd_mirror::{Listing, Resource};

/// How long a question waits for the first sweep; after that what is there is better.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often it looks; a sweep has no one moment that could be waited for.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Up to this length a list is looked through for something that has not ended.
const LOOKED_THROUGH: u64 = 200;

/// Tells whether rows that belong into the answer may not be in the mirror yet.
pub(super) fn lacks_rows(query: &ListQuery, listing: &Listing) -> bool {
    let whole = listing.confirmation.as_ref().is_some_and(|c| c.complete);
    let newest_only = !query.has_filters()
        && query.sort.is_none()
        && query.limit != 0
        && query.offset.saturating_add(query.limit) <= listing.total;
    !whole && !newest_only
}

/// Waits until the mirror holds the whole list, or it is clear that it will not soon.
///
/// Returns whether something may have changed.
pub(super) async fn wait(
    source: &MirroredRemote,
    kind: RunKind,
    allowed: CachePolicy,
) -> Result<bool, ApiError> {
    if allowed == CachePolicy::OnlyIfCached {
        return Ok(false);
    }
    let look = async {
        while !is_whole(source, kind).await? && first_sweep_goes_on(source) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok::<(), ApiError>(())
    };
    tokio::time::timeout(PATIENCE, look)
        .await
        .unwrap_or(Ok(()))?;
    Ok(true)
}

/// Tells whether a sweep brought all rows of a list.
pub(super) async fn is_whole(source: &MirroredRemote, kind: RunKind) -> Result<bool, ApiError> {
    let confirmed = source.mirror.confirmation(&Resource::List(kind)).await?;
    Ok(confirmed.is_some_and(|c| c.complete))
}

fn first_sweep_goes_on(source: &MirroredRemote) -> bool {
    let health = source.sync.health();
    health.last_sweep.is_none() && health.circuit == "closed"
}

/// Says why rows may be missing.
pub(super) fn why(source: &MirroredRemote) -> &'static str {
    if source.sync.health().last_sweep.is_none() {
        "the first full sync has not ended, so rows may be missing"
    } else {
        "the remote does not show its whole list, so old rows may be missing"
    }
}

/// Tells whether a list shows something that has not ended; a long one is not looked through.
pub(super) fn shows_active(listing: &Listing) -> bool {
    listing.returned <= LOOKED_THROUGH
        && parse_list(&listing.body).is_ok_and(|list| {
            let mut statuses = list
                .objects
                .iter()
                .map(|object| Row::from_run(object).status);
            statuses.any(|status| lifecycle(&status) == Lifecycle::Active)
        })
}
