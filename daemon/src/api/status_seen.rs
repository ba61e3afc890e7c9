//! Statuses that nothing has now: whether they are words of this remote at all.

use docks_proto::query::ListQuery;

use crate::registry::MirroredRemote;
use docksd_mirror::{MirrorError, StatusScope};

/// Tells whether each status of an empty answer's question was ever seen; `None` where that
/// was not the question.
///
/// A client then knows a word that is misspelt from one that fits nothing at the moment.
pub(super) async fn seen(
    source: &MirroredRemote,
    of: StatusScope,
    query: &ListQuery,
    total: u64,
) -> Result<Option<bool>, MirrorError> {
    if total > 0 || query.status.is_empty() {
        return Ok(None);
    }
    let known = source.mirror.seen_statuses(of).await?;
    let is_known = |asked: &String| known.iter().any(|k| k.eq_ignore_ascii_case(asked));
    Ok(Some(query.status.iter().all(is_known)))
}
