//! `docks runs eval-get`.

use docks_proto::routes::RunKind;

use super::print_object::{self, View};
use super::requester::Asking;
use crate::args::RunsEvalGet;
use crate::ask::request::Question;
use crate::context::Context;
use crate::failure::Failure;

/// Shows one evaluation run with its leaderboard.
pub(super) async fn run(context: &Context, args: &RunsEvalGet) -> Result<(), Failure> {
    let question = Question::Run(RunKind::Evaluation, &args.run_id);
    let answered = Asking::new(context)?.ask(question).await?;
    print_object::print(context, View::Evaluation, &answered)
}
