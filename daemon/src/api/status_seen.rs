//! Tells a misspelt status from one that no object has at the moment.

use docks_proto::query::ListQuery;

use crate::registry::MirroredRemote;
use docksd_mirror::{MirrorError, StatusScope};

/// For an empty list that was filtered by status: whether each of these statuses was ever seen on this
/// remote. `None` for other lists.
pub(super) async fn all_statuses_seen(
    remote: &MirroredRemote,
    scope: StatusScope,
    query: &ListQuery,
    total: u64,
) -> Result<Option<bool>, MirrorError> {
    if total > 0 || query.status.is_empty() {
        return Ok(None);
    }
    let known = remote.mirror.seen_statuses(scope).await?;
    let is_known = |status: &String| known.iter().any(|k| k.eq_ignore_ascii_case(status));
    Ok(Some(query.status.iter().all(is_known)))
}
