//! `docks runs eval-get`.

use docks_proto::routes::RunKind;

use super::asking::Asking;
use super::showing::{self, View};
use crate::args::RunsEvalGet;
use crate::context::Context;
use crate::failure::Failure;
use crate::source::Question;

/// Shows one evaluation run with its leaderboard.
pub(super) async fn run(context: &Context, args: &RunsEvalGet) -> Result<(), Failure> {
    let question = Question::Run(RunKind::Evaluation, &args.run_id);
    let answered = Asking::new(context)?.ask(question).await?;
    showing::print(context, View::Evaluation, &answered)
}
