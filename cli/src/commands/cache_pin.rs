//! `docks cache pin` and `unpin`: which runs stay.

use crate::args::CachePin;
use crate::ask::Requester;
use crate::context::Context;
use crate::failure::{Failure, Kind};

use super::{artifact_selection, artifact_sources};

/// Pins or lets go.
pub(super) async fn run(context: &Context, args: &CachePin, pinned: bool) -> Result<(), Failure> {
    let requester = Requester::new(context)?;
    let cache = artifact_sources::cache_of_home(&requester.remote.endpoint.places, context.now)?;
    for given in &args.run_ids {
        let found = artifact_selection::find_run(context, &requester, given).await?;
        let run = artifact_sources::run_key(&requester.remote, &found.id);
        let changed = cache
            .set_pinned(&run, pinned)
            .map_err(|error| Failure::chain(Kind::Failed, "could not write the cache", &error))?;
        let said = match (changed, pinned) {
            (true, true) => "is pinned; what is pulled of it stays",
            (true, false) => "is not pinned any more",
            (false, true) => "was pinned already",
            (false, false) => "was not pinned",
        };
        context.output.message(format!("run `{}` {said}", found.id));
    }
    Ok(())
}
