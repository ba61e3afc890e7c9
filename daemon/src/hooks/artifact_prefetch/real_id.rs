//! The real id of a run that is known by its provisional one.

use docks_proto::object::{RawObject, has_outgrown_id};
use docks_proto::routes::RunKind;

use docksd_mirror::{Mirror, MirrorError, Resolution};

/// Returns the id that an evaluation run has by now, if the mirror no longer has it under this one.
///
/// The mirror's own record of renames ends with its process; a run is kept here for days.
pub(super) async fn real_id(mirror: &Mirror, id: &str) -> Result<Option<String>, MirrorError> {
    const KIND: RunKind = RunKind::Evaluation;
    if mirror.run(KIND, id).await?.is_some() {
        return Ok(None);
    }
    // A provisional id is made of the name.
    let named = match mirror.resolve_run(KIND, id.trim_start_matches('~')).await? {
        Resolution::Unique(id) => vec![id],
        Resolution::Ambiguous(runs) => runs.into_iter().map(|run| run.id).collect(),
        Resolution::NotFound => Vec::new(),
    };
    let mut found = Vec::new();
    for run in named {
        let stored = mirror.run(KIND, &run).await?;
        let object = stored.and_then(|stored| RawObject::parse(&stored.text).ok().flatten());
        if object.is_some_and(|object| has_outgrown_id(&object, id)) {
            found.push(run);
        }
    }
    // Jobs of two directories may have one name.
    let is_certain = found.len() == 1;
    Ok(found.pop().filter(|_| is_certain))
}
