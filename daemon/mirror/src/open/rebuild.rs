//! Replaces a damaged file by a new one that holds everything in it that is sound.
//!
//! Lists and trials come from the remote again, but history does not, nor do runs that are gone from
//! there; and while the remote cannot be reached, what is sound can still be read. Nothing is taken
//! over as confirmed that is not: the lists count as incomplete until they were swept, and trials
//! of which one is lost are fetched again.

use std::fs;
use std::path::{Path, PathBuf};

use docks_proto::status::MirrorRebuild;
use docks_proto::time::UnixMs;
use rusqlite::Connection;

use super::checks::OpenFailure;
use super::connect::open_file;
use super::file::{prepare, remove, set_aside, with_suffix};
use super::identity::Identity;
use super::salvage::{nothing_kept, salvage};
use super::salvage_source::SalvageSource;
use super::stored_identity;
use crate::error::MirrorError;
use crate::notes;

/// The new file while it is filled.
const UNFINISHED: &str = "-rebuilding";
/// The new file when it is filled, until it takes the place of the damaged one.
const FINISHED: &str = "-rebuilt";

/// Key of the note that says what the last rebuild found.
pub(crate) const NOTE: &str = "rebuilt";

/// Replaces the closed, damaged file at `path`; returns where it was moved to.
pub(crate) fn rebuild(
    path: &Path,
    identity: &Identity,
    now: UnixMs,
) -> Result<PathBuf, MirrorError> {
    let (unfinished, finished) = (with_suffix(path, UNFINISHED), with_suffix(path, FINISHED));
    let failed = |source| MirrorError::Prepare {
        path: unfinished.clone(),
        source,
    };
    remove(&unfinished).map_err(failed)?;
    prepare(&unfinished)?;
    let new = open_file(&unfinished, identity, now)
        .map_err(|failure: OpenFailure| failure.into_error(&unfinished))?;
    let salvaged = fill(&new, path, identity, now);
    let written = salvaged.and_then(|salvaged| {
        let text = serde_json::to_string(&salvaged).unwrap_or_default();
        notes::write(&new, NOTE, &text)?;
        Ok(salvaged)
    });
    let salvaged = written.map_err(MirrorError::during(
        "keep what is sound of a damaged mirror",
    ))?;
    // The last connection empties the WAL into the file, and removes it.
    new.close().map_err(|(_, source)| MirrorError::Open {
        path: unfinished.clone(),
        source,
    })?;
    fs::rename(&unfinished, &finished).map_err(failed)?;
    let aside = set_aside(path, now)?;
    adopt_rebuilt(path)?;
    tracing::warn!(path = %path.display(), aside = %aside.display(), runs = salvaged.runs,
        trials = salvaged.trials, events = salvaged.events, "the mirror was damaged; what is sound was kept");
    Ok(aside)
}

fn fill(
    new: &Connection,
    damaged: &Path,
    identity: &Identity,
    now: UnixMs,
) -> rusqlite::Result<MirrorRebuild> {
    let transaction = new.unchecked_transaction()?;
    let source = SalvageSource::open(damaged)?;
    let salvaged = match &source.connection {
        Some(old) if !belongs_to_another(old, identity) => {
            salvage(old, &transaction, now, source.trusts_times)?
        }
        _ => nothing_kept(now),
    };
    transaction.commit()?;
    Ok(salvaged)
}

/// Whether the file says that it belongs to another remote or owner, whose data must not be shown to this one.
fn belongs_to_another(old: &Connection, identity: &Identity) -> bool {
    let found = stored_identity::read(old).ok().flatten();
    found.is_some_and(|(found, _)| found != identity.current && found != identity.former)
}

/// Puts a rebuilt file in its place, if a rebuild was killed just before it did so.
pub(super) fn adopt_rebuilt(path: &Path) -> Result<(), MirrorError> {
    let finished = with_suffix(path, FINISHED);
    let adopting = match fs::exists(path) {
        // The damaged file is still there, and is looked at again.
        Ok(true) => remove(&finished),
        Ok(false) => match fs::rename(&finished, path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            renamed => renamed,
        },
        Err(error) => Err(error),
    };
    adopting.map_err(|source| MirrorError::Prepare {
        path: finished,
        source,
    })
}
