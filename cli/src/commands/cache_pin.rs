//! `docks cache pin` and `unpin`: which runs stay in the cache.

use crate::args::CachePin;
use crate::ask::Requester;
use crate::context::Context;
use crate::failure::{Failure, Kind};

use super::{artifact_selection, artifact_sources};

/// Pins or unpins runs.
pub(super) async fn run(context: &Context, args: &CachePin, pinned: bool) -> Result<(), Failure> {
    let requester = Requester::new(context)?;
    let cache = artifact_sources::open_cache(&requester.remote.endpoint.places, context.now)?;
    for given in &args.run_ids {
        let found = artifact_selection::find_run(context, &requester, given).await?;
        let run = artifact_sources::run_key(&requester.remote, &found.id)?;
        let changed = cache
            .set_pinned(&run, pinned)
            .map_err(|error| Failure::chain(Kind::Failed, "could not write the cache", &error))?;
        let result = match (changed, pinned) {
            (true, true) => "is pinned; its cached artifacts are kept",
            (true, false) => "is no longer pinned",
            (false, true) => "was already pinned",
            (false, false) => "was not pinned",
        };
        context
            .output
            .message(format!("run `{}` {result}", found.id));
    }
    Ok(())
}
