//! One line per change, for pipes.

use super::model::{Model, Note};
use crate::output::clean;

/// Columns of a line.
pub(crate) const COLUMNS: [&str; 6] = ["time", "run", "trial", "from", "to", "detail"];

/// Writes what happened: time, run, trial, status before and since, what went wrong.
///
/// `None` for a trial that is met as it is: a run begins with thousands of them.
pub(crate) fn line(model: &Model, note: &Note) -> Option<String> {
    let object = &note.object;
    let met = object.trial_id.is_some() && note.from.is_none();
    let planned = object.started_at.is_none() && !object.ended;
    if met && (planned || !model.ready) {
        return None;
    }
    let cells = [
        note.at.as_deref().unwrap_or_default(),
        model.runs[note.run].label(),
        object.trial_id.as_deref().unwrap_or_default(),
        note.from.as_deref().unwrap_or_default(),
        &object.status,
        object.error.as_deref().unwrap_or_default(),
    ];
    let cells: Vec<_> = cells.into_iter().map(clean::line).collect();
    Some(cells.join("\t"))
}
