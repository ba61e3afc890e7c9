//! `docks runs eval-get`.

use docks_proto::routes::RunKind;

use super::print_object::{self, ObjectKind};
use crate::args::RunsEvalGet;
use crate::ask::{Request, Requester};
use crate::context::Context;
use crate::failure::Failure;

/// Shows one evaluation run with its leaderboard.
pub(super) async fn run(context: &Context, args: &RunsEvalGet) -> Result<(), Failure> {
    let question = Request::Run(RunKind::Evaluation, &args.run_id);
    let answered = Requester::new(context)?.request(question).await?;
    print_object::print_object(context, ObjectKind::Evaluation, &answered)
}
