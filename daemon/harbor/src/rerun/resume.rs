//! Whether `harbor job resume` runs exactly the wanted trials again.
//!
//! It removes the folders of trials whose own exception is of one of the types that it is given, `CancelledError` by
//! default, and every folder without a result; then it runs what its job lacks.

use std::collections::BTreeSet;
use std::path::Path;

use docks_proto::rerun::ResumeCommand;

use super::JobTrial;
use super::origin::Origin;

/// What is removed if no type is given.
const DEFAULT_TYPE: &str = "CancelledError";

/// Returns the command; `None` if it would run other trials as well, apart from those that never started, or not all.
pub(super) fn command(
    folder: &Path,
    origin: &Origin,
    trials: &[JobTrial],
) -> Option<ResumeCommand> {
    let place = match origin {
        Origin::Directory(directory) => folder.strip_prefix(directory).ok()?,
        Origin::InPlace => folder,
        Origin::Unknown => return None,
    };
    let selected = trials.iter().filter(|trial| trial.selected);
    let mut types = BTreeSet::new();
    for trial in selected.clone().filter(|trial| trial.has_result) {
        types.insert(own_exception(trial)?);
    }
    let default = BTreeSet::from([DEFAULT_TYPE]);
    let is_default = types.is_empty() || types == default;
    let effective = if is_default { &default } else { &types };
    let is_kept = |trial: &JobTrial| {
        let mut kinds = trial.exceptions.iter();
        trial.has_result && !kinds.any(|kind| effective.contains(kind.as_str()))
    };
    let never_started = |trial: &JobTrial| trial.folder.is_none() && trial.planned.is_some();
    let mut others = trials.iter().filter(|trial| !trial.selected);
    if !others.all(|trial| is_kept(trial) || never_started(trial)) {
        return None;
    }
    let replaces = selected.filter(|trial| trial.folder.is_some()).count() as u64;
    let starts = trials
        .iter()
        .filter(|trial| trial.planned.is_some())
        .count() as u64;
    let mut arguments: Vec<String> = ["harbor", "job", "resume", "--job-path"]
        .map(str::to_owned)
        .to_vec();
    arguments.push(place.to_str()?.to_owned());
    if !is_default {
        for kind in types {
            arguments.extend(["--filter-error-type".to_owned(), kind.to_owned()]);
        }
    }
    (replaces + starts > 0).then_some(ResumeCommand {
        arguments,
        replaces,
        starts,
    })
}

/// Returns the type of a trial's own exception, by which it is removed; `None` if it has none, or if that may be one of
/// its steps.
fn own_exception(trial: &JobTrial) -> Option<&str> {
    match &trial.exceptions[..] {
        [own] if !trial.has_steps => Some(own),
        _ => None,
    }
}
