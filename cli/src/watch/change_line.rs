//! A status change as one line of text, for pipes.

use super::model::{Model, StatusChange};
use crate::output::clean;

/// Columns of a line.
pub(crate) const COLUMNS: [&str; 6] = ["time", "run", "trial", "from", "to", "detail"];

/// Formats a change: time, run, trial, status before and after, error.
///
/// `None` for the first state of a trial: a run starts with thousands of them.
pub(crate) fn change_line(model: &Model, change: &StatusChange) -> Option<String> {
    let object = &change.object;
    let is_first_state = object.trial_id.is_some() && change.from.is_none();
    let planned = object.started_at.is_none() && !object.ended;
    if is_first_state && (planned || !model.ready) {
        return None;
    }
    let cells = [
        change.at.as_deref().unwrap_or_default(),
        model.runs.get(change.run)?.label(),
        object.trial_id.as_deref().unwrap_or_default(),
        change.from.as_deref().unwrap_or_default(),
        &object.status,
        object.error.as_deref().unwrap_or_default(),
    ];
    let cells: Vec<_> = cells.into_iter().map(clean::line).collect();
    Some(cells.join("\t"))
}
