//! Ids that a run has for a while only: a Harbor job has its folder's name as id until it has written its UUID.

use super::{RawObject, RunFields};
use crate::repair;

/// Returns the UUID of a Harbor job: `Some(None)` if it has none yet, `None` if this is no Harbor job.
#[must_use]
pub fn harbor_job_id(text: &str) -> Option<Option<String>> {
    let object: serde_json::Value = repair::parse(text)?;
    let id = object.get("harbor")?.get("job_id")?;
    Some(id.as_str().map(str::to_owned))
}

/// Whether a run is the one that had `id` until it got its real id.
#[must_use]
pub fn has_outgrown_id(object: &RawObject, id: &str) -> bool {
    let fields = RunFields::from_object(object);
    let own = fields.id.text();
    // A provisional id is made of the name.
    let is_of_name = |name: String| id.trim_start_matches('~') == name;
    own.as_deref() != Some(id)
        && own.is_some()
        && fields.name.text().is_some_and(is_of_name)
        && harbor_job_id(object.text()).flatten() == own
}
