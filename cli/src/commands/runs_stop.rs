//! `docks runs stop`.

use docks_proto::routes::Action;

use super::action;
use crate::args::RunsStop;
use crate::context::Context;
use crate::failure::Failure;

/// Stops a run, after asking.
pub(super) async fn run(context: &Context, args: &RunsStop) -> Result<(), Failure> {
    action::run_unless_declined(context, Action::Stop, &args.run_id, args.force).await
}
