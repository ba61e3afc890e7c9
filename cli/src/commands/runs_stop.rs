//! `docks runs stop`.

use docks_proto::routes::Action;

use super::{action, stop_and_wait};
use crate::args::RunsStop;
use crate::context::Context;
use crate::failure::Failure;

/// Stops a run, after asking.
pub(super) async fn run(context: &Context, args: &RunsStop) -> Result<(), Failure> {
    let id = action::confirm(context, Action::Stop, &args.run_id, args.force).await?;
    stop_and_wait::run(context, Action::Stop, &id, args.process.options()).await
}
