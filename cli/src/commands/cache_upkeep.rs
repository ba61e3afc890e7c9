//! `docks cache prune`, `clear` and `verify`.

use docks_artifacts::cache::{Cache, Removal};
use indicatif::HumanBytes;

use crate::args::{CacheClear, CachePrune};
use crate::ask::DaemonEndpoint;
use crate::context::Context;
use crate::environment::Environment;
use crate::failure::{Failure, Kind};

use super::artifact_sources;

/// Removes the least recently used artifacts until the rest fits the limit.
pub(super) fn prune(context: &Context, args: &CachePrune) -> Result<(), Failure> {
    let cache = open(context)?;
    let limit_bytes = args.to.unwrap_or(cache.limit_bytes());
    let removed = cache.prune(limit_bytes).map_err(failed)?;
    report(context, removed);
    let left = cache.usage().map_err(failed)?;
    if left.size_bytes > limit_bytes {
        context.output.note(format!(
            "{} are kept, because their runs are pinned",
            HumanBytes(left.size_bytes)
        ));
    }
    Ok(())
}

/// Removes all artifacts.
pub(super) fn clear(context: &Context, args: &CacheClear) -> Result<(), Failure> {
    let cache = open(context)?;
    let removed = cache.clear(args.pinned).map_err(failed)?;
    report(context, removed);
    let left = cache.usage().map_err(failed)?;
    if left.objects > 0 {
        context.output.note(format!(
            "{} are kept, because their runs are pinned; --pinned removes them as well",
            HumanBytes(left.size_bytes)
        ));
    }
    Ok(())
}

/// Checks all hashes. Damaged artifacts are removed, but the exit code is 1.
pub(super) fn verify(context: &Context) -> Result<(), Failure> {
    let verified = open(context)?.verify().map_err(failed)?;
    let good = format!("{} objects are intact", verified.good);
    context.output.message(good);
    match verified.removed.objects {
        0 => Ok(()),
        damaged => Err(Failure::failed(format!(
            "{damaged} objects were damaged and have been removed"
        ))
        .hint("`docks cache pull` downloads them again")),
    }
}

fn open(context: &Context) -> Result<Cache, Failure> {
    let endpoint = DaemonEndpoint::new(Environment::of_process())?;
    artifact_sources::open_cache(&endpoint.places, context.now)
}

fn failed(error: std::io::Error) -> Failure {
    Failure::chain(Kind::Failed, "could not change the cache", &error)
}

fn report(context: &Context, removed: Removal) {
    context.output.message(format!(
        "removed {} objects ({})",
        removed.objects,
        HumanBytes(removed.size_bytes)
    ));
}
