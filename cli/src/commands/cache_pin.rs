//! `docks cache pin` and `unpin`: which runs stay.

use docks_proto::freshness::CachePolicy;

use crate::args::CachePin;
use crate::ask::request::Source;
use crate::ask::{Ladder, Rungs};
use crate::context::Context;
use crate::environment::Environment;
use crate::failure::{Failure, Kind};

use super::{artifact_selection, artifact_sources};

/// Pins or lets go.
pub(super) async fn run(context: &Context, args: &CachePin, pinned: bool) -> Result<(), Failure> {
    let ladder = Ladder::new(&context.global, Environment::of_process())?;
    let cache = artifact_sources::cache_of_home(&ladder.door.places, context.now)?;
    let allowed = context.global.allowed();
    for given in &args.run_ids {
        let rungs = Rungs::new(&ladder, &context.output, allowed == CachePolicy::Default);
        let source = Source::new(rungs, allowed, context.now, &context.output);
        let found = artifact_selection::find_run(context, &source, given).await?;
        let run = artifact_sources::run_key(&ladder, &found.id);
        let changed = cache
            .set_pinned(&run, pinned)
            .map_err(|error| Failure::chain(Kind::Failed, "could not write the cache", &error))?;
        let said = match (changed, pinned) {
            (true, true) => "is pinned; what is pulled of it stays",
            (true, false) => "is not pinned any more",
            (false, true) => "was pinned already",
            (false, false) => "was not pinned",
        };
        context.output.remark(format!("run `{}` {said}", found.id));
    }
    Ok(())
}
