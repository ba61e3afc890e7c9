//! `docks runs eval-start`.

use docks_proto::routes::Action;

use super::action;
use crate::args::RunsEvalStart;
use crate::context::Context;
use crate::failure::Failure;

/// Starts a queued evaluation run.
pub(super) async fn run(context: &Context, args: &RunsEvalStart) -> Result<(), Failure> {
    action::run(context, Action::Start, &args.run_id).await
}
