//! `docks runs retry`.

use docks_proto::routes::Action;

use super::action;
use crate::args::RunsRetry;
use crate::context::Context;
use crate::failure::Failure;

/// Runs the failed and cancelled trials of an evaluation run again, after asking.
pub(super) async fn run(context: &Context, args: &RunsRetry) -> Result<(), Failure> {
    let id = action::confirm(context, Action::Retry, &args.run_id, args.force).await?;
    action::run(context, Action::Retry, &id).await
}
