//! `docks runs eval-cancel`.

use docks_proto::routes::Action;

use super::action;
use crate::args::RunsEvalCancel;
use crate::context::Context;
use crate::failure::Failure;

/// Cancels an evaluation run, after asking.
pub(super) async fn run(context: &Context, args: &RunsEvalCancel) -> Result<(), Failure> {
    let question = format!("Cancel evaluation run {}?", args.run_id);
    action::confirm(context, args.force, &question)?;
    action::run(context, Action::Cancel, &args.run_id).await
}
