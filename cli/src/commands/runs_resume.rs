//! `docks runs resume`.

use docks_proto::routes::Action;

use super::action;
use crate::args::RunsResume;
use crate::context::Context;
use crate::failure::Failure;

/// Resumes an evaluation run after a pause.
pub(super) async fn run(context: &Context, args: &RunsResume) -> Result<(), Failure> {
    action::run(context, Action::Resume, &args.run_id).await
}
