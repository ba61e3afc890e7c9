//! `docks runs pause`.

use docks_proto::routes::Action;

use super::action;
use crate::args::RunsPause;
use crate::context::Context;
use crate::failure::Failure;

/// Pauses an evaluation run: no further trial of it starts.
pub(super) async fn run(context: &Context, args: &RunsPause) -> Result<(), Failure> {
    action::run(context, Action::Pause, &args.run_id).await
}
