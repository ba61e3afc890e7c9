//! `docks runs eval-cancel`.

use docks_proto::routes::Action;

use super::{action, stop_and_wait};
use crate::args::RunsEvalCancel;
use crate::context::Context;
use crate::failure::Failure;

/// Cancels an evaluation run after a confirmation.
pub(super) async fn run(context: &Context, args: &RunsEvalCancel) -> Result<(), Failure> {
    let id = action::confirm(context, Action::Cancel, &args.run_id, args.force).await?;
    stop_and_wait::run(context, Action::Cancel, &id, args.process.options()).await
}
