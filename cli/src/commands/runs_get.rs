//! `docks runs get`.

use docks_proto::routes::RunKind;

use super::asking::Asking;
use super::showing::{self, View};
use crate::args::RunsGet;
use crate::context::Context;
use crate::failure::Failure;
use crate::source::Question;

/// Shows one plain run.
pub(super) async fn run(context: &Context, args: &RunsGet) -> Result<(), Failure> {
    let question = Question::Run(RunKind::Run, &args.run_id);
    let answered = Asking::new(context)?.ask(question).await?;
    showing::print(context, View::Run, &answered)
}
