//! `docks runs get`.

use docks_proto::routes::RunKind;

use super::print_object::{self, View};
use super::requester::Asking;
use crate::args::RunsGet;
use crate::ask::request::Question;
use crate::context::Context;
use crate::failure::Failure;

/// Shows one plain run.
pub(super) async fn run(context: &Context, args: &RunsGet) -> Result<(), Failure> {
    let question = Question::Run(RunKind::Run, &args.run_id);
    let answered = Asking::new(context)?.ask(question).await?;
    print_object::print(context, View::Run, &answered)
}
