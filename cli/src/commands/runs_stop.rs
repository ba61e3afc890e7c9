//! `docks runs stop`.

use docks_proto::routes::Action;

use super::action;
use crate::args::RunsStop;
use crate::context::Context;
use crate::failure::Failure;

/// Stops a run, after asking.
pub(super) async fn run(context: &Context, args: &RunsStop) -> Result<(), Failure> {
    let question = format!("Stop run {}?", args.run_id);
    action::confirm(context, args.force, &question)?;
    action::run(context, Action::Stop, &args.run_id).await
}
